// Masters, operand and norm of the recurrent weights; see weight_operator.hpp.
#include "host/weight_operator.hpp"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "host/failure.hpp"
#include "host/spectrum.hpp"
#include "host/update_cost.hpp"

namespace widedeq {
namespace {

/// columns += columns `first` ... of A's left right'
void add_factors(Backend& backend, const WeightView& A, Index first, Block columns) {
  const std::vector<double> ones(static_cast<std::size_t>(A.left.columns), 1.0);
  backend.rank_update(columns, 1.0, A.left, ones, A.right.middle_rows(first, columns.columns));
}

/// XXH3 of the elements.
std::int64_t fingerprint(Backend& backend, ConstBlock matrix) {
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(),
                                                                              &XXH3_freeState);
  if (!state) throw std::bad_alloc();
  XXH3_64bits_reset(state.get());
  std::vector<std::byte> column(static_cast<std::size_t>(matrix.rows) * size_of(matrix.element));
  for (Index j = 0; j < matrix.columns; ++j) {
    backend.save(matrix.middle_columns(j, 1), column);
    XXH3_64bits_update(state.get(), column.data(), column.size());
  }
  return static_cast<std::int64_t>(XXH3_64bits_digest(state.get()));
}

}  // namespace

WeightOperator::WeightOperator(Backend& backend, Precision precision, Index width, WeightLaw law,
                               std::uint64_t seed, int panels)
    : backend_(backend), precision_(precision), drawn_(true) {
  allocate(width, panels);
  if (law == WeightLaw::lattice) {
    backend_.generate_lattice(base_, seed, Tensor::A);
  } else {
    backend_.generate_gaussian(change(), seed, Tensor::A);
    split_change();
  }
  refresh();
}

WeightOperator::WeightOperator(Backend& backend, Precision precision, MatrixView<const double> A,
                               int panels)
    : backend_(backend), precision_(precision), drawn_(false) {
  if (A.rows != A.columns) throw ShapeError("A is " + shape(A) + ", not square");
  allocate(A.rows, panels);
  backend_.upload(A, change());
  split_change();
  refresh();
}

void WeightOperator::split_change() {
  const Split split = backend_.split(change_, base_);
  step_ = split.step;
  if (split.exact) change_ = Matrix();
}

void WeightOperator::allocate(Index width, int panels) {
  operand_ = backend_.make_operand(precision_, width, panels);
  base_ = backend_.allocate(Element::int8, width, width);
}

WeightView WeightOperator::view() const {
  return {base_, step_, change_, left_.columns(0, kept_), right_.columns(0, kept_), factors_norm_};
}

Block WeightOperator::change() {
  if (change_.empty()) change_ = backend_.allocate(real_of(precision()), width(), width());
  changed_ = std::max(changed_, Changed::change);
  return change_;
}

void WeightOperator::refresh() {
  backend_.refresh(*operand_, view(), changed_);
  changed_ = Changed::factors;
}

double WeightOperator::add_rank_update(double alpha, ConstBlock left, std::span<const double> r,
                                       ConstBlock right) {
  const Index keep = precision_ == Precision::mixed ? updates_to_keep(width(), left.columns) : 0;
  if (keep == 0) return backend_.rank_update(change(), alpha, left, r, right);

  if (kept_ + left.columns > left_.columns()) fold_factors();
  if (left_.columns() < left.columns) {
    Matrix lefts = backend_.allocate(real_of(precision_), width(), keep * left.columns);
    Matrix rights = backend_.allocate(real_of(precision_), width(), keep * left.columns);
    left_ = std::move(lefts);
    right_ = std::move(rights);
  }
  const double squares =
      backend_.copy_factors(alpha, left, r, right, left_.columns(kept_, left.columns),
                            right_.columns(kept_, left.columns));
  kept_ += left.columns;
  factors_norm_ += std::abs(alpha) * std::sqrt(squares);
  return squares;
}

void WeightOperator::fold_factors() {
  if (kept_ == 0) return;
  add_factors(backend_, view(), 0, change());
  kept_ = 0;
  factors_norm_ = 0.0;
}

