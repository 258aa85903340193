// Which devices the backend may take.
#pragma once

#include <vector>

namespace widedeq::cuda {

/// The least major compute capability whose instructions the kernels use (Ampere).
inline constexpr int least_capability = 8;

/// The devices that can be used, in the driver's order; whether they are free shows when one is.
/// Throws Unsupported, in one sentence, when there is none.
std::vector<int> usable_devices();

}  // namespace widedeq::cuda
