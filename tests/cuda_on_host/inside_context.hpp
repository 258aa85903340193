// The context that tests of the CUDA backend's insides share.
#pragma once

#include "kernels/cuda/context.hpp"

namespace widedeq::cuda {

inline Context& context() {
  static Context instance(0);
  return instance;
}

}  // namespace widedeq::cuda
