// Kernels over the entries of a matrix: a block of threads a column, several rows a thread at once
// where columns begin on boundaries that allow it.
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/pack.hpp"

namespace widedeq::cuda {

/// A block of threads for each of so many columns.
inline Grid grid_of_columns(Index columns) {
  return {.blocks = dim3(static_cast<unsigned>(columns))};
}

/// Entries of T in the 16 bytes that a thread loads at once.
template <class T>
inline constexpr int pack_width = static_cast<int>(16 / sizeof(T));

template <int rows>
using Rows = std::integral_constant<int, rows>;

/// body(i, Rows<width>) for rows i, i + 1, ... i + width - 1 of a column, spread over the block's
/// threads, and body(i, Rows<1>) for the rows that are left over.
template <int width, class Body>
__device__ void for_rows(Index rows, Body body) {
  const Index whole = rows / width * width;
  const auto thread = static_cast<Index>(threadIdx.x), threads = static_cast<Index>(blockDim.x);
  for (Index i = thread * width; i < whole; i += threads * width)
    body(i, Rows<width>());
  if constexpr (width > 1)
    for (Index i = whole + thread; i < rows; i += threads)
      body(i, Rows<1>());
}

/// Whether threads may take `width` rows of every one of the views at once.
template <class... T>
bool can_pack(int width, const MatrixView<T>&... views) {
  return (is_aligned(views, static_cast<std::size_t>(width) * sizeof(T)) && ...);
}

}  // namespace widedeq::cuda
