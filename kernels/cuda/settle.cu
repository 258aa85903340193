// Bringing the residual plane's share of P up to date, in mixed precision.
//
//   P += s op(E) (Zhat - Zref)     Zref += what was taken of the difference
//
// E, what A's int8 base leaves out, is e0 + e1/256 + e2/256^2 + U V' (DigitOperand); the difference
// is taken as d0 + d1/256 + d2/256^2, with a unit for each column. Of the products e_i d_j those
// with i + j < digits are formed, the small ones first. What was not taken stays in the difference,
// for the next settling. The factors U and V are applied in single precision to what was taken:
// P += s U (V' taken).
//
// A block of threads takes a column's difference, or adds a column's products; products are the
// library's. What is summed up of a column lies in a Settling, and the host looks at all of them
// once, at the end.
#include "kernels/cuda/settle.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/multiply.hpp"
#include "kernels/cuda/operand.hpp"
#include "kernels/element.hpp"

namespace widedeq::cuda {
namespace {

/// What settling takes from a column, and what it gives; sums of squares.
struct Settling {
  double moved = 0.0;    // ||applied - settled||^2
  double size = 0.0;     // ||applied||^2
  double plane = 0.0;    // what the first digits' product has added to P
  double factors = 0.0;  // what the factors have added
  float unit = 1.0F;     // of the first digit of the difference
};

struct Largest {
  __device__ float operator()(float a, float b) const { return a < b ? b : a; }
};

/// Rows a thread deals with at once.
constexpr int row_width = pack_width<float>;

// ---- taking the difference apart

/// ||d||^2 and ||applied||^2 of a column with d = applied - settled, and the unit that d's digits
/// have. Every thread gets them.
template <int width>
__device__ Settling measure_column(const float* applied, const float* settled, Index m) {
  double moved = 0.0, size = 0.0;
  float largest = 0.0F;
  for_rows<width>(m, [&](Index i, auto rows) {
    const auto now = load<rows.value>(applied + i), then = load<rows.value>(settled + i);
    for (int k = 0; k < rows.value; ++k) {
      const float d = now[k] - then[k];
      moved += static_cast<double>(d) * static_cast<double>(d);
      size += static_cast<double>(now[k]) * static_cast<double>(now[k]);
      largest = Largest()(largest, std::abs(d));
    }
  });
  Settling column;
  column.moved = block_reduce<block_threads>(moved, std::plus<double>());
  column.size = block_reduce<block_threads>(size, std::plus<double>());
  column.unit = int8_scale(block_reduce<block_threads>(largest, Largest()));
  return column;
}

/// The digits of the difference, m x n each, one behind the other.
struct DigitRoom {
  std::int8_t* data = nullptr;
  Index rows = 0, columns = 0, stride = 0;

