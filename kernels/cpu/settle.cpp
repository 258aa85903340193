// Bringing the residual plane's share of P up to date, in mixed precision.
//
//   P += s op(E) (Zhat - Zref)     Zref += what was taken of the difference
//
// E, what A's int8 base leaves out, is e0 + e1/256 + e2/256^2 (DigitOperand); the difference is
// taken as d0 + d1/256 + d2/256^2, with a unit for each column. Of the products e_i d_j those with
// i + j < digits are formed. What was not taken stays in the difference, for the next settling.
#include "kernels/cpu/settle.hpp"

#include <algorithm>
#include <array>
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

/// applied - settled as int8 digits, taken[0] .. taken[digits - 1]; settled follows what was taken.
Settling take_digits(const float* applied, float* settled, Index m, int digits,
                     const std::array<std::int8_t*, plane_digits>& taken) {
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
  float unit = column.unit;
  for (int position = 0; position < digits; ++position) {
    const float inverse = 1.0F / unit;
    std::int8_t* out = taken[static_cast<std::size_t>(position)];
#pragma omp simd
    for (Index i = 0; i < m; ++i) {
      const float digit = int8_round(applied[i] - settled[i], inverse);
      settled[i] += unit * digit;
      out[i] = static_cast<std::int8_t>(digit);
    }
    unit /= static_cast<float>(digit_ratio);
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

SettleStatus settle(SweepState& state, const Sweep& sweep, int digits, Workspace& workspace) {
  expect_shape("settle", "P", state.P, sweep.A.width, state.P.columns());
  if (digits < 1 || digits > plane_digits)
    throw ShapeError("settle: " + std::to_string(digits) + " digits; 1 to 3 are possible");
  if (state.open_count != 0) throw ShapeError("settle: columns are still open");
  const auto& A = dynamic_cast<const DigitOperand&>(sweep.A);
  const Index m = state.P.rows();
  const Index n = state.count;
  const auto P = state.P.block().as<float>();
  const auto applied = state.applied.block().as<float>();
  const auto settled = state.settled.block().as<float>();
  const auto room = static_cast<std::size_t>(m * padded_columns(n));
  auto* product = workspace.get<std::int32_t>(room + room / 2 + 1);
  // Room for the digits: no column is open, so `pending` is free; the others follow the product.
  auto* spare = reinterpret_cast<std::int8_t*>(product + room);
  const std::array<std::int8_t*, plane_digits> taken{state.pending.block().as<std::int8_t>().data,
                                                     spare, spare + room};

  std::vector<Settling> columns(static_cast<std::size_t>(n));
#pragma omp parallel for schedule(static)
  for (Index j = 0; j < n; ++j) {
    std::array<std::int8_t*, plane_digits> column = taken;
    for (std::int8_t*& digit : column)
      digit += j * m;
    columns[static_cast<std::size_t>(j)] =
        take_digits(applied.column(j), settled.column(j), m, digits, column);
  }

  // P += s op(e_i) d_j / 256^(i + j); returns the largest gain
  const auto add = [&](int i, int j) {
    const MatrixView<const std::int8_t> digit(taken[static_cast<std::size_t>(j)], m, n);
    multiply(A.plane[static_cast<std::size_t>(i)], sweep.transpose, digit, n, product);
    const double unit = sweep.s * A.plane_step * std::pow(digit_ratio, -(i + j));
    double gain = 0.0;
#pragma omp parallel for schedule(static) reduction(max : gain)
    for (Index k = 0; k < n; ++k) {
      const Settling& column = columns[static_cast<std::size_t>(k)];
      const auto factor = static_cast<float>(unit * static_cast<double>(column.unit));
      const double added = add_sums(P.column(k), product + k * m, factor, m);
      if (column.moved > 0.0) gain = std::max(gain, std::sqrt(added / column.moved));
    }
    return gain;
  };
  SettleStatus status;
  for (int order = digits - 1; order >= 0; --order)  // small terms first
    for (int i = 0; i <= order; ++i)
      status.gain = add(i, order - i);
  for (const Settling& column : columns)
    if (column.moved > 0.0)
      status.moved =
          std::max(status.moved, column.size > 0.0 ? std::sqrt(column.moved / column.size) : 1.0);
  return status;
}

}  // namespace widedeq::cpu
