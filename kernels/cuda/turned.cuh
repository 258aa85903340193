// int8 matrices written out entry by entry, as they lie or turned round.
//
// A source says what M(i, j) is: source.at<count>(i, j) are entries i, i + 1, ... of column j, and
// source.can_be_packed(width) whether so many may be asked for at once. A source of several
// matrices made from the same data has `planes`; its at<count>(i, j, entries) fills one pack a
// plane.
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

template <class Source>
constexpr int planes_of() {
  if constexpr (requires { Source::planes; }) {
    return Source::planes;
  } else {
    return 1;
  }
}

template <int count, class Source>
__device__ void read(const Source& source, Index i, Index j,
                     Pack<std::int8_t, count> (&entries)[planes_of<Source>()]) {
  if constexpr (requires { Source::planes; }) {
    source.template at<count>(i, j, entries);
  } else {
    entries[0] = source.template at<count>(i, j);
  }
}

/// Entries i, i + 1, ... of every plane's column j; what lies beyond its last row stays as it is.
template <int width, class Source>
__device__ void read_digits(const Source& source, Index i, Index j, Index rows,
                            Digits (&digits)[planes_of<Source>()]) {
  if constexpr (width == digit_width)
    if (i + width <= rows) return read<width>(source, i, j, digits);
  for (int k = 0; k < digit_width && i + k < rows; ++k) {
    Pack<std::int8_t, 1> entry[planes_of<Source>()];
    read<1>(source, i + k, j, entry);
    for (int plane = 0; plane < planes_of<Source>(); ++plane)
      digits[plane][k] = entry[plane][0];
  }
}

/// Where the planes go.
template <int planes>
struct Outs {
  MatrixView<std::int8_t> plane[planes];
};

/// A tile a block; row_tiles tiles cover M's rows.
template <class Source, int width>
__global__ void __launch_bounds__(block_threads)
    kernel(Source source, Outs<planes_of<Source>()> outs, Index row_tiles) {
  constexpr int planes = planes_of<Source>();
  constexpr int tile_room = tile_size * tile_stride / digit_width;
  __shared__ Digits tiles[planes * tile_room];             // M's columns
  const MatrixView<std::int8_t>& first = outs.plane[0];    // all are alike
  const Index rows = first.columns, columns = first.rows;  // M's
  const Index first_row = blockIdx.x % row_tiles * tile_size;
  const Index first_column = blockIdx.x / row_tiles * tile_size;
  for (int pack = static_cast<int>(threadIdx.x); pack < tile_packs; pack += block_threads) {
    const int c = pack / packs_a_column, r = pack % packs_a_column * digit_width;
    const Index i = first_row + r, j = first_column + c;
    Digits digits[planes] = {};
    if (j < columns) read_digits<width>(source, i, j, rows, digits);
    for (int plane = 0; plane < planes; ++plane)
      tiles[plane * tile_room + (c * tile_stride + r) / digit_width] = digits[plane];
  }
  __syncthreads();
  for (int plane = 0; plane < planes; ++plane) {
    const auto* digits = reinterpret_cast<const std::int8_t*>(tiles + plane * tile_room);
    for (int pack = static_cast<int>(threadIdx.x); pack < tile_packs; pack += block_threads) {
      const int r = pack / packs_a_column, c = pack % packs_a_column * digit_width;
      const Index i = first_row + r, j = first_column + c;
      if (i >= rows || j >= columns) continue;
      Digits turned;
      for (int k = 0; k < digit_width; ++k)
        turned[k] = digits[(c + k) * tile_stride + r];
      store<digit_width>(outs.plane[plane].column(i) + j, turned);
    }
  }
}

}  // namespace turned

/// out = M' for every plane, through shared memory, so that both are read and written in pieces of
/// neighbouring entries. All are of one shape; their columns begin where packs may be stored, or
/// this throws ShapeError, and have room for whole ones.
template <class Source>
void write_turned(Context& context, const Source& source,
                  const turned::Outs<turned::planes_of<Source>()>& outs) {
  using turned::tile_size;
  const MatrixView<std::int8_t>& first = outs.plane[0];
  const Index row_tiles = (first.columns + tile_size - 1) / tile_size;
  const Index column_tiles = (first.rows + tile_size - 1) / tile_size;
  for (const MatrixView<std::int8_t>& out : outs.plane)
    if (!can_pack(digit_width, out)) throw ShapeError("write_turned: columns lie off 4-byte steps");
  launch(context, grid_of_columns(row_tiles * column_tiles),
         source.can_be_packed(digit_width) ? turned::kernel<Source, digit_width>
                                           : turned::kernel<Source, 1>,
         source, outs, row_tiles);
}

}  // namespace widedeq::cuda
