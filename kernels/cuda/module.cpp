// The doors of the module that the CUDA backend is; kernels/cuda_module.cpp opens them.
#include "kernels/backend.hpp"
#include "kernels/devices.hpp"

extern "C" widedeq::Backend* widedeq_make_cuda_backend() {
  return widedeq::make_cuda_backend().release();
}

extern "C" void widedeq_list_cuda_devices(widedeq::DeviceList* list) {
  *list = widedeq::list_cuda_devices();
}
