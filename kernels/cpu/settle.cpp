// Bringing the residual plane's share of P up to date, in mixed precision.
//
//   P += s op(E) (Zhat - Zref)     Zref += what was taken of the difference
//
// E, what A's int8 base leaves out, is two digits (DigitOperand); the difference is taken as one or
// two int8 digits a column. Digits not taken stay in the difference, for the next settling.
#include "kernels/cpu/settle.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/multiply.hpp"

namespace widedeq::cpu {
namespace {

/// What settling takes from a column, and what it gives.
struct Settling {
  double moved = 0.0;  // ||applied - settled||^2
  double size = 0.0;   // ||applied||^2
  float unit = 1.0F;   // of the first digit
};

/// applied - settled as one or two int8 digits; settled follows what was taken.
Settling take_digits(const float* applied, float* settled, Index m, bool fine, std::int8_t* first,
                     std::int8_t* second) {
  double moved = 0.0;
  double size = 0.0;
  float largest = 0.0F;
#pragma omp simd reduction(+ : moved, size) reduction(max : largest)
  for (Index i = 0; i < m; ++i) {
    const float d = applied[i] - settled[i];
    moved += static_cast<double>(d) * static_cast<double>(d);
    size += static_cast<double>(applied[i]) * static_cast<double>(applied[i]);
    largest = std::max(largest, std::abs(d));
  }
  const Settling column{moved, size, int8_scale(largest)};
  const float inverse = 1.0F / column.unit;
  const float ratio = static_cast<float>(digit_ratio);
#pragma omp simd
  for (Index i = 0; i < m; ++i) {
    const float d = applied[i] - settled[i];
    const float high = int8_round(d, inverse);
    const float low = fine ? int8_round((d - column.unit * high) * ratio, inverse) : 0.0F;
    settled[i] += column.unit * (high + low / ratio);
    first[i] = static_cast<std::int8_t>(high);
    second[i] = static_cast<std::int8_t>(low);
  }
  return column;
}

/// P += factor * product, one column; returns ||factor * product||^2.
double add_sums(float* P, const std::int32_t* product, float factor, Index m) {
  double added = 0.0;
#pragma omp simd reduction(+ : added)
  for (Index i = 0; i < m; ++i) {
    const float sum = factor * static_cast<float>(product[i]);
    P[i] += sum;
    added += static_cast<double>(sum) * static_cast<double>(sum);
  }
  return added;
}

}  // namespace

SettleStatus settle(SweepState& state, const Sweep& sweep, bool fine, Workspace& workspace) {
  expect_shape("settle", "P", state.P, sweep.A.width, state.P.columns());
  if (state.open_count != 0) throw ShapeError("settle: columns are still open");
  const auto& A = dynamic_cast<const DigitOperand&>(sweep.A);
  const Index m = state.P.rows();
  const Index n = state.count;
  const auto P = state.P.block().as<float>();
  const auto applied = state.applied.block().as<float>();
  const auto settled = state.settled.block().as<float>();
  const auto room = static_cast<std::size_t>(m * padded_columns(n));
  auto* product = workspace.get<std::int32_t>(room + (room + 3) / 4);
  const MatrixView<std::int8_t> first = state.pending.block().as<std::int8_t>();  // free: none open
  const MatrixView<std::int8_t> second(reinterpret_cast<std::int8_t*>(product + room), m, n);

  std::vector<Settling> columns(static_cast<std::size_t>(n));
#pragma omp parallel for schedule(static)
  for (Index j = 0; j < n; ++j)
    columns[static_cast<std::size_t>(j)] = take_digits(applied.column(j), settled.column(j), m,
                                                       fine, first.column(j), second.column(j));

  // P += s op(plane) (first + second / 256), digit by digit; returns the largest gain
  const auto add = [&](const PackedDigit& plane, MatrixView<const std::int8_t> digit, double unit) {
    multiply(plane, sweep.transpose, digit, n, product);
    double gain = 0.0;
#pragma omp parallel for schedule(static) reduction(max : gain)
    for (Index j = 0; j < n; ++j) {
      const Settling& column = columns[static_cast<std::size_t>(j)];
      const auto factor = static_cast<float>(unit * static_cast<double>(column.unit));
      const double added = add_sums(P.column(j), product + j * m, factor, m);
      if (column.moved > 0.0) gain = std::max(gain, std::sqrt(added / column.moved));
    }
    return gain;
  };
  const double unit = sweep.s * A.plane_step;
  SettleStatus status;
  status.gain = add(A.high, first, unit);
  if (fine) {
    add(A.low, first, unit / digit_ratio);
    add(A.high, second, unit / digit_ratio);
  }
  for (const Settling& column : columns)
    if (column.moved > 0.0)
      status.moved =
          std::max(status.moved, column.size > 0.0 ? std::sqrt(column.moved / column.size) : 1.0);
  return status;
}

}  // namespace widedeq::cpu
