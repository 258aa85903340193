// What the CUDA runtime says of this machine's devices; see kernels/devices.hpp.
#include "kernels/devices.hpp"

#include <cuda_runtime.h>

#include <string>

#include "kernels/cuda/devices.hpp"

namespace widedeq {
namespace {

/// 13000 is "13.0".
std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

/// The reason why the runtime finds no device, in a user's words.
std::string explain(cudaError_t status, int driver) {
  if (driver == 0) return no_cuda_driver;
  if (status == cudaErrorInsufficientDriver)
    return "the NVIDIA driver is too old: it knows CUDA " + version_text(driver) +
           ", this widedeq was built with " + version_text(CUDART_VERSION) +
           "; update the driver, or use --backend cpu";
  if (status == cudaErrorNoDevice || status == cudaSuccess)
    return "the NVIDIA driver finds no GPU (CUDA_VISIBLE_DEVICES may hide it); use --backend cpu";
  return std::string("the CUDA runtime does not start: ") + cudaGetErrorString(status) +
         "; use --backend cpu";
}

/// 0 where the device does not tell. Starts the device for this process, which takes a moment and
/// some hundred megabytes of its memory; the thread's own device stays what it is.
double free_memory_of(int index) {
  int before = 0;
  (void)cudaGetDevice(&before);
  std::size_t free = 0, total = 0;
  if (cudaSetDevice(index) != cudaSuccess || cudaMemGetInfo(&free, &total) != cudaSuccess) free = 0;
  (void)cudaSetDevice(before);
  (void)cudaGetLastError();
  return static_cast<double>(free);
}

DeviceList list_devices(bool with_free_memory) {
  DeviceList list;
  int driver = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess) driver = 0;
  list.toolkit = version_text(CUDART_VERSION);
  list.driver = driver == 0 ? "none" : version_text(driver);
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  (void)cudaGetLastError();
  if (status != cudaSuccess || count == 0) {
    list.why_none = explain(status, driver);
    return list;
  }
  for (int index = 0; index < count; ++index) {
    cudaDeviceProp properties{};
    DeviceInfo device;
    device.index = index;
    if (const cudaError_t failed = cudaGetDeviceProperties(&properties, index);
        failed != cudaSuccess) {
      (void)cudaGetLastError();
      device.why_not = cudaGetErrorString(failed);
      list.devices.push_back(device);
      continue;
    }
    device.name = properties.name;
    device.major = properties.major;
    device.minor = properties.minor;
    device.multiprocessors = properties.multiProcessorCount;
    device.memory = static_cast<double>(properties.totalGlobalMem);
    if (device.major < cuda::least_capability)
      device.why_not = "compute capability " + std::to_string(device.major) + "." +
                       std::to_string(device.minor) + " is below " +
                       std::to_string(cuda::least_capability) + ".0";
    if (with_free_memory) device.free_memory = free_memory_of(index);
    list.devices.push_back(device);
  }
  return list;
}

}  // namespace

DeviceList list_cuda_devices() {
  return list_devices(true);
}

std::vector<int> cuda::usable_devices() {
  const DeviceList list = list_devices(false);
  if (list.devices.empty()) throw Unsupported(list.why_none);
  std::vector<int> usable;
  for (const DeviceInfo& device : list.devices)
    if (device.why_not.empty()) usable.push_back(device.index);
  if (!usable.empty()) return usable;
  const DeviceInfo& first = list.devices.front();
  throw Unsupported("no GPU here can be used (" + first.name + ": " + first.why_not +
                    "); use --backend cpu");
}

}  // namespace widedeq
