// An epoch's two halves, solve and update; see trainer.hpp.
#include "host/trainer.hpp"

#include <algorithm>
#include <cmath>

#include "host/drift.hpp"

namespace widedeq {
namespace {

/// Whether a warm solve need not be done again, cold.
bool is_good(const SolveReport& report) {
  return report.status == SolveStatus::converged && !report.wants_cold_start;
}

}  // namespace

Trainer::Trainer(Backend& backend, Model& model, const HostMatrix& inputs,
                 std::vector<double> targets, const SolveOptions& options,
                 const TrainerOptions& how)
    : backend_(backend),
      model_(model),
      targets_(std::move(targets)),
      options_(options),
      forward_options_(forward_options(options, model.inputs(), model.precision())),
      plan_(plan_training(samples(), model.width(), model.precision(), options.tolerance, how)),
      audits_(model.width(), model.precision(), options.tolerance, how.audit_every),
      forward_(backend, model.precision(), model.width(), plan_.chunk),
      adjoint_(backend, model.precision(), model.width(), plan_.chunk) {
  if (inputs.rows != model.inputs() || inputs.columns != samples() || samples() == 0)
    throw ShapeError("trainer: inputs are " + shape(inputs) + ", W is " + shape(model.W.block()) +
                     ", targets are " + std::to_string(samples()));
  const Element real = real_of(model.precision());
  const Index m = model.width();
  X_ = backend.allocate(real, inputs.rows, inputs.columns);
  backend.upload(inputs.view(), X_);
  Phi_ = backend.allocate(real, m, plan_.chunk);
  B_ = backend.allocate(real, m, plan_.chunk);
  ones_ = backend.allocate(real, 1, plan_.chunk);
  backend.fill(ones_, 1.0);
  dW_ = backend.allocate(real, m, model.inputs());
  du_ = backend.allocate(real, m, 1);
  u_before_ = backend.allocate(real, m, 1);
  dv_ = backend.allocate(real, m, 1);
  if (plan_.chunk < samples()) dA_ = backend.allocate(real, m, m);
}

Evaluation Trainer::evaluate(GramMonitor* monitor, bool audit) {
  in_view_ = {X_, targets_};
  const int base_version = model_.A.operand().base_version;
  audit = is_warm() && (audit || audits_.is_due(base_version));
  Evaluation result = evaluate_chunks(monitor, audit);
  audits_.add(audit, plan_.starts_warm && result.converged(),
              std::max(result.forward.sweeps, result.adjoint.sweeps), base_version);
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
  r_.resize(in_view_.targets.size());
  clear_gradient();
  const auto in_view = static_cast<Index>(r_.size());
  for (Index first = 0; first < in_view; first += plan_.chunk) {
    const Index count = std::min(plan_.chunk, in_view - first);

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

SolveOptions Trainer::warm_options(const SolveOptions& options) const {
  const double drift = std::min(audits_.drift_in(1), most_drift * options.tolerance);
  return tightened_by(drift, model_.width(), model_.precision(), options);
}

SolveReport Trainer::solve_forward(Index first, Index count, bool audit) {
  const Range range(backend_, "forward");
  const ConstBlock X = in_view_.X.middle_columns(first, count);
  const Block Phi = Phi_.columns(0, count);
  // Phi's change, made of numbers that are nearly the same, before P takes it: hardly rounded.
  const Block before = B_.columns(0, count);  // which the gradient does not need yet
  if (is_warm()) backend_.copy(Phi, before);
  backend_.inject(model_.W, X, model_.options.injection,
                  injection_sums(X.rows, model_.precision(), options_.tolerance), Phi);
  if (!is_warm()) return forward_.solve(model_, Phi, forward_options_);

  backend_.add_scaled(before, -1.0, Phi);
  forward_.add_injection(-1.0, before);
  SolveReport report = forward_.solve_on(model_, warm_options(forward_options_));
  if ((audit || report.wants_audit) && is_good(report))
    forward_.audit(model_, Phi, forward_options_, report);
  return is_good(report) ? report : after(report, forward_.solve(model_, Phi, forward_options_));
}

SolveReport Trainer::solve_adjoint(bool audit) {
  const Range range(backend_, "adjoint");
  if (!is_warm()) return adjoint_.solve(model_, forward_.P(), options_);
  SolveReport report = adjoint_.solve_on(model_, forward_.P(), warm_options(options_));
  if ((audit || report.wants_audit) && is_good(report))
    adjoint_.audit(model_, forward_.P(), options_, report);
  return is_good(report) ? report : after(report, adjoint_.solve(model_, forward_.P(), options_));
}

void Trainer::clear_gradient() {
  for (Matrix* gradient : {&dW_, &du_, &dv_})
    backend_.fill(*gradient, 0.0);
  if (in_chunks()) backend_.fill(dA_, 0.0);
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
  if (in_chunks()) backend_.rank_update(dA_, model_.s(), adjoint_.L(), r, forward_.Z(), precision);

  // dW = (B diag r) X' / sqrt(m), B = Dphi o (L + v 1')
  backend_.backward_injection(adjoint_.L(), model_.skip(), Phi, model_.options.injection, B);
  backend_.rank_update(dW_, 1.0 / root, B, r, X, precision);

  // du = Z r     dv = Phi r
  backend_.rank_update(du_, 1.0, forward_.Z(), r, ones, precision);
  if (model_.options.skip) backend_.rank_update(dv_, 1.0, Phi, r, ones, precision);
}

double Trainer::update_recurrent_weights(double alpha) {
  if (in_chunks()) return backend_.add_scaled(model_.A.change(), alpha, dA_);
  const double s = model_.s();
  return s * s * model_.A.add_rank_update(alpha * s, adjoint_.L(), r_, forward_.Z());
}

double Trainer::add_recurrent_gradient(Block C, double alpha) {
  if (in_chunks()) return backend_.add_scaled(C, alpha, dA_);
  const double s = model_.s();
  return s * s *
         backend_.rank_update(C, alpha * s, adjoint_.L(), r_, forward_.Z(), model_.precision());
}

double Trainer::update_readout(double eta) {
  if (!is_warm()) return backend_.add_scaled(model_.u, -eta, du_);
  backend_.copy(model_.u, u_before_);
  const double squares = backend_.add_scaled(model_.u, -eta, du_);
  // u has been rounded: the adjoint follows what it has become, not what it was to be.
  backend_.add_scaled(u_before_, -1.0, model_.u);
  adjoint_.follow_readout(-1.0, u_before_);
  return squares;
}

double Trainer::update(double eta) {
  const Range range(backend_, "update");
  if (is_warm()) {  // before anything of L, Z or r changes
    forward_.follow(model_, eta, adjoint_.L(), r_);
    adjoint_.follow(model_, eta, forward_.Z(), r_);
  }
  double squares = update_recurrent_weights(-eta);
  squares += backend_.add_scaled(model_.W, -eta, dW_);
  squares += update_readout(eta);
  if (model_.options.skip) squares += backend_.add_scaled(model_.v, -eta, dv_);
  model_.A.refresh();
  return std::sqrt(squares);
}

void Trainer::transfer(Archive& archive) {
  audits_.transfer(archive, model_.A.operand().base_version);
  archive.within("forward", [&] { forward_.transfer(model_, is_warm(), archive); });
  archive.within("adjoint", [&] { adjoint_.transfer(model_, is_warm(), archive); });
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
  Matrix dA = backend_.allocate(real_of(model_.precision()), m, m);
  add_recurrent_gradient(dA, 1.0);
  return {download(backend_, dA), download(backend_, dW_), download(backend_, du_).values,
          download(backend_, dv_).values};
}

}  // namespace widedeq
