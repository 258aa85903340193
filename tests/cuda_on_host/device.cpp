// The one device, and words for failures.
#include <algorithm>
#include <cstdio>

#include "tests/cuda_on_host/machine.hpp"

namespace cuda_on_host {
namespace {

thread_local cudaError_t last_error = cudaSuccess;
thread_local int current_device = 0;

constexpr int shared_per_block = 48 << 10;
constexpr int reserved_shared = 1 << 10;  // of a multiprocessor
constexpr int threads_per_multiprocessor = 2048, multiprocessors = 4;

/// Why there is no device, if there is none.
cudaError_t device_status() {
  const Settings& settings = machine().settings;
  if (settings.driver_version < CUDART_VERSION / 1000 * 1000) return cudaErrorInsufficientDriver;
  return settings.devices == 0 ? cudaErrorNoDevice : cudaSuccess;
}

}  // namespace

cudaError_t noted(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

Settings settings() {
  const Lock lock(machine().mutex);
  return machine().settings;
}

void set_settings(const Settings& settings) {
  const Lock lock(machine().mutex);
  machine().settings = settings;
}

Counters counters() {
  const Lock lock(machine().mutex);
  return machine().counters;
}

}  // namespace cuda_on_host

using cuda_on_host::Lock;
using cuda_on_host::machine;
using cuda_on_host::noted;

cudaError_t cudaGetLastError() {
  return std::exchange(cuda_on_host::last_error, cudaSuccess);
}

cudaError_t cudaPeekAtLastError() {
  return cuda_on_host::last_error;
}

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
#define CUDA_ON_HOST_NAME(name) \
  case name:                    \
    return #name
    CUDA_ON_HOST_NAME(cudaSuccess);
    CUDA_ON_HOST_NAME(cudaErrorInvalidValue);
    CUDA_ON_HOST_NAME(cudaErrorMemoryAllocation);
    CUDA_ON_HOST_NAME(cudaErrorInvalidConfiguration);
    CUDA_ON_HOST_NAME(cudaErrorInvalidDeviceFunction);
    CUDA_ON_HOST_NAME(cudaErrorInsufficientDriver);
    CUDA_ON_HOST_NAME(cudaErrorNoDevice);
    CUDA_ON_HOST_NAME(cudaErrorInvalidDevice);
    CUDA_ON_HOST_NAME(cudaErrorInvalidResourceHandle);
    CUDA_ON_HOST_NAME(cudaErrorNotReady);
    CUDA_ON_HOST_NAME(cudaErrorLaunchFailure);
    CUDA_ON_HOST_NAME(cudaErrorNotSupported);
    CUDA_ON_HOST_NAME(cudaErrorStreamCaptureUnsupported);
    CUDA_ON_HOST_NAME(cudaErrorStreamCaptureInvalidated);
    CUDA_ON_HOST_NAME(cudaErrorUnknown);
#undef CUDA_ON_HOST_NAME
  }
  return "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {  // NVIDIA's words where widedeq's messages show them
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    case cudaErrorNotSupported:
      return "operation not supported";
    case cudaErrorInsufficientDriver:
      return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorStreamCaptureUnsupported:
      return "operation not permitted when stream is capturing";
    default:
      return cudaGetErrorName(error);
  }
}

cudaError_t cudaDriverGetVersion(int* version) {
  const Lock lock(machine().mutex);
  *version = machine().settings.driver_version;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  const Lock lock(machine().mutex);
  const cudaError_t error = cuda_on_host::device_status();
  *count = error == cudaSuccess ? machine().settings.devices : 0;
  return noted(error);
}

cudaError_t cudaGetDevice(int* device) {
  *device = cuda_on_host::current_device;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  const Lock lock(machine().mutex);
  if (const cudaError_t error = cuda_on_host::device_status(); error != cudaSuccess)
    return noted(error);
  if (device < 0 || device >= machine().settings.devices) return noted(cudaErrorInvalidDevice);
  cuda_on_host::current_device = device;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  const Lock lock(machine().mutex);
  const cuda_on_host::Settings& settings = machine().settings;
  if (device < 0 || device >= settings.devices) return noted(cudaErrorInvalidDevice);
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "CUDA on the host");
  properties->totalGlobalMem = settings.memory;
  properties->sharedMemPerBlock = cuda_on_host::shared_per_block;
  properties->regsPerBlock = 1 << 16;
  properties->warpSize = 32;
  properties->maxThreadsPerBlock = 1024;
  properties->maxGridSize[0] = 0x7FFFFFFF;
  properties->maxGridSize[1] = properties->maxGridSize[2] = 0xFFFF;
  properties->major = settings.major;
  properties->minor = settings.minor;
  properties->multiProcessorCount = cuda_on_host::multiprocessors;
  properties->l2CacheSize = 1 << 20;
  properties->maxThreadsPerMultiProcessor = cuda_on_host::threads_per_multiprocessor;
  properties->sharedMemPerMultiprocessor =
      static_cast<std::size_t>(settings.shared_memory + cuda_on_host::reserved_shared);
  properties->sharedMemPerBlockOptin = static_cast<std::size_t>(settings.shared_memory);
  properties->regsPerMultiprocessor = 1 << 16;
  properties->maxBlocksPerMultiProcessor = 32;
  properties->memoryPoolsSupported = 1;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp properties;
  if (const cudaError_t error = cudaGetDeviceProperties(&properties, device); error != cudaSuccess)
    return error;
  const auto of = [&] {
    switch (attribute) {
      case cudaDevAttrMaxThreadsPerBlock:
        return properties.maxThreadsPerBlock;
      case cudaDevAttrMaxSharedMemoryPerBlock:
        return cuda_on_host::shared_per_block;
      case cudaDevAttrMultiProcessorCount:
        return properties.multiProcessorCount;
      case cudaDevAttrL2CacheSize:
        return properties.l2CacheSize;
      case cudaDevAttrMaxThreadsPerMultiProcessor:
        return properties.maxThreadsPerMultiProcessor;
      case cudaDevAttrComputeCapabilityMajor:
        return properties.major;
      case cudaDevAttrComputeCapabilityMinor:
        return properties.minor;
      case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
        return static_cast<int>(properties.sharedMemPerMultiprocessor);
      case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        return static_cast<int>(properties.sharedMemPerBlockOptin);
      case cudaDevAttrMemoryPoolsSupported:
        return properties.memoryPoolsSupported;
    }
    return 0;
  };
  *value = of();
  return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  const Lock lock(machine().mutex);
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
  if (value < 0 || value > machine().settings.shared_memory) return noted(cudaErrorInvalidValue);
  machine().dynamic_shared_limits[kernel] = static_cast<std::size_t>(value);
  return cudaSuccess;
}

/// By threads and dynamic shared memory alone: nobody here knows a kernel's registers.
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void*, int threads,
                                                          std::size_t shared_bytes) {
  if (threads <= 0 || threads > 1024) return noted(cudaErrorInvalidValue);
  const int by_threads = std::min(32, cuda_on_host::threads_per_multiprocessor / threads);
  // A multiprocessor has what one block may take at most, and both keep some for the system.
  const Lock lock(machine().mutex);
  const int by_shared = (machine().settings.shared_memory + cuda_on_host::reserved_shared) /
                        (static_cast<int>(shared_bytes) + cuda_on_host::reserved_shared);
  *blocks = std::min(by_threads, by_shared);
  return cudaSuccess;
}
