// Masters and operand of the recurrent weights, and how far they are from their draw; see
// weight_operator.hpp.
#include "host/weight_operator.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "host/data/checksum.hpp"
#include "host/failure.hpp"
#include "host/update_cost.hpp"

namespace widedeq {
namespace {

/// columns += columns `first` ... of A's left right'
void add_factors(Backend& backend, const WeightView& A, Index first, Block columns,
                 Precision precision) {
  const std::vector<double> ones(static_cast<std::size_t>(A.left.columns), 1.0);
  backend.rank_update(columns, 1.0, A.left, ones, A.right.middle_rows(first, columns.columns),
                      precision);
}

/// The checksum of the elements.
std::int64_t fingerprint(Backend& backend, ConstBlock matrix) {
  Checksum sum;
  std::vector<std::byte> column(static_cast<std::size_t>(matrix.rows) * size_of(matrix.element));
  for (Index j = 0; j < matrix.columns; ++j) {
    backend.save(matrix.middle_columns(j, 1), column);
    sum.add(column);
  }
  return static_cast<std::int64_t>(sum.value());
}

/// Columns that distances are summed over at a time.
constexpr Index distance_panel = 256;

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
  operand_->plane_change = last_update_;
  backend_.refresh(*operand_, view(), changed_);
  changed_ = Changed::factors;
}

double WeightOperator::add_rank_update(double alpha, ConstBlock left, std::span<const double> r,
                                       ConstBlock right) {
  const double squares = add_factors_or_change(alpha, left, r, right);
  last_update_ = std::abs(alpha) * std::sqrt(squares);
  return squares;
}

double WeightOperator::add_factors_or_change(double alpha, ConstBlock left,
                                             std::span<const double> r, ConstBlock right) {
  const Index keep = precision_ == Precision::mixed ? updates_to_keep(width(), left.columns) : 0;
  if (keep == 0) return backend_.rank_update(change(), alpha, left, r, right, precision_);

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
  add_factors(backend_, view(), 0, change(), precision());
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
  archive.number("last_update", last_update_);
  archive.matrix("own_base", operand_->own_base);
  archive.number("own_step", operand_->own_step);
  if (archive.is_loading()) {
    changed_ = Changed::base;
    if (precision_ != Precision::mixed) fold_factors();  // of a run in mixed
    refresh();
  }
}

double WeightOperator::distance_from(const Draw& draw) const {
  const bool change_is_apart = drawn_ && draw.law == WeightLaw::lattice;
  return std::sqrt(change_is_apart ? squared_change() : squared_distance(draw));
}

void WeightOperator::add_change(Index first, Block to) const {
  if (!change_.empty()) backend_.copy(change_.columns(first, to.columns), to);
  if (kept_ > 0) add_factors(backend_, view(), first, to, precision());
}

double WeightOperator::squared_change() const {
  if (change_.empty() && kept_ == 0) return 0.0;
  const Element real = real_of(precision());
  const Index most = std::min(distance_panel, width());
  Matrix change = backend_.allocate(real, width(), most);
  Matrix scratch = backend_.allocate(real, width(), most);
  double squares = 0.0;
  for (Index first = 0; first < width(); first += most) {
    const Index count = std::min(most, width() - first);
    const Block part = change.columns(0, count);
    backend_.fill(part, 0.0);
    add_change(first, part);
    squares += backend_.add_scaled(scratch.columns(0, count), 0.0, part);  // which tells its norm
  }
  return squares;
}

double WeightOperator::squared_distance(const Draw& draw) const {
  const auto m = static_cast<std::size_t>(width());
  const bool is_single = real_of(precision()) == Element::float32;
  double squares = 0.0;
  for (Index first = 0; first < width(); first += distance_panel) {
    const HostMatrix now = download_columns(first, std::min(distance_panel, width() - first));
    std::vector<double> sums(static_cast<std::size_t>(now.columns));
    HostMatrix start_columns(width(), now.columns);  // no allocation where it could not be reported
#pragma omp parallel for schedule(static)
    for (Index j = 0; j < now.columns; ++j) {
      const std::span<double> drawn(start_columns.values.data() + static_cast<std::size_t>(j) * m,
                                    m);
      draw_column(draw, first + j, drawn);
      double sum = 0.0;
      for (std::size_t i = 0; i < m; ++i) {
        const double start =
            is_single ? static_cast<double>(static_cast<float>(drawn[i])) : drawn[i];
        const double difference = now(static_cast<Index>(i), j) - start;
        sum += difference * difference;
      }
      sums[static_cast<std::size_t>(j)] = sum;
    }
    squares = std::accumulate(sums.begin(), sums.end(), squares);
  }
  return squares;
}

HostMatrix WeightOperator::download_columns(Index first, Index count) const {
  HostMatrix columns(width(), count);
  backend_.download(base_.columns(first, count), columns.view());
  for (double& entry : columns.values)
    entry *= step_;
  if (change_.empty() && kept_ == 0) return columns;
  Matrix change = backend_.allocate(real_of(precision()), width(), count);
  add_change(first, change);
  HostMatrix changes(width(), count);
  backend_.download(change, changes.view());
  std::ranges::transform(columns.values, changes.values, columns.values.begin(), std::plus<>());
  return columns;
}

}  // namespace widedeq
