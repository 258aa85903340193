// Which device the backend takes.
#pragma once

namespace widedeq::cuda {

/// The least major compute capability whose instructions the kernels use (Ampere).
inline constexpr int least_capability = 8;

/// The first device that can be used. Throws Unsupported, in one sentence, when there is none.
int choose_device();

}  // namespace widedeq::cuda