  static std::size_t bytes(Index rows, Index columns, int digits) {
    return static_cast<std::size_t>(padded_rows(rows, 1) * padded_size(columns) * digits);
  }
  WIDEDEQ_HOST_DEVICE MatrixView<std::int8_t> operator[](int digit) const {
    return {data + digit * stride * padded_size(columns), rows, columns, stride};
  }
};

/// applied - settled as `digits` int8 digits, settled following; or, without digits, all of it at
/// once. What was taken goes to `taken` as well, unless that is empty.
template <int width>
__global__ void __launch_bounds__(block_threads)
    take_kernel(MatrixView<const float> applied, MatrixView<float> settled, int digits,
                DigitRoom room, MatrixView<float> taken, Settling* settlings) {
  const Index j = blockIdx.x;
  const float* now = applied.column(j);
  float* then = settled.column(j);
  const Settling column = measure_column<width>(now, then, applied.rows);
  if (threadIdx.x == 0) settlings[j] = column;
  for_rows<width>(applied.rows, [&](Index i, auto rows) {
    constexpr int count = rows.value;
    const auto target = load<count>(now + i), before = load<count>(then + i);
    auto reached = before;
    float unit = column.unit;
    for (int position = 0; position < digits; ++position) {
      const float inverse = 1.0F / unit;
      Pack<std::int8_t, count> out;
      for (int k = 0; k < count; ++k) {
        // digit = round((applied - settled) / unit), settled += unit digit
        const float digit = int8_round(target[k] - reached[k], inverse);
        reached[k] += unit * digit;
        out[k] = static_cast<std::int8_t>(digit);
      }
      store<count>(room[position].column(j) + i, out);
      unit /= static_cast<float>(digit_ratio);
    }
    if (digits == 0) reached = target;
    store<count>(then + i, reached);
    if (taken.data == nullptr) return;
    Pack<float, count> difference;
    for (int k = 0; k < count; ++k)
      difference[k] = reached[k] - before[k];
    store<count>(taken.column(j) + i, difference);
  });
}

// ---- adding what was taken

/// P += unit * (the column's unit) * product; notes the square of what was added.
template <int width>
__global__ void __launch_bounds__(block_threads)
    add_product_kernel(MatrixView<float> P, MatrixView<const std::int32_t> product, double unit,
                       Settling* settlings) {
  const Index j = blockIdx.x;
  const auto factor = static_cast<float>(unit * static_cast<double>(settlings[j].unit));
  double added = 0.0;
  for_rows<width>(P.rows, [&](Index i, auto rows) {
    auto entries = load<rows.value>(P.column(j) + i);
    const auto sums = load<rows.value>(product.column(j) + i);
    for (int k = 0; k < rows.value; ++k) {
      const float sum = factor * static_cast<float>(sums[k]);
      entries[k] += sum;
      added += static_cast<double>(sum) * static_cast<double>(sum);
    }
    store<rows.value>(P.column(j) + i, entries);
  });
  added = block_reduce<block_threads>(added, std::plus<double>());
  if (threadIdx.x == 0) settlings[j].plane = added;
}

/// P += sums; notes its square.
template <int width>
__global__ void __launch_bounds__(block_threads)
    add_share_kernel(MatrixView<float> P, MatrixView<const float> share, Settling* settlings) {
  const Index j = blockIdx.x;
  double added = 0.0;
  for_rows<width>(P.rows, [&](Index i, auto rows) {
    auto entries = load<rows.value>(P.column(j) + i);
    const auto sums = load<rows.value>(share.column(j) + i);
    for (int k = 0; k < rows.value; ++k) {
      entries[k] += sums[k];
      added += static_cast<double>(sums[k]) * static_cast<double>(sums[k]);
    }
    store<rows.value>(P.column(j) + i, entries);
  });
  added = block_reduce<block_threads>(added, std::plus<double>());
  if (threadIdx.x == 0) settlings[j].factors = added;
}

/// One settling's views and buffers. `taken` and what is made of it come after P's height.
struct Work {
  MatrixView<float> P, settled;
  MatrixView<const float> applied;
  DigitRoom room;
  MatrixView<float> taken;  // m x n, with factors only
  MatrixView<float> inner;  // factors x n
  Settling* settlings = nullptr;
  void* product = nullptr;  // m x n int32 or float, with padded strides and columns
  Index stride = 0;         // of products

