// An epoch's two halves, solve and update; see trainer.hpp.
#include "host/trainer.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace widedeq {
namespace {

/// Samples a chunk takes: the working set is about nine m x chunk buffers, and products gain
/// nothing from more columns than this.
constexpr Index default_chunk = 1024;

/// What an epoch's updates add to the rounding of a carried P, relative to Z and in units of
/// rounding; the contributions' signs are random. Measured by audits: 2e-7 to 3e-7 after 50 epochs
/// in single precision.
constexpr double roundings_an_epoch = 0.7;

/// What rounding may have added to a state carried over so many epochs, relative to Z.
double drift_after(int epochs, Precision precision) {
  const double unit = precision == Precision::fp64 ? std::numeric_limits<double>::epsilon()
                                                   : std::numeric_limits<float>::epsilon();
  return roundings_an_epoch * unit / 2.0 * std::sqrt(static_cast<double>(epochs));
}

/// Whether a warm solve need not be done again, cold.
bool is_good(const SolveReport& report) {
  return report.status == SolveStatus::converged && !report.has_shrunk;
}

/// A tolerance gives up half of itself to rounding, no more.
bool has_room(int epochs, Precision precision, double tolerance) {
  return drift_after(epochs, precision) <= tolerance / 2.0;
}

/// An audit costs about as much as this many warm starts save.
constexpr int fewest_carried = 8;

Index chunk_of(Index samples, const TrainerOptions& how) {
  return std::min(samples, how.chunk > 0 ? how.chunk : default_chunk);
}

}  // namespace

void merge(SolveReport& all, SolveReport more) {
  if (more.status != SolveStatus::converged) all.status = more.status;
  if (more.audit) all.audit = std::max(all.audit.value_or(0.0), *more.audit);
  all.sweeps = std::max(all.sweeps, more.sweeps);
  all.worst_residual = std::max(all.worst_residual, more.worst_residual);
  all.residuals.insert(all.residuals.end(), more.residuals.begin(), more.residuals.end());
}

Trainer::Trainer(Backend& backend, Model& model, const HostMatrix& inputs,
                 std::vector<double> targets, const SolveOptions& options,
                 const TrainerOptions& how)
    : backend_(backend),
      model_(model),
      targets_(std::move(targets)),
      options_(options),
      how_(how),
      chunk_(chunk_of(samples(), how)),
      forward_(backend, model.precision(), model.width(), chunk_),
      adjoint_(backend, model.precision(), model.width(), chunk_) {
  if (inputs.rows != model.inputs() || inputs.columns != samples() || samples() == 0)
    throw ShapeError("trainer: inputs are " + shape(inputs) + ", W is " + shape(model.W.block()) +
                     ", targets are " + std::to_string(samples()));
  const Element real = real_of(model.precision());
  const Index m = model.width();
  X_ = backend.allocate(real, inputs.rows, inputs.columns);
  backend.upload(inputs.view(), X_);
  Phi_ = backend.allocate(real, m, chunk_);
  B_ = backend.allocate(real, m, chunk_);
  ones_ = backend.allocate(real, 1, chunk_);
  backend.fill(ones_, 1.0);
  dW_ = backend.allocate(real, m, model.inputs());
  du_ = backend.allocate(real, m, 1);
  dv_ = backend.allocate(real, m, 1);
  if (chunk_ < samples()) dA_ = backend.allocate(real, m, m);
}

bool Trainer::starts_warm(Index samples, const TrainerOptions& how, Precision precision,
                          double tolerance) {
  return how.warm_start && chunk_of(samples, how) == samples &&
         has_room(std::min(how.audit_every, fewest_carried), precision, tolerance);
}

Evaluation Trainer::evaluate(GramMonitor* monitor, bool audit) {
  in_view_ = {X_, targets_};
  // A new base of the operand's digits leaves warm states behind; an audit rebuilds them.
  audit = is_warm() && (audit || since_audit_ + 1 >= how_.audit_every ||
                        !has_room(since_audit_ + 2, model_.precision(), options_.tolerance) ||
                        base_version_ != model_.A.operand().base_version);
  Evaluation result = evaluate_chunks(monitor, audit);
  if (audit || !is_warm()) base_version_ = model_.A.operand().base_version;
  const bool carry_on = starts_warm() && result.converged();
  warm_epochs_ = carry_on ? warm_epochs_ + 1 : 0;
  since_audit_ = audit || warm_epochs_ <= 1 ? 0 : since_audit_ + 1;
  return result;
}

