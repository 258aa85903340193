// Bringing the residual plane's share of P up to date, in mixed precision.
//
//   P += s op(E) (Zhat - Zref)     Zref += what was taken of the difference
//
// E, what A's int8 base leaves out, is e0 + e1/256 + e2/256^2 + U V' (DigitOperand); the difference
// is taken as d0 + d1/256 + d2/256^2, with a unit for each column. Of the products e_i d_j those
// with i + j < digits are formed. What was not taken stays in the difference, for the next
// settling. The factors U and V are applied in single precision to what was taken: P += s U (V'
// taken).
#include "kernels/cpu/settle.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "kernels/cpu/blas.hpp"
#include "kernels/cpu/operand.hpp"

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

/// A matrix as digits.
struct Taken {
  std::array<std::int8_t*, plane_digits> digits;  // m x n each
  std::vector<Settling> columns;
};

/// Room for one digit of the difference.
Index digit_room(const SweepState& state) {
  return state.P.rows() * (state.count + spare_columns(state.P.rows()));
}

/// applied - settled as digits; settled follows. No column may be open: `pending` holds the first,
/// `spare` has room for the others.
Taken take(SweepState& state, int digits, std::int8_t* spare) {
  const Index m = state.P.rows();
  const auto applied = state.applied.block().as<float>();
  const auto settled = state.settled.block().as<float>();
  const Index room = digit_room(state);
  Taken taken{{state.pending.block().as<std::int8_t>().data, spare, spare + room},
              std::vector<Settling>(static_cast<std::size_t>(state.count))};
#pragma omp parallel for schedule(static)
  for (Index j = 0; j < state.count; ++j) {
    std::array<std::int8_t*, plane_digits> column = taken.digits;
    for (std::int8_t*& digit : column)
      digit += j * m;
    taken.columns[static_cast<std::size_t>(j)] =
        take_digits(applied.column(j), settled.column(j), m, digits, column);
  }
  return taken;
}

/// P += unit op(digit) d_j / 256^j; returns what was added, ||.||^2 per column.
std::vector<double> add_product(SweepState& state, const PackedStrips& digit, const Taken& taken,
                                int j, double unit) {
  const Index m = state.P.rows();
  const auto P = state.P.block().as<float>();
  unit *= std::pow(digit_ratio, -j);
  std::vector<double> added(taken.columns.size());
  const MatrixView<const std::int8_t> q(taken.digits[static_cast<std::size_t>(j)], m, state.count);
  multiply_strips(
      digit, q, state.count, [&](Index k, Index first, Index count, const std::int32_t* sums) {
        const auto column = static_cast<std::size_t>(k);
        const double factor = unit * static_cast<double>(taken.columns[column].unit);
        added[column] += add_sums(P.column(k) + first, sums, static_cast<float>(factor), count);
      });
  return added;
}

/// P += s op(plane) taken; returns the first digits' share, ||.|| per column.
std::vector<double> add_plane(SweepState& state, const Sweep& sweep, const DigitOperand& A,
                              const Taken& taken, int digits) {
  std::vector<double> added;
  for (int order = digits - 1; order >= 0; --order)  // small terms first
    for (int i = 0; i <= order; ++i)
      added = add_product(state, A.plane[static_cast<std::size_t>(i)][sweep.transpose], taken,
                          order - i, sweep.s * A.plane_step * std::pow(digit_ratio, -i));
  for (double& squares : added)
    squares = std::sqrt(squares);
  return added;
}

/// All of the difference at once, when there are no digits to multiply it with.
Taken take_all(SweepState& state) {
  const auto applied = state.applied.block().as<const float>();
  const auto settled = state.settled.block().as<float>();
  Taken taken{{}, std::vector<Settling>(static_cast<std::size_t>(state.count))};
#pragma omp parallel for schedule(static)
  for (Index j = 0; j < state.count; ++j) {
    taken.columns[static_cast<std::size_t>(j)] =
        take_digits(applied.column(j), settled.column(j), applied.rows, 0, {});
    std::copy_n(applied.column(j), applied.rows, settled.column(j));
  }
  return taken;
}

/// The factors' share: P += s U (V' taken), or s V (U' taken) for A'.
class FactorShare {
 public:
  /// `buffer` has room() floats.
  FactorShare(const SweepState& state, const WeightView& A, Transpose transpose, float* buffer)
      : left_((transpose == Transpose::yes ? A.right : A.left).as<const float>()),
        right_((transpose == Transpose::yes ? A.left : A.right).as<const float>()),
        taken_(buffer, state.P.rows(), state.count),
        inner_(taken_.data + taken_.rows * taken_.columns, left_.columns, state.count),
        sums_(inner_.data + inner_.rows * inner_.columns, state.P.rows(), state.count) {}