  MatrixView<std::int32_t> integers() const {
    return {static_cast<std::int32_t*>(product), P.rows, P.columns, stride};
  }
  MatrixView<float> reals() const {
    return {static_cast<float*>(product), P.rows, P.columns, stride};
  }
};

Work prepare(Context& context, SweepState& state, int digits, Index factors) {
  const Index m = state.P.rows(), n = state.count;
  Work work;
  work.P = state.P.columns(0, n).as<float>();
  work.settled = state.settled.columns(0, n).as<float>();
  work.applied = state.applied.columns(0, n).as<float>();
  work.settlings = context.scratch<Settling>(Scratch::sums, static_cast<std::size_t>(n));
  work.stride = padded_size(m);  // products are rounded up to steps of 16 in both directions
  if (digits > 0 || factors > 0)
    work.product = context.scratch<std::int32_t>(
        Scratch::product, static_cast<std::size_t>(work.stride * padded_size(n)));
  if (digits > 0)
    work.room = {context.scratch<std::int8_t>(Scratch::digits, DigitRoom::bytes(m, n, digits)), m,
                 n, padded_rows(m, 1)};
  if (factors > 0) {
    const Index inner_stride = padded_rows(factors, sizeof(float));
    auto* reals = context.scratch<float>(
        Scratch::reals, static_cast<std::size_t>((work.stride + inner_stride) * n));
    work.taken = {reals, m, n, work.stride};
    work.inner = {reals + work.stride * n, factors, n, inner_stride};
  }
  return work;
}

void take(Context& context, const Work& work, int digits) {
  const auto kernel =
      can_pack(row_width, work.applied, work.settled) ? take_kernel<row_width> : take_kernel<1>;
  launch(context, grid_of_columns(work.P.columns), kernel, work.applied, work.settled, digits,
         work.room, work.taken, work.settlings);
}

/// P += s op(plane) taken; the first digits' product comes last, and its size stays noted.
void add_plane(Context& context, const Work& work, const Sweep& sweep, const DigitOperand& A,
               int digits) {
  const auto kernel =
      can_pack(row_width, work.P) ? add_product_kernel<row_width> : add_product_kernel<1>;
  for (int order = digits - 1; order >= 0; --order)  // small terms first
    for (int i = 0; i <= order; ++i) {
      const int j = order - i;
      const MatrixView<std::int32_t> product = work.integers();
      multiply_integers(context, A.plane[static_cast<std::size_t>(i)][sweep.transpose],
                        work.room[j], product);
      // P += s plane_step 256^-(i + j) unit e_i d_j
      const double unit = sweep.s * A.plane_step * std::pow(digit_ratio, -order);
      launch(context, grid_of_columns(work.P.columns), kernel, work.P,
             MatrixView<const std::int32_t>(product), unit, work.settlings);
    }
}

/// P += s U (V' taken), or s V (U' taken) for A'.
void add_factors(Context& context, const Work& work, const Sweep& sweep, const WeightView& A) {
  const bool turned = sweep.transpose == Transpose::yes;
  const auto left = (turned ? A.right : A.left).as<const float>();
  const auto right = (turned ? A.left : A.right).as<const float>();
  gemm<float>(context, Transpose::yes, Transpose::no, 1.0F, right, work.taken, 0.0F, work.inner);
  gemm<float>(context, Transpose::no, Transpose::no, static_cast<float>(sweep.s), left, work.inner,
              0.0F, work.reals());
  const auto kernel =
      can_pack(row_width, work.P) ? add_share_kernel<row_width> : add_share_kernel<1>;
  launch(context, grid_of_columns(work.P.columns), kernel, work.P,
         MatrixView<const float>(work.reals()), work.settlings);
}

/// Synchronises.
SettleStatus fetch_status(Context& context, const Work& work) {
  const auto count = static_cast<std::size_t>(work.P.columns);
  auto* columns = context.pinned<Settling>(count);
  if (count > 0)
    WIDEDEQ_CUDA_CHECK(cudaMemcpyAsync(columns, work.settlings, count * sizeof *columns,
                                       cudaMemcpyDeviceToHost, context.stream()));
  context.synchronize();
  SettleStatus status;
  for (std::size_t j = 0; j < count; ++j) {
    const Settling& column = columns[j];
    if (column.moved == 0.0) continue;
    const double size = column.size > 0.0 ? column.size : column.moved;
    const double added = std::sqrt(column.plane) + std::sqrt(column.factors);
    status.moved = std::max(status.moved, std::sqrt(column.moved / size));
    status.gain = std::max(status.gain, added / std::sqrt(column.moved));
  }
  return status;
}

// ---- unsettled

/// settlings[j] = how much column j has moved
template <int width>
__global__ void __launch_bounds__(block_threads)
    measure_kernel(MatrixView<const float> applied, MatrixView<const float> settled,
                   Settling* settlings) {
  const Index j = blockIdx.x;
  const Settling column = measure_column<width>(applied.column(j), settled.column(j), applied.rows);
  if (threadIdx.x == 0) settlings[j] = column;
}

void check(const char* stage, const SweepState& state, const Sweep& sweep) {
  expect_shape(stage, "P", state.P, sweep.A.width, state.P.columns());
  if (state.open_count != 0) throw ShapeError(std::string(stage) + ": columns are still open");
}

}  // namespace

SettleStatus settle(Context& context, SweepState& state, const Sweep& sweep, int digits) {
  check("settle", state, sweep);
  if (digits < 1 || digits > plane_digits)
    throw ShapeError("settle: " + std::to_string(digits) + " digits; 1 to 3 are possible");
  const auto& A = dynamic_cast<const DigitOperand&>(sweep.A);
  const Index factors = A.source.left.columns;
  const int taken = A.has_digits ? digits : 0;

  if (A.has_digits) prepare_plane(context, A, sweep.transpose, digits);
  const Work work = prepare(context, state, taken, factors);
  take(context, work, taken);
  if (A.has_digits) add_plane(context, work, sweep, A, digits);
  if (factors > 0) add_factors(context, work, sweep, A.source);
  return fetch_status(context, work);
}

double unsettled(Context& context, const SweepState& state) {
  if (state.settled.empty()) throw ShapeError("unsettled: the state has no plane");
  const Index n = state.count;
  Work work;
  work.P.columns = n;
  work.settlings = context.scratch<Settling>(Scratch::sums, static_cast<std::size_t>(n));
  const auto applied = state.applied.columns(0, n).as<const float>();
  const auto settled = state.settled.columns(0, n).as<const float>();
  const auto kernel =
      can_pack(row_width, applied, settled) ? measure_kernel<row_width> : measure_kernel<1>;
  launch(context, grid_of_columns(n), kernel, applied, settled, work.settlings);
  return fetch_status(context, work).moved;
}

}  // namespace widedeq::cuda
