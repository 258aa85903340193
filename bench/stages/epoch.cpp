// A whole epoch on weights in training: inject, forward solve, readout, adjoint solve, gradient,
// update, refresh; no Gram. Every call is one more step of gradient descent.
#include <algorithm>
#include <cmath>

#include "bench/iteration.hpp"
#include "bench/product_count.hpp"
#include "bench/stages.hpp"

namespace widedeq::bench {
namespace {

class Epoch final : public Trial {
 public:
  explicit Epoch(const Case& c) : case_(c), training_(c), evaluation_(training_.first) {}

  void call() override {
    count_.begin();
    evaluation_ = training_.trainer.evaluate();
    if (!evaluation_.converged()) return;
    training_.trainer.update(training_.learning_rate);
    count_.end();
    forward_ += evaluation_.forward.sweeps;
    adjoint_ += evaluation_.adjoint.sweeps;
  }

  /// Epochs take fewer sweeps the longer training goes on: those of the warm-up most.
  void start_timing() override {
    count_ = ProductCount(case_);
    forward_ = adjoint_ = 0.0;
  }
  bool work_varies() const override { return true; }

  Work work() const override {
    Work work = inject_work(case_);
    work += readout_work(case_);
    work += backward_injection_work(case_);
    work += rank_update_work(case_);
    work += refresh_work(case_);
    work += forward_ / count_.calls() * sweep_work(case_, false);
    work += adjoint_ / count_.calls() * sweep_work(case_, true);
    double bytes = work.bytes;
    // The digits of what the base leaves out: one for A, two for A', each made from the change.
    if (case_.precision == Precision::mixed)
      bytes += 3.0 * (1.0 + real_bytes(case_.precision)) * static_cast<double>(case_.shape.m) *
               static_cast<double>(case_.shape.m);
    work = count_.mean();
    work.bytes = bytes;
    return work;
  }

  std::string failure() const override {
    const std::string forward = describe_failure(evaluation_.forward);
    return forward.empty() ? describe_failure(evaluation_.adjoint) : forward;
  }

  double error() override;

 private:
  Case case_;
  Training training_;
  Evaluation evaluation_;
  ProductCount count_{case_};
  double forward_ = 0.0, adjoint_ = 0.0;  // sweeps
};

/// An entry of P that a rounding carries across zero changes its sample's adjoint, and with it the
/// gradient, by about one part in sqrt(m n): there the check has to be coarse.
constexpr double crossing = 2e-2;

double distance(const HostMatrix& a, const HostMatrix& b) {
  return relative_error(a.values, b.values);
}

/// One more epoch beside a double-precision trainer with the same weights.
double Epoch::error() {
  Model exact(case_.reference, Precision::fp64, {.gamma = case_.gamma},
              download_weights(case_.backend, training_.model));
  Trainer reference(case_.reference, exact, random_inputs(case_), random_targets(case_),
                    {.tolerance = case_.tolerance});
  const Evaluation wanted = reference.evaluate();
  const Weights wanted_gradient = reference.gradient();

  const Evaluation evaluation = training_.trainer.evaluate();
  if (!evaluation.converged() || !wanted.converged()) return INFINITY;
  const Weights gradient = training_.trainer.gradient();
  const HostMatrix before = training_.model.A.download_columns(0, case_.shape.m);
  training_.trainer.update(training_.learning_rate);
  HostMatrix step = training_.model.A.download_columns(0, case_.shape.m);
  HostMatrix wanted_step = gradient.A;
  for (std::size_t i = 0; i < step.values.size(); ++i) {
    step.values[i] -= before.values[i];
    wanted_step.values[i] *= -training_.learning_rate;
  }

  // dv depends on the predictions alone, and the step on what was said to be the gradient.
  const double fine =
      std::max({relative_error(evaluation.predictions, wanted.predictions),
                relative_error(gradient.u, wanted_gradient.u),
                relative_error(gradient.v, wanted_gradient.v), distance(step, wanted_step)});
  const double coarse =
      std::max(distance(gradient.A, wanted_gradient.A), distance(gradient.W, wanted_gradient.W));
  return coarse > crossing ? coarse : fine;
}

}  // namespace

Stage epoch_stage() {
  return {
      .name = "epoch",
      .formula = "both solves, gradient, update and refresh",
      .tolerance = {.fp64 = 1e-12, .fp32 = 1e-5, .mixed = 1e-5, .of_tolerance = 10.0},
      .footprint = {.squares = 5, .panels = 14, .grams = 5},
      .set_up = [](const Case& c) -> std::unique_ptr<Trial> { return std::make_unique<Epoch>(c); }};
}

}  // namespace widedeq::bench