  static Index room(const SweepState& state, Index factors) {
    return factors == 0 ? 0 : (2 * state.P.rows() + factors) * state.count;
  }

  /// To be called before anything is taken.
  void remember(const SweepState& state) {
    const auto settled = state.settled.block().as<const float>();
#pragma omp parallel for schedule(static)
    for (Index j = 0; j < state.count; ++j)
      std::copy_n(settled.column(j), settled.rows, taken_.column(j));
  }

  /// Adds to the lengths in `added`, ||.|| per column.
  void add(SweepState& state, double s, std::vector<double>& added) {
    const auto P = state.P.block().as<float>();
    const auto settled = state.settled.block().as<const float>();
#pragma omp parallel for schedule(static)
    for (Index j = 0; j < state.count; ++j)
      for (Index i = 0; i < settled.rows; ++i)
        taken_(i, j) = settled(i, j) - taken_(i, j);
    gemm<float>(Transpose::yes, Transpose::no, 1.0F, right_, taken_, 0.0F, inner_);
    gemm<float>(Transpose::no, Transpose::no, static_cast<float>(s), left_, inner_, 0.0F, sums_);
#pragma omp parallel for schedule(static)
    for (Index j = 0; j < state.count; ++j) {
      double squares = 0.0;
#pragma omp simd reduction(+ : squares)
      for (Index i = 0; i < P.rows; ++i) {
        P(i, j) += sums_(i, j);
        squares += static_cast<double>(sums_(i, j)) * static_cast<double>(sums_(i, j));
      }
      added[static_cast<std::size_t>(j)] += std::sqrt(squares);
    }
  }

 private:
  MatrixView<const float> left_, right_;    // m x k
  MatrixView<float> taken_, inner_, sums_;  // m x n, k x n, m x n
};

void check(const char* stage, const SweepState& state, const Sweep& sweep) {
  expect_shape(stage, "P", state.P, sweep.A.width, state.P.columns());
  if (state.open_count != 0) throw ShapeError(std::string(stage) + ": columns are still open");
}

}  // namespace

SettleStatus settle(SweepState& state, const Sweep& sweep, int digits, Workspace& workspace) {
  check("settle", state, sweep);
  if (digits < 1 || digits > plane_digits)
    throw ShapeError("settle: " + std::to_string(digits) + " digits; 1 to 3 are possible");
  const auto& A = dynamic_cast<const DigitOperand&>(sweep.A);
  if (A.has_digits) prepare_plane(A, sweep.transpose, digits, workspace);

  const Index factors = A.source.left.columns;
  const Index floats = FactorShare::room(state, factors);
  auto* buffer = workspace.get<float>(static_cast<std::size_t>(floats + digit_room(state)));
  auto* spare = reinterpret_cast<std::int8_t*>(buffer + floats);  // two digits, in four bytes each
  std::optional<FactorShare> share;
  if (factors > 0) share.emplace(state, A.source, sweep.transpose, buffer).remember(state);

  const Taken taken = A.has_digits ? take(state, digits, spare) : take_all(state);
  std::vector<double> added(taken.columns.size());  // ||.|| per column
  if (A.has_digits) added = add_plane(state, sweep, A, taken, digits);
  if (share) share->add(state, sweep.s, added);
  SettleStatus status;
  for (std::size_t j = 0; j < added.size(); ++j) {
    const Settling& column = taken.columns[j];
    if (column.moved == 0.0) continue;
    const double size = column.size > 0.0 ? column.size : column.moved;
    status.moved = std::max(status.moved, std::sqrt(column.moved / size));
    status.gain = std::max(status.gain, added[j] / std::sqrt(column.moved));
  }
  return status;
}

double unsettled(const SweepState& state) {
  if (state.settled.empty()) throw ShapeError("unsettled: the state has no plane");
  const auto applied = state.applied.block().as<const float>();
  const auto settled = state.settled.block().as<const float>();
  double worst = 0.0;
#pragma omp parallel for schedule(static) reduction(max : worst)
  for (Index j = 0; j < state.count; ++j) {
    const float* now = applied.column(j);
    const float* then = settled.column(j);
    double moved = 0.0;
    double size = 0.0;
#pragma omp simd reduction(+ : moved, size)
    for (Index i = 0; i < applied.rows; ++i) {
      const float d = now[i] - then[i];
      moved += static_cast<double>(d) * static_cast<double>(d);
      size += static_cast<double>(now[i]) * static_cast<double>(now[i]);
    }
    if (moved > 0.0) worst = std::max(worst, size > 0.0 ? std::sqrt(moved / size) : 1.0);
  }
  return worst;
}

}  // namespace widedeq::cpu
