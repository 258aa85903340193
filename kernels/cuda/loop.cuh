// What the kernels of a sweep say to the loop around it; see loop.hpp.
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/loop.hpp"

namespace widedeq::cuda {

/// Whether a sweep's size class has another sweep to do.
WIDEDEQ_HOST_DEVICE inline bool goes_on(const Progress& progress, std::int32_t next_class) {
  return progress.running != 0 && progress.open > next_class;
}

/// Has a captured sweep repeated, or the loop of its class left. Called by one thread, the last
/// thing a sweep does.
__device__ inline void repeat_sweep(const Repeat& repeat, const Progress& progress) {
  if (repeat.in_graph != 0)
    set_condition(repeat.handle, goes_on(progress, repeat.next_class) ? 1U : 0U);
}

}  // namespace widedeq::cuda
