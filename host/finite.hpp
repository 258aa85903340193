// Whether there is a NaN or an infinity among numbers.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>

namespace widedeq {

inline bool all_finite(std::span<const double> values) {
  return std::ranges::all_of(values, [](double x) { return std::isfinite(x); });
}

}  // namespace widedeq
