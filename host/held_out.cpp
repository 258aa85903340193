// Predictions and loss of samples that training does not see; see held_out.hpp.
#include "host/held_out.hpp"

#include <algorithm>
#include <cmath>

#include "host/drift.hpp"

namespace widedeq {

double classification_error(std::span<const double> predictions, std::span<const double> targets,
                            std::span<const double> class_targets) {
  if (predictions.size() != targets.size())
    throw ShapeError("classification error: " + std::to_string(predictions.size()) +
                     " predictions, " + std::to_string(targets.size()) + " targets");
  if (targets.empty()) return 0.0;
  Index wrong = 0;
  for (std::size_t j = 0; j < targets.size(); ++j) {
    const double own = std::abs(predictions[j] - targets[j]);
    wrong += std::ranges::any_of(class_targets, [&](double target) {
      return !(std::abs(predictions[j] - target) >= own);  // a NaN is wrong
    });
  }
  return static_cast<double>(wrong) / static_cast<double>(targets.size());
}

HeldOut::HeldOut(Backend& backend, const Model& model, const HostMatrix& inputs,
                 std::vector<double> targets, const SolveOptions& options, Index chunk)
    : backend_(backend),
      targets_(std::move(targets)),
      options_(forward_options(options, model.inputs(), model.precision())),
      solver_(backend, model.precision(), model.width(), std::min(chunk, inputs.columns)) {
  if (inputs.rows != model.inputs() || inputs.columns != static_cast<Index>(targets_.size()))
    throw ShapeError("held-out samples: inputs are " + shape(inputs) + ", W is " +
                     shape(model.W.block()) + ", targets are " + std::to_string(targets_.size()));
  const Element real = real_of(model.precision());
  X_ = backend.allocate(real, inputs.rows, inputs.columns);
  backend.upload(inputs.view(), X_);
  Phi_ = backend.allocate(real, model.width(), std::min(chunk, inputs.columns));
}

HeldOutScore HeldOut::evaluate(const Model& model) {
  HeldOutScore score;
  solver_.forget();
  const Index n = X_.columns();
  for (Index first = 0; first < n; first += Phi_.columns()) {
    const Index count = std::min(Phi_.columns(), n - first);
    const Block Phi = Phi_.columns(0, count);
    const ConstBlock X = std::as_const(X_).block().middle_columns(first, count);

    // Phi = relu(W X) / sqrt(m)     Z = relu(s A Z + Phi)
    backend_.inject(model.W, X, model.options.injection,
                    injection_sums(X.rows, model.precision(), options_.tolerance), Phi);
    merge(score.forward, solver_.solve(model, Phi, options_));
    if (score.forward.status != SolveStatus::converged) break;

    // yhat = u'Z + v'Phi     loss = 1/2 sum (yhat - y)^2
    for (const double yhat : backend_.readout(model.u, solver_.Z(), model.skip(), Phi)) {
      const double r = yhat - targets_[score.predictions.size()];
      score.loss += 0.5 * r * r;
      score.predictions.push_back(yhat);
    }
  }
  return score;
}

}  // namespace widedeq
