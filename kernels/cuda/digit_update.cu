// Rank updates by int8 products; see digit_update.hpp.
//
//   units     u_i, v_j from the largest entry of every row
//   digits    both factors' rows, taken apart and turned round: the library's int8 products want
//             what they sum over in the columns
//   products  for a panel of C's columns at a time, one of each order
//   add       C += alpha u_i v_j (s0 + s1 / 256 + s2 / 256^2), and ||G||^2 by columns
//
// On an H200 at 16384 x 1024, when there were eight products and four sums: 6.0 ms, of which 3.5
// are products (1,270 Top/s) and 1.6 the adding of sums, 24 bytes an entry at the memory's rate; in
// single precision 11.6.
#include "kernels/cuda/digit_update.hpp"

#include <algorithm>
#include <functional>
#include <limits>

#include "kernels/cuda/blas.hpp"
#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/multiply.hpp"
#include "kernels/cuda/turned.cuh"
#include "kernels/digit_update.hpp"

namespace widedeq::cuda {
namespace {

/// A factor of the update: its entries times diag r, where there is one.
struct Factor {
  MatrixView<const float> M;
  const double* r;  // null: ones

  __device__ float weight(Index k) const { return r == nullptr ? 1.0F : static_cast<float>(r[k]); }
};

// ---- units

/// Columns that a thread looks through for the largest entry of its row.
constexpr Index depth_a_thread = 128;

/// mine = the larger of two magnitudes; what is not a number is larger than all.
__device__ inline void keep_larger(float& mine, float other) {
  if (!(other <= mine) && mine == mine) mine = other;
}

/// largest(i, c) = the largest |entry| in row i of the c-th so many columns; NaN and infinity win.
__global__ void __launch_bounds__(block_threads)
    largest_kernel(Factor factor, MatrixView<float> largest, Index row_blocks) {
  const Index chunk = blockIdx.x / row_blocks;
  const Index i = blockIdx.x % row_blocks * block_threads + threadIdx.x;
  if (i >= factor.M.rows) return;
  const Index begin = chunk * depth_a_thread;
  const Index left = factor.M.columns - begin;
  float mine = 0.0F;
  for (Index k = begin; k < begin + (left < depth_a_thread ? left : depth_a_thread); ++k)
    keep_larger(mine, std::abs(factor.weight(k) * factor.M(i, k)));
  largest(i, chunk) = mine;
}

/// The unit of a row or column with that largest magnitude.
__device__ inline float unit_of(float largest) {
  constexpr float most = std::numeric_limits<float>::max();
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  return largest <= most ? int8_scale(largest) : nan;
}

/// units[i] = the row's; NaN where an entry is not finite.
__global__ void __launch_bounds__(block_threads)
    units_kernel(MatrixView<const float> largest, float* units) {
  const Index i = static_cast<Index>(blockIdx.x) * block_threads + threadIdx.x;
  if (i >= largest.rows) return;
  float mine = 0.0F;
  for (Index chunk = 0; chunk < largest.columns; ++chunk)
    keep_larger(mine, largest(i, chunk));
  units[i] = unit_of(mine);
}

/// The floats that find_units() writes on: the units first.
Index unit_floats(const MatrixView<const float>& M) {
  const Index chunks = (M.columns + depth_a_thread - 1) / depth_a_thread;
  return padded_rows(M.rows, sizeof(float)) * (1 + chunks);
}

void find_units(Context& context, const Factor& factor, float* units) {
  const Index rows = factor.M.rows;
  const Index stride = padded_rows(rows, sizeof(float));
  const Index chunks = unit_floats(factor.M) / stride - 1;
  const MatrixView<float> largest(units + stride, rows, chunks, stride);
  const Index row_blocks = (rows + block_threads - 1) / block_threads;
  launch(context, grid_of_columns(row_blocks * chunks), largest_kernel, factor, largest,
         row_blocks);
  launch(context, grid_of_columns(row_blocks), units_kernel, MatrixView<const float>(largest),
         units);
}

// ---- digits

/// Entry c of every digit: those of `entry`, in its unit.
template <int count>
__device__ void put_digits(Pack<std::int8_t, count> (&digits)[update_digits], int c, float entry) {
  for (int position = 0; position < update_digits; ++position)
    digits[position][c] = digit_of(entry, position);
}

/// All digits of a factor's entries, in units of their rows; zero beyond its columns.
struct RowDigits {
  static constexpr int planes = update_digits;
  Factor factor;
  const float* units;

