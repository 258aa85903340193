// The CUDA backend is a module, libwidedeq_cuda.so, loaded when it is first asked for, and only
// where there is a driver: CUDA's libraries take ten times as long to load as the tool takes to
// start (0.09 s against 0.01 s). A module is never unloaded, for backends and their matrices live
// on in it.
#include <dlfcn.h>

#include <string>

#include "kernels/backend.hpp"
#include "kernels/devices.hpp"

namespace widedeq {
namespace {

/// Throws Unsupported, in one sentence, where there is no driver or no module.
void* open_module() {
  // The CUDA runtime looks for the driver in the same way.
  static void* const driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (driver == nullptr) throw Unsupported(no_cuda_driver);
  static void* const module = dlopen("libwidedeq_cuda.so", RTLD_NOW | RTLD_LOCAL);
  // The loader says it once; whoever asks again is to hear it too.
  static const std::string why_not = module == nullptr ? dlerror() : "";
  if (module == nullptr)
    throw Unsupported("the CUDA backend cannot be loaded (" + why_not + "); use --backend cpu");
  return module;
}

/// A function of the module by its name in kernels/cuda/module.cpp.
template <class Function>
Function* door(const char* name) {
  auto* function = reinterpret_cast<Function*>(dlsym(open_module(), name));
  if (function == nullptr)
    throw Unsupported(std::string("libwidedeq_cuda.so is of another version (it lacks ") + name +
                      "); use --backend cpu");
  return function;
}

}  // namespace

std::unique_ptr<Backend> make_cuda_backend() {
  return std::unique_ptr<Backend>(door<Backend*()>("widedeq_make_cuda_backend")());
}

DeviceList list_cuda_devices() {
  DeviceList list;
  try {
    door<void(DeviceList*)>("widedeq_list_cuda_devices")(&list);
  } catch (const Unsupported& error) {
    list.why_none = error.what();
  }
  return list;
}

}  // namespace widedeq
