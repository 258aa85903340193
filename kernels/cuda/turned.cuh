// int8 matrices written out entry by entry, as they lie or turned round.
//
// A source says what M(i, j) is: source.at<count>(i, j) are entries i, i + 1, ... of column j, and
// source.can_be_packed(width) whether so many may be asked for at once.
#pragma once

#include <cstdint>

#include "kernels/cuda/columns.cuh"
#include "kernels/error.hpp"

namespace widedeq::cuda {

/// Entries a thread makes at once: 16 bytes of floats, 4 of digits.
inline constexpr int digit_width = 4;

/// out = M
template <class Source, int width>
__global__ void __launch_bounds__(block_threads)
    write_straight_kernel(Source source, MatrixView<std::int8_t> out) {
  const Index j = blockIdx.x;
  for_rows<width>(out.rows, [&](Index i, auto rows) {
    store<rows.value>(out.column(j) + i, source.template at<rows.value>(i, j));
  });
}

template <class Source>
void write_straight(Context& context, const Source& source, MatrixView<std::int8_t> out) {
  const bool pack = source.can_be_packed(digit_width) && can_pack(digit_width, out);
  launch(context, grid_of_columns(out.columns),
         pack ? write_straight_kernel<Source, digit_width> : write_straight_kernel<Source, 1>,
         source, out);
}

namespace turned {

constexpr int tile_size = 64;                                    // rows and columns
constexpr int tile_stride = tile_size + digit_width;             // moves columns to other banks
constexpr int tile_packs = tile_size * tile_size / digit_width;  // pieces of neighbours
constexpr int packs_a_column = tile_size / digit_width;          // of a tile

using Digits = Pack<std::int8_t, digit_width>;

/// Entries i, i + 1, ... of M's column j, zero beyond its last row.
template <int width, class Source>
__device__ Digits digits_of(const Source& source, Index i, Index j, Index rows) {
  if constexpr (width == digit_width)
    if (i + width <= rows) return source.template at<width>(i, j);
  Digits digits{};
  for (int k = 0; k < digit_width && i + k < rows; ++k)
    digits[k] = source.template at<1>(i + k, j)[0];
  return digits;
}

/// A tile a block; row_tiles tiles cover M's rows.
template <class Source, int width>
__global__ void __launch_bounds__(block_threads)
    kernel(Source source, MatrixView<std::int8_t> out, Index row_tiles) {
  __shared__ Digits tile[tile_size * tile_stride / digit_width];  // M's columns
  const Index rows = out.columns, columns = out.rows;             // M's
  const Index first_row = blockIdx.x % row_tiles * tile_size;
  const Index first_column = blockIdx.x / row_tiles * tile_size;
  for (int pack = static_cast<int>(threadIdx.x); pack < tile_packs; pack += block_threads) {
    const int c = pack / packs_a_column, r = pack % packs_a_column * digit_width;
    const Index i = first_row + r, j = first_column + c;
    tile[(c * tile_stride + r) / digit_width] =
        j < columns ? digits_of<width>(source, i, j, rows) : Digits{};
  }
  __syncthreads();
  const auto* digits = reinterpret_cast<const std::int8_t*>(tile);
  for (int pack = static_cast<int>(threadIdx.x); pack < tile_packs; pack += block_threads) {
    const int r = pack / packs_a_column, c = pack % packs_a_column * digit_width;
    const Index i = first_row + r, j = first_column + c;
    if (i >= rows || j >= columns) continue;
    Digits turned;
    for (int k = 0; k < digit_width; ++k)
      turned[k] = digits[(c + k) * tile_stride + r];
    store<digit_width>(out.column(i) + j, turned);
  }
}

}  // namespace turned

/// out = M', through shared memory, so that both are read and written in pieces of neighbouring
/// entries. Columns of `out` begin where packs may be stored, or this throws ShapeError, and have
/// room for whole ones.
template <class Source>
void write_turned(Context& context, const Source& source, MatrixView<std::int8_t> out) {
  using turned::tile_size;
  const Index row_tiles = (out.columns + tile_size - 1) / tile_size;
  const Index column_tiles = (out.rows + tile_size - 1) / tile_size;
  if (!can_pack(digit_width, out)) throw ShapeError("write_turned: columns lie off 4-byte steps");
  launch(context, grid_of_columns(row_tiles * column_tiles),
         source.can_be_packed(digit_width) ? turned::kernel<Source, digit_width>
                                           : turned::kernel<Source, 1>,
         source, out, row_tiles);
}

}  // namespace widedeq::cuda