void WeightOperator::transfer(Archive& archive) {
  archive.number("step", step_);
  archive.integer("drawn", drawn_);
  if (drawn_) {
    const std::int64_t drawn = fingerprint(backend_, base_);
    std::int64_t saved = drawn;
    archive.integer("base_fingerprint", saved);
    if (saved != drawn)
      throw Failure(ExitCode::bad_data, "the weights drawn from the seed are not those of the run",
                    "A", "resume with the seed, the law and the machine it was started with");
  } else {
    archive.matrix("base", base_);
  }
  archive.matrix("change", change_);
  archive.matrix("left", left_);
  archive.matrix("right", right_);
  archive.integer("kept", kept_);
  archive.number("factors_norm", factors_norm_);
  archive.matrix("own_base", operand_->own_base);
  archive.number("own_step", operand_->own_step);
  if (archive.is_loading()) {
    changed_ = Changed::base;
    refresh();
  }
}

HostMatrix WeightOperator::download_columns(Index first, Index count) const {
  HostMatrix columns(width(), count);
  backend_.download(base_.columns(first, count), columns.view());
  for (double& entry : columns.values)
    entry *= step_;
  if (change_.empty() && kept_ == 0) return columns;
  Matrix change = backend_.allocate(real_of(precision()), width(), count);
  if (!change_.empty()) backend_.copy(change_.columns(first, count), change);
  if (kept_ > 0) add_factors(backend_, view(), first, change);
  HostMatrix changes(width(), count);
  backend_.download(change, changes.view());
  std::ranges::transform(columns.values, changes.values, columns.values.begin(), std::plus<>());
  return columns;
}

namespace {

double norm(const std::vector<double>& x) {
  double sum = 0.0;
  for (const double entry : x)
    sum += entry * entry;
  return std::sqrt(sum);
}

double dot(const std::vector<double>& x, const std::vector<double>& y) {
  double sum = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i)
    sum += x[i] * y[i];
  return sum;
}

/// y -= Q Q'y, twice, which is as good as exact (Kahan, Parlett).
void orthogonalise(std::vector<double>& y, const std::vector<std::vector<double>>& Q) {
  for (int pass = 0; pass < 2; ++pass) {
    for (const auto& q : Q) {
      const double overlap = dot(q, y);
      for (std::size_t i = 0; i < y.size(); ++i)
        y[i] -= overlap * q[i];
    }
  }
}

/// Divides by the norm and returns it; leaves a zero vector alone.
double normalise(std::vector<double>& y) {
  const double length = norm(y);
  if (length > 0.0)
    for (double& entry : y)
      entry /= length;
  return length;
}

}  // namespace

double estimate_operator_norm(Backend& backend, const WeightView& A, std::vector<double>& start,
                              int steps) {
  const auto m = static_cast<std::size_t>(A.width());
  steps = std::min(steps, static_cast<int>(std::min<Index>(A.width(), 1000)));
  if (start.size() != m || normalise(start) == 0.0)
    throw ShapeError("estimate_operator_norm: the start has " + std::to_string(start.size()) +
                     " entries or is zero, A is " + shape(A.base));

  // A V = U B with B upper bidiagonal: alpha on the diagonal, beta above it.
  std::vector<std::vector<double>> V{start};
  std::vector<std::vector<double>> U;
  std::vector<double> alpha, beta;
  while (true) {
    std::vector<double> u(m);
    backend.apply(A, Transpose::no, V.back(), u);
    orthogonalise(u, U);
    alpha.push_back(normalise(u));
    U.push_back(std::move(u));
    if (static_cast<int>(U.size()) == steps || alpha.back() == 0.0) break;
    std::vector<double> v(m);
    backend.apply(A, Transpose::yes, U.back(), v);
    orthogonalise(v, V);
    beta.push_back(normalise(v));
    if (beta.back() <= 1e-14 * alpha.front()) break;  // the space is invariant
    V.push_back(std::move(v));
  }

  // The top eigenpair of B'B: its root bounds ||A|| from below, its vector is the next start.
  const auto k = static_cast<Index>(alpha.size());
  HostMatrix BtB(k, k);
  for (Index i = 0; i < k; ++i) {
    const auto row = static_cast<std::size_t>(i);
    BtB(i, i) = alpha[row] * alpha[row] + (i > 0 ? beta[row - 1] * beta[row - 1] : 0.0);
    if (i + 1 < k) BtB(i, i + 1) = BtB(i + 1, i) = alpha[row] * beta[row];
  }
  const Eigenpair top = largest_eigenpair(std::move(BtB));
  std::ranges::fill(start, 0.0);
  for (Index j = 0; j < k; ++j)
    for (std::size_t i = 0; i < m; ++i)
      start[i] += top.vector[static_cast<std::size_t>(j)] * V[static_cast<std::size_t>(j)][i];
  return std::sqrt(std::max(0.0, top.value));
}

}  // namespace widedeq
