// How the next response follows from the last two; what it is for is said in kernels/response.hpp.
#pragma once

#include <span>
#include <vector>

#include "kernels/response.hpp"

namespace widedeq {

/// What has driven a state's last changes, n doubles each: eta r, the newest first.
using Drives = std::vector<std::vector<double>>;

inline constexpr std::size_t most_drives = 3;

/// The least squares d_0 ~ alone d_1 and d_0 ~ newer d_1 + older d_2 of drives, with a price on
/// coefficients:
///
///   ||d_0 - sum c_i d_i||^2 + noise^2 ||d_0||^2 |c|^2 -> min
///
/// noise being what else there is in a response, relatively. One that misses most of d_0 is none,
/// coefficients 0, and so is one of numbers that are not finite. Where that of two is none, or
/// there is but one, newer = alone.
Extrapolation extrapolate(std::span<const std::vector<double>> drives);

}  // namespace widedeq
