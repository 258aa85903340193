// Bringing the residual plane's share of P up to date, in mixed precision.
//
//   P += s op(E) (Zhat - Zref)     Zref += what was taken of the difference
//
// E, what A's int8 base leaves out, is e0 + e1/256 + e2/256^2 + U V' (DigitOperand); the difference
// is taken as d0 + d1/256 + d2/256^2, with a unit for each column. Of the products e_i d_j those
// with i + j < digits are formed, a column having as many digits as it needs (settling.hpp). What
// was not taken stays in the difference, for the next settling. The factors U and V are applied in
// single precision to what was taken: P += s U (V' taken).
#include "kernels/cpu/settle.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "kernels/cpu/blas.hpp"
#include "kernels/cpu/operand.hpp"
#include "kernels/stage_checks.hpp"

namespace widedeq::cpu {
namespace {

/// What a column's difference comes to.
struct Difference {
  double moved = 0.0;  // ||applied - settled||^2
  double size = 0.0;   // ||applied||^2
  float unit = 1.0F;   // of the first digit

  /// ||applied - settled|| / ||applied||
  double relative() const { return relative_move(moved, size); }
};

Difference measure(const float* applied, const float* settled, Index m) {
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
  return {moved, size, int8_scale(largest)};
}

/// applied - settled as int8 digits, taken[0] .. taken[digits - 1]; settled follows what was taken.
void take_digits(const float* applied, float* settled, Index m, int digits, float unit,
                 const std::array<std::int8_t*, plane_digits>& taken) {
  for (int position = 0; position < digits; ++position) {
    const float inverse = 1.0F / unit;
    std::int8_t* out = taken[static_cast<std::size_t>(position)];
#pragma omp simd
    for (Index i = 0; i < m; ++i) {
      const float digit = int8_digit(applied[i] - settled[i], inverse);
      settled[i] += unit * digit;
      out[i] = static_cast<std::int8_t>(digit);
    }
    unit /= static_cast<float>(digit_ratio);
  }
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

/// A settling's columns and, once they have been taken, their differences. What is made of them
/// lies packed: column k of columns.order[k].
struct Chosen {
  const SettledColumns& columns;
  std::vector<Difference> differences;

  explicit Chosen(const SettledColumns& chosen)
      : columns(chosen), differences(static_cast<std::size_t>(chosen.size())) {}

  Index column(Index k) const { return columns.order[static_cast<std::size_t>(k)]; }
  Difference& difference(Index k) { return differences[static_cast<std::size_t>(k)]; }
  /// The columns that have a digit.
  Index count(int digit) const { return columns.count[static_cast<std::size_t>(digit)]; }
};

/// The digits of the chosen columns, m x count each.
using Digits = std::array<std::int8_t*, plane_digits>;

/// Room for one digit of all columns.
Index digit_room(const SweepState& state) {
  return state.P.rows() * (state.count + spare_columns(state.P.rows()));
}

/// applied - settled as digits; settled follows. No column may be open: `pending` holds the first,
/// `spare` has room for the others.
Digits take(SweepState& state, Chosen& chosen, std::int8_t* spare) {
  const Index m = state.P.rows();
  const auto applied = state.applied.block().as<float>();
  const auto settled = state.settled.block().as<float>();
  const Digits taken{state.pending.block().as<std::int8_t>().data, spare,
                     spare + digit_room(state)};
#pragma omp parallel for schedule(static)
  for (Index k = 0; k < chosen.count(0); ++k) {
    const float* now = applied.column(chosen.column(k));
    float* then = settled.column(chosen.column(k));
    Digits column = taken;
    for (std::int8_t*& digit : column)
      digit += k * m;
    chosen.difference(k) = measure(now, then, m);
    take_digits(now, then, m, chosen.columns.digits_of(k), chosen.difference(k).unit, column);
  }
  return taken;
}

/// P += unit op(digit) d_j / 256^j for the first `columns` chosen ones; returns what was added,
/// ||.||^2 per chosen column.
std::vector<double> add_product(SweepState& state, const PackedStrips& digit, const Chosen& chosen,
                                Index columns, const Digits& taken, int j, double unit) {
  const Index m = state.P.rows();
  const auto P = state.P.block().as<float>();
  unit *= std::pow(digit_ratio, -j);
  std::vector<double> added(chosen.differences.size());
  const MatrixView<const std::int8_t> q(taken[static_cast<std::size_t>(j)], m, columns);
  multiply_strips(
      digit, q, columns, [&](Index k, Index first, Index count, const std::int32_t* sums) {
        const auto at = static_cast<std::size_t>(k);
        const double factor = unit * static_cast<double>(chosen.differences[at].unit);
        added[at] +=
            add_sums(P.column(chosen.column(k)) + first, sums, static_cast<float>(factor), count);
      });
  return added;
}

/// P += s op(plane) taken; returns the first digits' share, ||.|| per chosen column.
std::vector<double> add_plane(SweepState& state, const Sweep& sweep, const DigitOperand& A,
                              const Chosen& chosen, const Digits& taken) {
  std::vector<double> added;
  for (int order = chosen.columns.digits() - 1; order >= 0; --order)  // small terms first
    for (int i = 0; i <= order; ++i)
      added = add_product(state, A.plane[static_cast<std::size_t>(i)][sweep.transpose], chosen,
                          chosen.count(order), taken, order - i,
                          sweep.s * A.plane_step * std::pow(digit_ratio, -i));
  for (double& squares : added)
    squares = std::sqrt(squares);
  return added;
}

/// All of the difference at once, when there are no digits to multiply it with.
void take_all(SweepState& state, Chosen& chosen) {
  const auto applied = state.applied.block().as<const float>();
  const auto settled = state.settled.block().as<float>();
#pragma omp parallel for schedule(static)
  for (Index k = 0; k < chosen.count(0); ++k) {
    const float* now = applied.column(chosen.column(k));
    float* then = settled.column(chosen.column(k));
    chosen.difference(k) = measure(now, then, applied.rows);
    std::copy_n(now, applied.rows, then);
  }
}

/// The factors' share: P += s U (V' taken), or s V (U' taken) for A'.
class FactorShare {
 public:
  /// `buffer` has room() floats.
  FactorShare(const SweepState& state, const WeightView& A, Transpose transpose,
              const Chosen& chosen, float* buffer)
      : left_((transpose == Transpose::yes ? A.right : A.left).as<const float>()),
        right_((transpose == Transpose::yes ? A.left : A.right).as<const float>()),
        chosen_(chosen),
        taken_(buffer, state.P.rows(), chosen.count(0)),
        inner_(taken_.data + taken_.rows * taken_.columns, left_.columns, chosen.count(0)),
        sums_(inner_.data + inner_.rows * inner_.columns, state.P.rows(), chosen.count(0)) {}

  static Index room(const SweepState& state, Index factors) {
    return factors == 0 ? 0 : (2 * state.P.rows() + factors) * state.count;
  }

  /// To be called before anything is taken.
  void remember(const SweepState& state) {
    const auto settled = state.settled.block().as<const float>();
#pragma omp parallel for schedule(static)
    for (Index k = 0; k < taken_.columns; ++k)
      std::copy_n(settled.column(chosen_.column(k)), settled.rows, taken_.column(k));
  }

  /// Adds to the lengths in `added`, ||.|| per chosen column.
  void add(SweepState& state, double s, std::vector<double>& added) {
    const auto P = state.P.block().as<float>();
    const auto settled = state.settled.block().as<const float>();
#pragma omp parallel for schedule(static)
    for (Index k = 0; k < taken_.columns; ++k)
      for (Index i = 0; i < settled.rows; ++i)
        taken_(i, k) = settled(i, chosen_.column(k)) - taken_(i, k);
    gemm<float>(Transpose::yes, Transpose::no, 1.0F, right_, taken_, 0.0F, inner_);
    gemm<float>(Transpose::no, Transpose::no, static_cast<float>(s), left_, inner_, 0.0F, sums_);
#pragma omp parallel for schedule(static)
    for (Index k = 0; k < taken_.columns; ++k) {
      const Index j = chosen_.column(k);
      double squares = 0.0;
#pragma omp simd reduction(+ : squares)
      for (Index i = 0; i < P.rows; ++i) {
        P(i, j) += sums_(i, k);
        squares += static_cast<double>(sums_(i, k)) * static_cast<double>(sums_(i, k));
      }
      added[static_cast<std::size_t>(k)] += std::sqrt(squares);
    }
  }

 private:
  MatrixView<const float> left_, right_;    // m x factors
  const Chosen& chosen_;                    // k columns
  MatrixView<float> taken_, inner_, sums_;  // m x k, factors x k, m x k
};

}  // namespace

std::vector<double> unsettled(const SweepState& state) {
  if (state.settled.empty()) throw ShapeError("unsettled: the state has no plane");
  const auto applied = state.applied.block().as<const float>();
  const auto settled = state.settled.block().as<const float>();
  std::vector<double> moved(static_cast<std::size_t>(state.count));
#pragma omp parallel for schedule(static)
  for (Index j = 0; j < state.count; ++j)
    moved[static_cast<std::size_t>(j)] =
        measure(applied.column(j), settled.column(j), applied.rows).relative();
  return moved;
}

double settle(SweepState& state, const Sweep& sweep, const SettledColumns& columns,
              Workspace& workspace) {
  check_settle(state, sweep, columns);
  if (columns.size() == 0) return 0.0;
  const auto& A = dynamic_cast<const DigitOperand&>(sweep.A);
  Chosen chosen(columns);
  if (A.has_digits) prepare_plane(A, sweep.transpose, columns.digits(), workspace);

  const Index factors = A.source.left.columns;
  const Index floats = FactorShare::room(state, factors);
  auto* buffer = workspace.get<float>(static_cast<std::size_t>(floats + digit_room(state)));
  auto* spare = reinterpret_cast<std::int8_t*>(buffer + floats);  // two digits, in four bytes each
  std::optional<FactorShare> share;
  if (factors > 0) share.emplace(state, A.source, sweep.transpose, chosen, buffer).remember(state);

  std::vector<double> added(chosen.differences.size());  // ||.|| per chosen column
  if (A.has_digits) {
    const Digits taken = take(state, chosen, spare);
    added = add_plane(state, sweep, A, chosen, taken);
  } else {
    take_all(state, chosen);
  }
  if (share) share->add(state, sweep.s, added);
  double gain = 0.0;
  for (std::size_t k = 0; k < added.size(); ++k)
    gain = std::max(gain, added[k] / std::sqrt(chosen.differences[k].moved));
  return gain;
}

}  // namespace widedeq::cpu
