// P = c + s op(A) Zhat from the masters in double, whatever the precision: it shares neither digits
// nor products with the sweeps, so it can judge them.
//
// A panel of rows of op(A) at a time is converted and multiplied; the sum is rounded once.
#include "kernels/cpu/rebuild.hpp"

#include <algorithm>

#include "kernels/cpu/blas.hpp"
#include "kernels/cpu/transfer.hpp"
#include "kernels/stage_checks.hpp"

namespace widedeq::cpu {
namespace {

constexpr Index panel = 256;  // rows of op(A) at a time

/// A block of A in double: rows x columns of `out`, from (row, column) on.
template <class Real>
void convert(const WeightView& A, Index row, Index column, MatrixView<double> out) {
  const auto base = A.base.as<const std::int8_t>();
  const auto change = view_or_none<Real>(A.change);
#pragma omp parallel for schedule(static)
  for (Index j = 0; j < out.columns; ++j) {
    const std::int8_t* integers = base.column(column + j) + row;
    for (Index i = 0; i < out.rows; ++i)
      out(i, j) = A.step * integers[i];
    if (change.empty()) continue;
    const Real* changes = change.column(column + j) + row;
    for (Index i = 0; i < out.rows; ++i)
      out(i, j) += static_cast<double>(changes[i]);
  }
}

/// A matrix in double, dense.
template <class Real>
std::vector<double> in_double(MatrixView<const Real> from) {
  std::vector<double> to(static_cast<std::size_t>(from.rows * from.columns));
#pragma omp parallel for schedule(static)
  for (Index j = 0; j < from.columns; ++j)
    for (Index i = 0; i < from.rows; ++i)
      to[static_cast<std::size_t>(i + j * from.rows)] = static_cast<double>(from(i, j));
  return to;
}

/// The factors' share of the product, s left (right' z), or with the two exchanged.
template <class Real>
class FactorShare {
 public:
  FactorShare(const Sweep& sweep, const WeightView& A, MatrixView<const double> z)
      : k_(A.left.columns), m_(z.rows), s_(sweep.s) {
    if (k_ == 0) return;
    const bool transposed = sweep.transpose == Transpose::yes;
    left_ = in_double((transposed ? A.right : A.left).template as<const Real>());
    const std::vector<double> right =
        in_double((transposed ? A.left : A.right).template as<const Real>());
    inner_.resize(static_cast<std::size_t>(k_ * z.columns));
    gemm<double>(Transpose::yes, Transpose::no, 1.0, {right.data(), m_, k_}, z, 0.0,
                 {inner_.data(), k_, z.columns});
  }

  /// sum += rows from `first` on
  void add(Index first, MatrixView<double> sum) const {
    if (k_ == 0) return;
    gemm<double>(Transpose::no, Transpose::no, s_, {left_.data() + first, sum.rows, k_, m_},
                 {inner_.data(), k_, sum.columns}, 1.0, sum);
  }

 private:
  Index k_, m_;
  double s_;
  std::vector<double> left_, inner_;  // m x k, k x n
};

template <class Real>
void rebuild_as(SweepState& state, const Sweep& sweep, const WeightView& A, ConstBlock c) {
  const Index m = state.P.rows();
  const Index n = state.count;
  const auto P = state.P.block().as<Real>();
  const auto injection = c.as<const Real>();
  const std::vector<double> z = in_double(state.applied.columns(0, n).as<const Real>());
  const FactorShare<Real> factors(sweep, A, {z.data(), m, n});
  const Index widest = std::min(panel, m);
  std::vector<double> rows(static_cast<std::size_t>(m * widest));
  std::vector<double> sums(static_cast<std::size_t>(widest * n));
  for (Index first = 0; first < m; first += panel) {
    const Index count = std::min(panel, m - first);
    const MatrixView<double> sum(sums.data(), count, n);
    if (sweep.transpose == Transpose::yes) {  // rows of A' are columns of A
      const MatrixView<double> part(rows.data(), m, count);
      convert<Real>(A, 0, first, part);
      gemm<double>(Transpose::yes, Transpose::no, sweep.s, part, {z.data(), m, n}, 0.0, sum);
    } else {
      const MatrixView<double> part(rows.data(), count, m);
      convert<Real>(A, first, 0, part);
      gemm<double>(Transpose::no, Transpose::no, sweep.s, part, {z.data(), m, n}, 0.0, sum);
    }
    factors.add(first, sum);
#pragma omp parallel for schedule(static)
    for (Index j = 0; j < n; ++j)
      for (Index i = 0; i < count; ++i)
        P(first + i, j) =
            static_cast<Real>(static_cast<double>(injection(first + i, j)) + sum(i, j));
  }
}

}  // namespace

void rebuild(SweepState& state, const Sweep& sweep, const WeightView& A, ConstBlock c) {
  check_weights("rebuild", A, state.P.rows());
  expect_shape("rebuild", "c", c, state.P.rows(), state.count);
  if (state.open_count != 0) throw ShapeError("rebuild: columns are still open");
  if (c.element != state.P.element()) throw_wrong_element(c.element, state.P.element());
  if (!state.settled.empty())
    copy(state.applied.columns(0, state.count), state.settled.columns(0, state.count));
  if (c.element == Element::float64)
    rebuild_as<double>(state, sweep, A, c);
  else
    rebuild_as<float>(state, sweep, A, c);
}

}  // namespace widedeq::cpu
