// What a device must show before the backend relies on it.
#pragma once

#include <string>

#include "kernels/cuda/context.hpp"

namespace widedeq::cuda {

/// Why int8 products are not exact on this device, or an empty string: a small product at the ends
/// of the range is compared with ordinary arithmetic.
std::string why_integers_are_inexact(Context& context);

}  // namespace widedeq::cuda
