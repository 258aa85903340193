// Making and refreshing operands; see operand.hpp.
#include "kernels/cpu/operand.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

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

/// The largest |entry(j)[i]| over all columns; entry(j) is a function of the row.
template <class Entry>
float largest_entry(Index m, Entry entry) {
  float largest = 0.0F;
#pragma omp parallel for schedule(static) reduction(max : largest)
  for (Index j = 0; j < m; ++j) {
    const auto column = entry(j);
#pragma omp simd reduction(max : largest)
    for (Index i = 0; i < m; ++i)
      largest = std::max(largest, std::abs(column(i)));
  }
  return largest;
}

/// digit = the base-256 digit number `position` (0: the first) of entry(j)[i] / unit. A parameter
/// of the template, or the inner loop keeps the outer one from being vectorised.
template <int position, class Entry>
void make_digit(Index m, Entry entry, float unit, std::int8_t* digit) {
  const float inverse = 1.0F / unit;
  const float ratio = static_cast<float>(digit_ratio);
#pragma omp parallel for schedule(static)
  for (Index j = 0; j < m; ++j) {
    const auto column = entry(j);
    std::int8_t* out = digit + j * m;
#pragma omp simd
    for (Index i = 0; i < m; ++i) {
      float rest = column(i);
      for (int p = 0; p < position; ++p)
        rest = (rest - unit * int8_round(rest, inverse)) * ratio;
      out[i] = static_cast<std::int8_t>(int8_round(rest, inverse));
    }
  }
}

/// The plane's digits are those of entry(j)[i], or absent when all are zero.
template <class Entry>
void refresh_plane(DigitOperand& operand, Entry entry, std::int8_t* digit) {
  const Index m = operand.width;
  const float largest = largest_entry(m, entry);
  operand.has_plane = largest > 0.0F;
  if (!operand.has_plane) return;
  const float unit = int8_scale(largest);
  operand.plane_step = static_cast<double>(unit);
  const auto refresh_digit = [&]<int position>() {
    make_digit<position>(m, entry, unit, digit);
    operand.plane[position].pack(digit, m);
  };
  static_assert(plane_digits == 3);
  refresh_digit.template operator()<0>();
  refresh_digit.template operator()<1>();
  refresh_digit.template operator()<2>();
}

void refresh_digits(DigitOperand& operand, const WeightView& A, bool base_changed,
                    Workspace& workspace) {
  const Index m = A.width();
  const auto base = A.base.as<const std::int8_t>();
  const bool was_folded = std::exchange(operand.folded, false);
  if (A.change.empty()) {
    operand.has_plane = false;
  } else {
    const auto change = A.change.as<const float>();
    const auto change_entry = [change](Index j) {
      return [column = change.column(j)](Index i) { return column[i]; };
    };
    auto* digit = workspace.get<std::int8_t>(static_cast<std::size_t>(m * m));
    operand.folded = largest_entry(m, change_entry) > static_cast<float>(A.step);
    if (!operand.folded) {
      refresh_plane(operand, change_entry, digit);
    } else {
      const auto step = static_cast<float>(A.step);
      const auto entry = [=](Index j) {
        return [=, integers = base.column(j), changes = change.column(j)](Index i) {
          return step * static_cast<float>(integers[i]) + changes[i];
        };
      };
      const float unit = int8_scale(largest_entry(m, entry));
      make_digit<0>(m, entry, unit, digit);
      operand.step = static_cast<double>(unit);
      operand.base.pack(digit, m);
      const auto rest = [=](Index j) {
        return [=, whole = entry(j)](Index i) {
          const float value = whole(i);
          return value - unit * int8_round(value, 1.0F / unit);
        };
      };
      refresh_plane(operand, rest, digit);
    }
  }
  if (!operand.folded && (base_changed || was_folded || operand.base.plain.empty())) {
    operand.step = A.step;
    operand.base.pack(base.data, m);
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

void refresh(Operand& operand, const WeightView& A, bool base_changed, Workspace& workspace) {
  expect_shape("refresh", "base", A.base, operand.width, operand.width);
  if (!A.change.empty()) expect_shape("refresh", "change", A.change, operand.width, operand.width);
  switch (operand.precision) {
    case Precision::fp64:
      return refresh_dense(static_cast<DenseOperand<double>&>(operand), A);
    case Precision::fp32:
      return refresh_dense(static_cast<DenseOperand<float>&>(operand), A);
    case Precision::mixed:
      return refresh_digits(static_cast<DigitOperand&>(operand), A, base_changed, workspace);
  }
}

}  // namespace widedeq::cpu
