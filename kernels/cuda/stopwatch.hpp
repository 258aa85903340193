// Time by the device's own clock.
#pragma once

#include <cuda_runtime.h>

#include "kernels/cuda/status.hpp"

namespace widedeq::cuda {

/// Takes the time between two points of a stream.
class Stopwatch {
 public:
  Stopwatch() = default;
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  void start(cudaStream_t stream) { WIDEDEQ_CUDA_CHECK(cudaEventRecord(started_.event, stream)); }
  void stop(cudaStream_t stream) { WIDEDEQ_CUDA_CHECK(cudaEventRecord(stopped_.event, stream)); }

  /// Between start() and stop(). Waits for the stream to get there.
  double seconds() const {
    WIDEDEQ_CUDA_CHECK(cudaEventSynchronize(stopped_.event));
    float milliseconds = 0.0F;
    WIDEDEQ_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, started_.event, stopped_.event));
    return 1e-3 * static_cast<double>(milliseconds);
  }

 private:
  struct Event {
    cudaEvent_t event = nullptr;
    Event() { WIDEDEQ_CUDA_CHECK(cudaEventCreate(&event)); }
    ~Event() { (void)cudaEventDestroy(event); }
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
  };
  Event started_, stopped_;
};

}  // namespace widedeq::cuda