Evaluation Trainer::evaluate_batch(const HostMatrix& inputs, std::span<const double> targets) {
  const auto size = static_cast<Index>(targets.size());
  if (inputs.rows != X_.rows() || inputs.columns != size || size == 0 || size > samples())
    throw ShapeError("trainer: a batch's inputs are " + shape(inputs) + ", its targets are " +
                     std::to_string(size) + ", all inputs are " + shape(X_.block()));
  if (batch_X_.columns() < size) batch_X_ = backend_.allocate(X_.element(), X_.rows(), size);
  const Block X = batch_X_.columns(0, size);
  backend_.upload(inputs.view(), X);
  in_view_ = {X, targets};
  forget();
  return evaluate_chunks(nullptr, false);
}

Evaluation Trainer::evaluate_chunks(GramMonitor* monitor, bool audit) {
  Evaluation result;
  clear_gradient();
  r_.resize(in_view_.targets.size());
  const auto in_view = static_cast<Index>(r_.size());
  for (Index first = 0; first < in_view; first += chunk_) {
    const Index count = std::min(chunk_, in_view - first);

    // Phi = relu(W X) / sqrt(m)     Z = relu(s A Z + Phi)
    merge(result.forward, solve_forward(first, count, audit));
    if (result.forward.status != SolveStatus::converged) break;

    // yhat = u'Z + v'Phi     r = yhat - y     loss = 1/2 sum r^2
    const Block Phi = Phi_.columns(0, count);
    const auto predictions = backend_.readout(model_.u, forward_.Z(), model_.skip(), Phi);
    for (std::size_t j = 0; j < predictions.size(); ++j) {
      const double r = predictions[j] - in_view_.targets[static_cast<std::size_t>(first) + j];
      r_[static_cast<std::size_t>(first) + j] = r;
      result.loss += 0.5 * r * r;
      result.predictions.push_back(predictions[j]);
    }

    // L = D o (u 1' + s A' L)
    merge(result.adjoint, solve_adjoint(audit));
    if (result.adjoint.status != SolveStatus::converged) break;

    if (monitor != nullptr) monitor->take(first, forward_.Z(), adjoint_.L(), Phi);
    add_chunk_gradient(first, count);
  }
  return result;
}

SolveOptions Trainer::carried_options() const {
  SolveOptions options = options_;
  options.tolerance -= drift_after(since_audit_ + 1, model_.precision());
  return options;
}

SolveReport Trainer::solve_forward(Index first, Index count, bool audit) {
  const Range range(backend_, "forward");
  const ConstBlock X = in_view_.X.middle_columns(first, count);
  const Block Phi = Phi_.columns(0, count);
  if (is_warm()) forward_.add_injection(-1.0, Phi);
  backend_.inject(model_.W, X, model_.options.injection, Phi);
  if (!is_warm()) return forward_.solve(model_, Phi, options_);

  forward_.add_injection(1.0, Phi);
  SolveReport report = forward_.solve_on(model_, carried_options());
  if ((audit || report.doubtful) && is_good(report)) forward_.audit(model_, Phi, options_, report);
  return is_good(report) ? report : forward_.solve(model_, Phi, options_);
}

SolveReport Trainer::solve_adjoint(bool audit) {
  const Range range(backend_, "adjoint");
  if (!is_warm()) return adjoint_.solve(model_, forward_.P(), options_);
  SolveReport report = adjoint_.solve_on(model_, forward_.P(), carried_options());
  if ((audit || report.doubtful) && is_good(report))
    adjoint_.audit(model_, forward_.P(), options_, report);
  return is_good(report) ? report : adjoint_.solve(model_, forward_.P(), options_);
}

void Trainer::clear_gradient() {
  for (Matrix* gradient : {&dA_, &dW_, &du_, &dv_})
    backend_.fill(*gradient, 0.0);
}

