// Making and refreshing operands; see operand.hpp.
#include "kernels/cpu/operand.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/stage_checks.hpp"

namespace widedeq::cpu {
namespace {

/// A = step * base + change
template <class Real>
void refresh_dense(DenseOperand<Real>& operand, const WeightView& A) {
  const Index m = A.width();
  const auto base = A.base.as<const std::int8_t>();
  const Real step = static_cast<Real>(A.step);
  operand.A.resize(static_cast<std::size_t>(m * m));
  const MatrixView<const Real> change = view_or_none<Real>(A.change);
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

/// What there is to know of a matrix before it is taken apart.
struct Extent {
  float largest = 0.0F;  // |entry|
  double norm = 0.0;     // Frobenius
};

/// Of entry(j)[i] over all columns; entry(j) is a function of the row.
template <class Entry>
Extent extent_of(Index m, Entry entry) {
  Extent extent;
  float largest = 0.0F;
  std::vector<double> squares(static_cast<std::size_t>(m));
#pragma omp parallel for schedule(static) reduction(max : largest)
  for (Index j = 0; j < m; ++j) {
    const auto column = entry(j);
    double sum = 0.0;  // the squares of small entries are no single-precision numbers
#pragma omp simd reduction(max : largest) reduction(+ : sum)
    for (Index i = 0; i < m; ++i) {
      const float value = column(i);
      largest = std::max(largest, std::abs(value));
      sum += static_cast<double>(value) * static_cast<double>(value);
    }
    squares[static_cast<std::size_t>(j)] = sum;
  }
  for (const double sum : squares)
    extent.norm += sum;
  extent.norm = std::sqrt(extent.norm);
  extent.largest = largest;
  return extent;
}

/// digit = the digit number `position` of entry(j)[i] / unit. A parameter of the template, or the
/// inner loop keeps the outer one from being vectorised.
template <int position, class Entry>
void make_digit(Index m, Entry entry, float unit, std::int8_t* digit) {
  const float inverse = 1.0F / unit;
#pragma omp parallel for schedule(static)
  for (Index j = 0; j < m; ++j) {
    const auto column = entry(j);
    std::int8_t* out = digit + j * m;
#pragma omp simd
    for (Index i = 0; i < m; ++i)
      out[i] = digit_of(column(i) * inverse, position);
  }
}

/// The entries of A: column by column, entries_of(A)(j)(i).
auto entries_of(const WeightView& A) {
  return [base = A.base.as<const std::int8_t>(), change = A.change.as<const float>(),
          step = static_cast<float>(A.step)](Index j) {
    return [step, integers = base.column(j), changes = change.column(j)](Index i) {
      return step * static_cast<float>(integers[i]) + changes[i];
    };
  };
}

/// Calls with the plane's entries: what A has beyond the packed base.
template <class Call>
auto with_plane(const DigitOperand& operand, Call call) {
  const WeightView& A = operand.source;
  const auto change = A.change.as<const float>();
  if (operand.own_base.empty())
    return call(
        [change](Index j) { return [column = change.column(j)](Index i) { return column[i]; }; });
  // The bases' difference is exact; only the sum with `change` is rounded.
  return call([change, base = A.base.as<const std::int8_t>(), step = static_cast<float>(A.step),
               own = operand.own_base.block().as<const std::int8_t>(),
               unit = static_cast<float>(operand.own_step)](Index j) {
    return [step, unit, integers = base.column(j), digits = own.column(j),
            changes = change.column(j)](Index i) {
      return (step * static_cast<float>(integers[i]) - unit * static_cast<float>(digits[i])) +
             changes[i];
    };
  });
}

void pack_base(DigitOperand& operand, const std::int8_t* digits, double step) {
  if (operand.panels > 1) {
    operand.strips.pack(digits, operand.width);
  } else {
    operand.base.pack(digits, operand.width);
  }
  operand.step = step;
  ++operand.base_version;
}

/// A base of the operand's own: A rounded to int8.
void fold(DigitOperand& operand) {
  const Index m = operand.width;
  const float unit = int8_scale(extent_of(m, entries_of(operand.source)).largest);
  if (operand.own_base.empty())
    operand.own_base =
        Matrix(allocate_zeroed(static_cast<std::size_t>(m * m)), Element::int8, m, m, m);
  auto* digits = operand.own_base.block().as<std::int8_t>().data;
  make_digit<0>(m, entries_of(operand.source), unit, digits);
  operand.own_step = static_cast<double>(unit);
  pack_base(operand, digits, operand.own_step);
}

void refresh_plane(DigitOperand& operand, const WeightView& A, Changed changed) {
  const Index m = A.width();
  for (auto& digit : operand.plane)
    digit.forget();
  if (changed == Changed::base || operand.base_version == 0) {
    const ConstBlock base = operand.own_base.empty() ? A.base : operand.own_base.block();
    const double step = operand.own_base.empty() ? A.step : operand.own_step;
    pack_base(operand, base.as<const std::int8_t>().data, step);
  }
  const auto extent_of_plane = [&] {
    return with_plane(operand, [m](auto entry) { return extent_of(m, entry); });
  };
  Extent extent = A.change.empty() ? Extent() : extent_of_plane();
  if (extent.largest > static_cast<float>(operand.step)) {
    fold(operand);
    extent = extent_of_plane();
  }
  operand.has_digits = extent.largest > 0.0F || !std::isfinite(extent.norm);
  operand.digits_norm = extent.norm;
  operand.plane_step = static_cast<double>(int8_scale(extent.largest));
}

void refresh_digits(DigitOperand& operand, const WeightView& A, Changed changed) {
  if (!operand.own_base.empty())
    expect_shape("refresh", "own base", operand.own_base.block(), operand.width, operand.width);
  operand.source = A;
  if (changed != Changed::factors || operand.base_version == 0) refresh_plane(operand, A, changed);
  operand.has_plane = operand.has_digits || !A.left.empty();
  operand.plane_size = operand.digits_norm + A.factors_norm;
}

}  // namespace

std::unique_ptr<Operand> make_operand(Precision precision, Index width, int panels) {
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
  operand->panels = panels;
  return operand;
}

void refresh(Operand& operand, const WeightView& A, Changed changed) {
  check_refresh(operand, A);
  switch (operand.precision) {
    case Precision::fp64:
      return refresh_dense(static_cast<DenseOperand<double>&>(operand), A);
    case Precision::fp32:
      return refresh_dense(static_cast<DenseOperand<float>&>(operand), A);
    case Precision::mixed:
      return refresh_digits(static_cast<DigitOperand&>(operand), A, changed);
  }
}

void prepare_plane(const DigitOperand& operand, Transpose transpose, int digits,
                   Workspace& workspace) {
  const Index m = operand.width;
  const auto unit = static_cast<float>(operand.plane_step);
  for (int position = 0; position < digits; ++position) {
    BothWays<PackedStrips>& packed = operand.plane[static_cast<std::size_t>(position)];
    if (packed.is_current(transpose)) continue;
    auto* digit = workspace.get<std::int8_t>(static_cast<std::size_t>(m * m));
    with_plane(operand, [&](auto entry) {
      static_assert(plane_digits == 3);
      if (position == 0) make_digit<0>(m, entry, unit, digit);
      if (position == 1) make_digit<1>(m, entry, unit, digit);
      if (position == 2) make_digit<2>(m, entry, unit, digit);
    });
    packed.pack(digit, m, transpose);
  }
}

}  // namespace widedeq::cpu
