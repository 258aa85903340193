// The factory's stub for builds without CUDA: the build links this file or the real one.
#include "kernels/backend.hpp"

namespace widedeq {

std::unique_ptr<Backend> make_cuda_backend() {
  throw Unsupported("this widedeq was built without CUDA; use --backend cpu");
}

}  // namespace widedeq
