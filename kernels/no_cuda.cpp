// What is known of CUDA in builds without it: the build links this file or the real ones.
#include "kernels/backend.hpp"
#include "kernels/devices.hpp"

namespace widedeq {

std::unique_ptr<Backend> make_cuda_backend() {
  throw Unsupported("this widedeq was built without CUDA; use --backend cpu");
}

DeviceList list_cuda_devices() {
  DeviceList list;
  list.why_none = "this widedeq was built without CUDA; use --backend cpu";
  return list;
}

}  // namespace widedeq