  template <int count>
  __device__ void at(Index i, Index k, Pack<std::int8_t, count> (&digits)[planes]) const {
    if (k >= factor.M.columns) {
      for (auto& plane : digits)
        plane = {};
      return;
    }
    const auto entries = load<count>(factor.M.column(k) + i);
    const auto unit = load<count>(units + i);
    const float weight = factor.weight(k);
    for (int c = 0; c < count; ++c)
      put_digits(digits, c, weight * entries[c] * (1.0F / unit[c]));
  }
  bool can_be_packed(int width) const { return can_pack(width, factor.M); }
};

/// The digits of a factor's rows, each a column of update_digits * depth.
MatrixView<std::int8_t> digits_of(std::int8_t* memory, const Factor& factor, Index depth) {
  return {memory, update_digits * depth, factor.M.rows};
}

/// Room for as many columns as the library looks at.
Index digit_room(const Factor& factor, Index depth) {
  return update_digits * depth * padded_size(factor.M.rows);
}

/// Which of a row's digits come first.
enum class Order : std::uint8_t { ascending, descending };

void take_apart(Context& context, const Factor& factor, const float* units, Order order,
                MatrixView<std::int8_t> digits) {
  const Index depth = digits.rows / update_digits;
  turned::Outs<update_digits> places;
  for (int position = 0; position < update_digits; ++position) {
    const int place = order == Order::ascending ? position : update_digits - 1 - position;
    places.plane[position] = {digits.data + place * depth, depth, digits.columns, digits.stride};
  }
  write_turned(context, RowDigits{factor, units}, places);
}

// ---- sums

/// The exact sums of one panel.
struct Sums {
  MatrixView<std::int32_t> of_order[update_orders];
};

/// C += alpha u v' o (s0 + s1 / 256 + s2 / 256^2); squares[j] = ||what alpha
/// multiplies||^2
template <int width>
__global__ void __launch_bounds__(block_threads)
    add_sums_kernel(MatrixView<float> C, float alpha, Sums sums, const float* u, const float* v,
                    double* squares) {
  constexpr float weight = 1.0F / 256.0F;
  const Index j = blockIdx.x;
  double mine = 0.0;
  for_rows<width>(C.rows, [&](Index i, auto rows) {
    auto entries = load<rows.value>(C.column(j) + i);
    const auto units = load<rows.value>(u + i);
    float G[rows.value] = {};
    for (int order = update_orders - 1; order >= 0; --order) {  // small terms first
      const auto exact = load<rows.value>(sums.of_order[order].column(j) + i);
      for (int k = 0; k < rows.value; ++k)
        G[k] = G[k] * weight + static_cast<float>(exact[k]);
    }
    for (int k = 0; k < rows.value; ++k) {
      const float entry = units[k] * G[k] * v[j];
      entries[k] += alpha * entry;
      mine += static_cast<double>(entry) * static_cast<double>(entry);
    }
    store<rows.value>(C.column(j) + i, entries);
  });
  if (squares == nullptr) return;
  const double sum = block_reduce<block_threads>(mine, std::plus<double>());
  if (threadIdx.x == 0) squares[j] = sum;
}

/// Columns of C whose sums exist at a time: a multiple of 128, or all of them.
Index panel_columns(Index panel_bytes, Index stride, Index columns) {
  const Index fitting = panel_bytes / (update_orders * Index{sizeof(std::int32_t)} * stride);
  return std::min(columns, std::max<Index>(fitting / 128 * 128, 128));
}

/// C += alpha u v' o (sums over the digits that e and d have in their columns, `depth` of each);
/// squares as in rank_update_in_digits().
void add_products(Context& context, MatrixView<float> C, double alpha,
                  MatrixView<const std::int8_t> e, MatrixView<const std::int8_t> d, const float* u,
                  const float* v, double* squares, Index panel_bytes) {
  const Index depth = e.rows / update_digits;
  const Index stride = padded_rows(C.rows, sizeof(std::int32_t));
  const Index widest = panel_columns(panel_bytes, stride, C.columns);
  const Index room = stride * padded_size(widest);
  auto* products = context.scratch<std::int32_t>(Scratch::product,
                                                 static_cast<std::size_t>(update_orders * room));
  for (Index first = 0; first < C.columns; first += widest) {
    const Index count = std::min(widest, C.columns - first);
    Sums sums;
    for (int order = 0; order < update_orders; ++order) {
      const DigitOrder what = digit_order(order);
      const Index terms = what.pairs * depth;
      sums.of_order[order] = {products + order * room, C.rows, count, stride};
      multiply_integers(context, {e.data, terms, e.columns, e.stride},
                        {d.column(first) + what.first_place * depth, terms, count, d.stride},
                        sums.of_order[order]);
    }
    const auto part = C.middle_columns(first, count);
    constexpr int width = 4;
    launch(context, grid_of_columns(count),
           can_pack(width, part) ? add_sums_kernel<width> : add_sums_kernel<1>, part,
           static_cast<float>(alpha), sums, u, v + first,
           squares == nullptr ? nullptr : squares + first);
  }
}

// ---- columns taken apart

struct LargerOrNan {
  __device__ float operator()(float a, float b) const {
    keep_larger(a, b);
    return a;
  }
};

/// units[j] = column j's; NaN where an entry is not finite.
__global__ void __launch_bounds__(block_threads)
    column_units_kernel(MatrixView<const float> M, float* units) {
  const Index j = blockIdx.x;
  float mine = 0.0F;
  for_rows<1>(M.rows, [&](Index i, auto) { keep_larger(mine, std::abs(M(i, j))); });
  const float largest = block_reduce<block_threads>(mine, LargerOrNan());
  if (threadIdx.x == 0) units[j] = unit_of(largest);
}

/// The digits of a column, in both orders and zero behind its last row.
__global__ void __launch_bounds__(block_threads)
    column_digits_kernel(MatrixView<const float> M, const float* units,
                         MatrixView<std::int8_t> ascending, MatrixView<std::int8_t> descending) {
  const Index j = blockIdx.x, depth = ascending.rows / update_digits;
  const float inverse = 1.0F / units[j];
  for_rows<digit_width>(depth, [&](Index i, auto rows) {
    Pack<std::int8_t, rows.value> digits[update_digits];
    for (int c = 0; c < rows.value; ++c)
      put_digits(digits, c, i + c < M.rows ? M(i + c, j) * inverse : 0.0F);
    for (int position = 0; position < update_digits; ++position) {
      store(ascending.column(j) + position * depth + i, digits[position]);
      store(descending.column(j) + (update_digits - 1 - position) * depth + i, digits[position]);
    }
  });
}

}  // namespace

void rank_update_in_digits(Context& context, MatrixView<float> C, double alpha,
                           MatrixView<const float> left, const double* r,
                           MatrixView<const float> right, double* squares, Index panel_bytes) {
  const Factor factors[2] = {{left, r}, {right, nullptr}};
  const Index depth = padded_size(left.columns);

  auto* u = context.scratch<float>(
      Scratch::second_product, static_cast<std::size_t>(unit_floats(left) + unit_floats(right)));
  float* v = u + unit_floats(left);
  find_units(context, factors[0], u);
  find_units(context, factors[1], v);

  auto* memory = context.scratch<std::int8_t>(
      Scratch::digits,
      static_cast<std::size_t>(digit_room(factors[0], depth) + digit_room(factors[1], depth)));
  const auto e = digits_of(memory, factors[0], depth);
  const auto d = digits_of(memory + digit_room(factors[0], depth), factors[1], depth);
  take_apart(context, factors[0], u, Order::ascending, e);
  take_apart(context, factors[1], v, Order::descending, d);
  add_products(context, C, alpha, e, d, u, v, squares, panel_bytes);
}

void symmetric_product_in_digits(Context& context, MatrixView<const float> M,
                                 MatrixView<float> product) {
  const Index n = M.columns, digits = update_digits * padded_size(M.rows);
  const Index room = digits * padded_size(n);
  auto* units = context.scratch<float>(Scratch::second_product, static_cast<std::size_t>(n));
  auto* memory = context.scratch<std::int8_t>(Scratch::digits, static_cast<std::size_t>(2 * room));
  const MatrixView<std::int8_t> e(memory, digits, n), d(memory + room, digits, n);
  launch(context, grid_of_columns(n), column_units_kernel, M, units);
  launch(context, grid_of_columns(n), column_digits_kernel, M, static_cast<const float*>(units), e,
         d);
  clear(context, product);
  add_products(context, product, 1.0, e, d, units, units, nullptr, Index{256} << 20);
}

}  // namespace widedeq::cuda
