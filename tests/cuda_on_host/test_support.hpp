// What the stand-in's own tests share.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <vector>

#include "cuda_runtime.h"
#include "tests/cuda_on_host/cuda_on_host.hpp"

#define EXPECT_OK(call) EXPECT_EQ(call, cudaSuccess)

namespace cuda_on_host::test {

/// A stream of its own, and everything back as it was at the end.
class CudaTest : public testing::Test {
 protected:
  CudaTest() {
    GTEST_FLAG_SET(death_test_style, "threadsafe");  // OpenBLAS has started threads of its own
    EXPECT_OK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  }
  ~CudaTest() override {
    EXPECT_OK(cudaStreamDestroy(stream_));
    set_settings({});
    (void)cudaGetLastError();
  }

  template <class... Parameters, class... Arguments>
  void launch(unsigned blocks, unsigned threads, void (*kernel)(Parameters...),
              Arguments... arguments) {
    cudaLaunchConfig_t configuration;
    configuration.gridDim = dim3(blocks);
    configuration.blockDim = dim3(threads);
    configuration.dynamicSmemBytes = shared_bytes_;
    configuration.stream = stream_;
    EXPECT_OK(cudaLaunchKernelEx(&configuration, kernel, arguments...));
  }

  void synchronize() { EXPECT_OK(cudaStreamSynchronize(stream_)); }

  cudaStream_t stream_ = nullptr;
  std::size_t shared_bytes_ = 0;  // of the launches that follow
};

/// `count` of T in the device's memory.
template <class T>
class DeviceArray {
 public:
  DeviceArray(cudaStream_t stream, std::size_t count) : stream_(stream), count_(count) {
    EXPECT_OK(cudaMalloc(&data_, count * sizeof(T)));
  }
  DeviceArray(cudaStream_t stream, const std::vector<T>& values)
      : DeviceArray(stream, values.size()) {
    EXPECT_OK(
        cudaMemcpyAsync(data_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice, stream_));
  }
  DeviceArray(cudaStream_t stream, std::initializer_list<T> values)
      : DeviceArray(stream, std::vector<T>(values)) {}
  ~DeviceArray() { EXPECT_OK(cudaFree(data_)); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() const { return data_; }
  std::vector<T> values() const {
    std::vector<T> values(count_);
    EXPECT_OK(
        cudaMemcpyAsync(values.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost, stream_));
    return values;
  }

 private:
  cudaStream_t stream_;
  std::size_t count_;
  T* data_ = nullptr;
};

}  // namespace cuda_on_host::test
