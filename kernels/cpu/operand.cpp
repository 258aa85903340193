// Making and refreshing operands; see operand.hpp.
#include "kernels/cpu/operand.hpp"

#include <algorithm>
#include <cmath>

namespace widedeq::cpu {
namespace {

/// A = step * base + change
template <class Real>
void refresh_dense(DenseOperand<Real>& operand, const WeightView& A) {
  const Index m = A.width();
  const auto base = A.base.as<const std::int8_t>();
  const Real step = static_cast<Real>(A.step);
  operand.A.resize(static_cast<std::size_t>(m * m));
  const MatrixView<const Real> change =
      A.change.empty() ? MatrixView<const Real>() : A.change.as<const Real>();
#pragma omp parallel for schedule(static)
  for (Index j = 0; j < m; ++j) {
    Real* out = operand.A.data() + j * m;
    const std::int8_t* integers = base.column(j);
    for (Index i = 0; i < m; ++i)
      out[i] = step * static_cast<Real>(integers[i]);
    if (change.empty()) continue;
    const Real* changes = change.column(j);
    for (Index i = 0; i < m; ++i)
      out[i] += changes[i];
  }
}

float largest_entry(MatrixView<const float> change) {
  float largest = 0.0F;
#pragma omp parallel for schedule(static) reduction(max : largest)
  for (Index j = 0; j < change.columns; ++j) {
    const float* entries = change.column(j);
#pragma omp simd reduction(max : largest)
    for (Index i = 0; i < change.rows; ++i)
      largest = std::max(largest, std::abs(entries[i]));
  }
  return largest;
}

/// digit = the base-256 digit number `position` (0: the first) of change / unit
void make_digit(MatrixView<const float> change, float unit, int position, std::int8_t* digit) {
  const float inverse = 1.0F / unit;
  const float ratio = static_cast<float>(digit_ratio);
#pragma omp parallel for schedule(static)
  for (Index j = 0; j < change.columns; ++j) {
    const float* entries = change.column(j);
    std::int8_t* out = digit + j * change.rows;
#pragma omp simd
    for (Index i = 0; i < change.rows; ++i) {
      float rest = entries[i];
      for (int p = 0; p < position; ++p)
        rest = (rest - unit * int8_round(rest, inverse)) * ratio;
      out[i] = static_cast<std::int8_t>(int8_round(rest, inverse));
    }
  }
}

void refresh_digits(DigitOperand& operand, const WeightView& A, bool base_changed) {
  const Index m = A.width();
  if (base_changed || operand.base.plain.empty()) {
    operand.step = A.step;
    operand.base.pack(A.base.as<const std::int8_t>().data, m);
  }
  const float largest = A.change.empty() ? 0.0F : largest_entry(A.change.as<const float>());
  operand.has_plane = largest > 0.0F;
  if (!operand.has_plane) return;

  const auto change = A.change.as<const float>();
  const float unit = int8_scale(largest);
  operand.plane_step = static_cast<double>(unit);
  std::vector<std::int8_t> digit(static_cast<std::size_t>(m * m));
  for (int position = 0; position < plane_digits; ++position) {
    make_digit(change, unit, position, digit.data());
    operand.plane[static_cast<std::size_t>(position)].pack(digit.data(), m);
  }
}

}  // namespace

std::unique_ptr<Operand> make_operand(Precision precision, Index width) {
  std::unique_ptr<Operand> operand;
  switch (precision) {
    case Precision::fp64:
      operand = std::make_unique<DenseOperand<double>>();
      break;
    case Precision::fp32:
      operand = std::make_unique<DenseOperand<float>>();
      break;
    case Precision::mixed:
      operand = std::make_unique<DigitOperand>();
      break;
  }
  operand->precision = precision;
  operand->width = width;
  return operand;
}

void refresh(Operand& operand, const WeightView& A, bool base_changed) {
  expect_shape("refresh", "base", A.base, operand.width, operand.width);
  if (!A.change.empty()) expect_shape("refresh", "change", A.change, operand.width, operand.width);
  switch (operand.precision) {
    case Precision::fp64:
      return refresh_dense(static_cast<DenseOperand<double>&>(operand), A);
    case Precision::fp32:
      return refresh_dense(static_cast<DenseOperand<float>&>(operand), A);
    case Precision::mixed:
      return refresh_digits(static_cast<DigitOperand&>(operand), A, base_changed);
  }
}

}  // namespace widedeq::cpu
