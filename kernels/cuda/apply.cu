// A times a vector, straight from the masters, in double; see multiply.hpp.
//
//   y  = step base x + change x + left (right' x)      A x
//   y  = step base' x + change' x + right (left' x)    A' x
//
// Each matrix is read once, along its columns, whichever way it is used:
//   M x    a block of threads takes some rows of some columns and writes a part of the sum; the
//          parts are added up in the order of the columns.
//   M' x   a block of threads takes a few columns from end to end, a dot product each.
// On an H200 an int8 base of width 16384 is read at 2.1 and 1.7 TB/s, of the memory's 4.1.
#include <algorithm>
#include <functional>

#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/multiply.hpp"
#include "kernels/cuda/vectors.hpp"
#include "kernels/stage_checks.hpp"

namespace widedeq::cuda {
namespace {

/// M x is made in parts of so many columns or a multiple of that. A part costs 16 bytes of traffic
/// a row, and 64 columns of int8 are 64.
constexpr int step_columns = 64;
/// No more parts than this: 64 MiB of them at a width of 65536.
constexpr Index most_parts = 128;
/// Columns whose dot products share what is loaded of x.
constexpr int together = 4;

/// Rows a thread takes at once: 16 bytes of reals, and no more than 4 sums in registers.
template <class T>
constexpr int rows_at_once = std::min(4, pack_width<T>);

/// Columns of a part.
constexpr Index part_columns(Index columns) {
  const Index steps = (columns + step_columns - 1) / step_columns;
  return std::max<Index>(1, (steps + most_parts - 1) / most_parts) * step_columns;
}

constexpr Index parts_of(Index columns) {
  const Index each = part_columns(columns);
  return (columns + each - 1) / each;
}

/// parts(i, p) = factor sum_k M(i, k) x[k] over the columns k of part p = blockIdx.y.
template <class T, int width>
__global__ void part_kernel(MatrixView<const T> M, double factor, const double* __restrict__ x,
                            MatrixView<double> parts) {
  __shared__ double x_here[step_columns];
  const Index each = part_columns(M.columns);
  const Index from = static_cast<Index>(blockIdx.y) * each;
  const Index end = std::min(from + each, M.columns);
  const Index row = (static_cast<Index>(blockIdx.x) * block_threads + threadIdx.x) * width;
  const bool is_whole = row + width <= M.rows;
  double sums[width] = {};
  for (Index first = from; first < end; first += step_columns) {
    const int count = static_cast<int>(std::min<Index>(step_columns, end - first));
    __syncthreads();  // the last step's have been used
    if (static_cast<int>(threadIdx.x) < count)
      x_here[threadIdx.x] = factor * x[first + threadIdx.x];
    __syncthreads();

    const auto sum_up = [&](Index at, auto rows, double* to) {
      const T* entries = M.column(first) + at;
#pragma unroll 8
      for (int k = 0; k < count; ++k) {
        const auto pack = load<rows.value>(entries + k * M.stride);
        for (int l = 0; l < rows.value; ++l)
          to[l] += x_here[k] * static_cast<double>(pack[l]);
      }
    };
    if (is_whole) {
      sum_up(row, Rows<width>(), sums);
    } else {
#pragma unroll
      for (int l = 0; l < width; ++l)
        if (row + l < M.rows) sum_up(row + l, Rows<1>(), sums + l);
    }
  }
#pragma unroll
  for (int l = 0; l < width; ++l)
    if (row + l < M.rows) parts(row + l, blockIdx.y) = sums[l];
}

/// y[i] = sum_p parts(i, p), on top of what is there with `onto`.
__global__ void add_parts_kernel(MatrixView<const double> parts, bool onto, double* y) {
  const Index i = static_cast<Index>(blockIdx.x) * block_threads + threadIdx.x;
  if (i >= parts.rows) return;
  double sum = onto ? y[i] : 0.0;
#pragma unroll 8
  for (Index p = 0; p < parts.columns; ++p)
    sum += parts(i, p);
  y[i] = sum;
}

/// y[k] = factor sum_i M(i, k) x[i], on top of what is there with `onto`; `together` columns a
/// block. x is on a 16-byte boundary.
template <class T, int width>
__global__ void dot_kernel(MatrixView<const T> M, double factor, const double* __restrict__ x,
                           bool onto, double* y) {
  const Index first = static_cast<Index>(blockIdx.x) * together;
  const int count = static_cast<int>(std::min<Index>(together, M.columns - first));
  double sums[together] = {};
  for_rows<width>(M.rows, [&](Index i, auto rows) {
    double factors[rows.value];
    constexpr int pair = rows.value == 1 ? 1 : 2;
    for (int l = 0; l < rows.value; l += pair) {
      const auto entries = load<pair>(x + i + l);
      for (int h = 0; h < pair; ++h)
        factors[l + h] = entries[h];
    }
    for (int c = 0; c < together; ++c) {
      if (c >= count) continue;
      const auto pack = load<rows.value>(M.column(first + c) + i);
      for (int l = 0; l < rows.value; ++l)
        sums[c] += static_cast<double>(pack[l]) * factors[l];
    }
  });
  for (int c = 0; c < together; ++c) {
    const double sum = block_reduce<block_threads>(sums[c], std::plus<double>());
    if (threadIdx.x == 0 && c < count) y[first + c] = (onto ? y[first + c] : 0.0) + factor * sum;
  }
}

/// y = factor M x, or y += that. `parts` is memory for M.rows x parts_of(M.columns).
template <class T>
void multiply_plain(Context& context, MatrixView<const T> M, double factor, const double* x,
                    bool onto, double* parts, double* y) {
  constexpr int width = rows_at_once<T>;
  const MatrixView<double> sums(parts, M.rows, parts_of(M.columns));
  const bool packs = can_pack(width, M);
  const Index rows_a_thread = packs ? width : 1;
  Grid grid = grid_for((M.rows + rows_a_thread - 1) / rows_a_thread);
  grid.blocks.y = static_cast<unsigned>(sums.columns);
  launch(context, grid, packs ? part_kernel<T, width> : part_kernel<T, 1>, M, factor, x, sums);
  launch(context, grid_for(M.rows), add_parts_kernel, MatrixView<const double>(sums), onto, y);
}

/// y = factor M' x, or y += that.
template <class T>
void multiply_transposed(Context& context, MatrixView<const T> M, double factor, const double* x,
                         bool onto, double* y) {
  constexpr int width = rows_at_once<T>;
  launch(context, grid_of_columns((M.columns + together - 1) / together),
         can_pack(width, M) ? dot_kernel<T, width> : dot_kernel<T, 1>, M, factor, x, onto, y);
}

template <class Real>
void apply_as(Context& context, const WeightView& A, Transpose transpose, std::span<const double> x,
              std::span<double> y) {
  const bool transposed = transpose == Transpose::yes;
  const auto base = A.base.as<const std::int8_t>();
  const auto change = view_or_none<Real>(A.change);
  const auto left = view_or_none<Real>(transposed ? A.right : A.left);
  const auto right = view_or_none<Real>(transposed ? A.left : A.right);
  const Index m = base.rows, k = left.columns;
  if (m == 0) return;

  auto* x_there = context.scratch<double>(
      Scratch::sums, static_cast<std::size_t>(2 * m + k + m * std::max(parts_of(m), parts_of(k))));
  double* y_there = x_there + m;
  double* dots = y_there + m;
  double* parts = dots + k;
  send(context, x, x_there);
  const auto multiply = [&](auto M, double factor, bool onto) {
    if (M.empty()) return;
    if (transposed) {
      multiply_transposed(context, M, factor, x_there, onto, y_there);
    } else {
      multiply_plain(context, M, factor, x_there, onto, parts, y_there);
    }
  };
  multiply(base, A.step, false);
  multiply(change, 1.0, true);
  if (k > 0) {
    multiply_transposed(context, right, 1.0, x_there, false, dots);
    multiply_plain(context, left, 1.0, dots, true, parts, y_there);
  }
  fetch(context, y_there, y);
}

}  // namespace

void apply(Context& context, const WeightView& A, Transpose transpose, std::span<const double> x,
           std::span<double> y) {
  check_apply(A, x, y);
  if (has_doubles(A)) {
    apply_as<double>(context, A, transpose, x, y);
  } else {
    apply_as<float>(context, A, transpose, x, y);
  }
}

}  // namespace widedeq::cuda
