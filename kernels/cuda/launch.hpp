// Launching a kernel on a context's stream, with its status checked.
#pragma once

#include <algorithm>
#include <utility>

#include "kernels/cuda/context.hpp"
#include "kernels/matrix_view.hpp"

namespace widedeq::cuda {

/// Threads of a block where nothing speaks for another number.
inline constexpr int block_threads = 256;

/// How a kernel is cut up.
struct Grid {
  dim3 blocks;
  int threads = block_threads;
  std::size_t shared_bytes = 0;  // dynamic shared memory
};

/// Blocks for `count` pieces of work, a thread each; kernels go on in strides of the grid where
/// there are fewer threads than pieces.
inline Grid grid_for(Index count, int threads = block_threads) {
  constexpr Index most_blocks = 1 << 20;
  const Index blocks = std::clamp<Index>((count + threads - 1) / threads, 1, most_blocks);
  return {.blocks = dim3(static_cast<unsigned>(blocks)), .threads = threads};
}

/// Enqueues kernel(arguments...) on `stream`. Does nothing for an empty grid.
template <class... Parameters, class... Arguments>
void launch(cudaStream_t stream, const Grid& grid, void (*kernel)(Parameters...),
            Arguments&&... arguments) {
  if (grid.blocks.x == 0 || grid.blocks.y == 0 || grid.blocks.z == 0) return;
  cudaLaunchConfig_t configuration{};
  configuration.gridDim = grid.blocks;
  configuration.blockDim = dim3(static_cast<unsigned>(grid.threads));
  configuration.dynamicSmemBytes = grid.shared_bytes;
  configuration.stream = stream;
  WIDEDEQ_CUDA_CHECK(
      cudaLaunchKernelEx(&configuration, kernel, std::forward<Arguments>(arguments)...));
}

template <class... Parameters, class... Arguments>
void launch(const Context& context, const Grid& grid, void (*kernel)(Parameters...),
            Arguments&&... arguments) {
  launch(context.stream(), grid, kernel, std::forward<Arguments>(arguments)...);
}

}  // namespace widedeq::cuda