void Trainer::add_chunk_gradient(Index first, Index count) {
  const std::span<const double> r(r_.data() + first, static_cast<std::size_t>(count));
  const ConstBlock X = in_view_.X.middle_columns(first, count);
  const ConstBlock Phi = Phi_.block().middle_columns(0, count);
  const ConstBlock ones = ones_.block().middle_columns(0, count);
  const Block B = B_.columns(0, count);
  const double root = std::sqrt(static_cast<double>(model_.width()));
  const Precision precision = model_.precision();

  // dA = s (L diag r) Z'; with one chunk, update() applies it without storing it
  if (!dA_.empty()) backend_.rank_update(dA_, model_.s(), adjoint_.L(), r, forward_.Z(), precision);

  // dW = (B diag r) X' / sqrt(m), B = Dphi o (L + v 1')
  backend_.backward_injection(adjoint_.L(), model_.skip(), Phi, model_.options.injection, B);
  backend_.rank_update(dW_, 1.0 / root, B, r, X, precision);

  // du = Z r     dv = Phi r
  backend_.rank_update(du_, 1.0, forward_.Z(), r, ones, precision);
  if (model_.options.skip) backend_.rank_update(dv_, 1.0, Phi, r, ones, precision);
}

double Trainer::update_recurrent_weights(double alpha) {
  if (!dA_.empty()) return backend_.add_scaled(model_.A.change(), alpha, dA_);
  const double s = model_.s();
  return s * s * model_.A.add_rank_update(alpha * s, adjoint_.L(), r_, forward_.Z());
}

double Trainer::add_recurrent_gradient(Block C, double alpha) {
  if (!dA_.empty()) return backend_.add_scaled(C, alpha, dA_);
  const double s = model_.s();
  return s * s *
         backend_.rank_update(C, alpha * s, adjoint_.L(), r_, forward_.Z(), model_.precision());
}

double Trainer::update(double eta) {
  const Range range(backend_, "update");
  if (is_warm()) {  // before anything of L, Z, r or u changes
    forward_.follow(model_, eta, adjoint_.L(), r_);
    adjoint_.follow(model_, eta, forward_.Z(), r_);
    adjoint_.follow_readout(-eta, du_);
  }
  double squares = update_recurrent_weights(-eta);
  squares += backend_.add_scaled(model_.W, -eta, dW_);
  squares += backend_.add_scaled(model_.u, -eta, du_);
  if (model_.options.skip) squares += backend_.add_scaled(model_.v, -eta, dv_);
  model_.A.refresh();
  return std::sqrt(squares);
}

void Trainer::transfer(Archive& archive) {
  archive.integer("warm_epochs", warm_epochs_);
  archive.integer("since_audit", since_audit_);
  bool base_is_known = base_version_ == model_.A.operand().base_version;
  archive.integer("base_is_known", base_is_known);
  if (archive.is_loading())
    base_version_ = model_.A.operand().base_version - (base_is_known ? 0 : 1);
  archive.within("forward", [&] { forward_.transfer(archive, is_warm()); });
  archive.within("adjoint", [&] { adjoint_.transfer(archive, is_warm()); });
  if (is_warm()) archive.matrix("Phi", Phi_);
}

double Trainer::gradient(double alpha, Parameters& direction) {
  direction.fill(0.0);
  double squares = add_recurrent_gradient(direction.A, alpha);
  squares += backend_.add_scaled(direction.W, alpha, dW_);
  squares += backend_.add_scaled(direction.u, alpha, du_);
  if (model_.options.skip) squares += backend_.add_scaled(direction.v, alpha, dv_);
  return std::sqrt(squares);
}

Weights Trainer::gradient() {
  const Index m = model_.width();
  Weights gradient;
  Matrix dA = backend_.allocate(real_of(model_.precision()), m, m);
  add_recurrent_gradient(dA, 1.0);
  gradient.A = HostMatrix(m, m);
  backend_.download(dA, gradient.A.view());
  gradient.W = HostMatrix(m, model_.inputs());
  backend_.download(dW_, gradient.W.view());
  gradient.u.resize(static_cast<std::size_t>(m));
  gradient.v.resize(static_cast<std::size_t>(m));
  backend_.download(du_, {gradient.u.data(), m, 1});
  backend_.download(dv_, {gradient.v.data(), m, 1});
  return gradient;
}

}  // namespace widedeq
