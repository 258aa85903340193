// The three ways, and what guards them; see step.hpp.
#include "host/run/step.hpp"

#include <fmt/format.h>

#include "host/run/guards.hpp"

namespace widedeq {
namespace {

/// Beyond this a step along the steepest direction makes its residual grow.
constexpr double unstable = 2.0;

/// Where the first Gram is at hand, says so if batches overshoot.
void warn_of_overshooting(Training& training, double eta) {
  const TrainConfig& config = training.run.config;
  if (training.state.epoch > 0 || training.sink.is_paused() || !training.run.monitor) return;
  training.journal->wait();
  if (!training.journal->first()) return;
  const double curvature = batch_curvature(training.journal->first()->ntk, config.batch_size,
                                           static_cast<std::uint64_t>(config.seed), 0);
  if (eta * curvature < unstable) return;
  training.progress.warn(fmt::format(
      "steps of batches this small overshoot: eta (n/B) lambda_max(H_BB) is {:.3g}, and "
      "above 2 a batch's loss grows by its own step; lower --learning-rate ({:.4g}) or "
      "raise --batch-size ({})",
      eta * curvature, eta, config.batch_size));
}

Step step_in_batches(Training& training, const std::optional<Evaluation>& now) {
  const TrainConfig& config = training.run.config;
  TrainingState& state = training.state;
  const double eta = *state.eta;
  warn_of_overshooting(training, eta);
  BatchesReport batches = descend_in_batches(
      *training.run.trainer, training.run.data.inputs, training.run.data.targets, config.batch_size,
      static_cast<std::uint64_t>(config.seed), state.epoch, eta);
  state.losses.push_back(batches.seen.loss);
  const bool has_stepped = batches.steps > 0;
  require_solved(batches.seen, config, state.epoch, has_stepped);
  require_bounded_loss(state.losses.front(), batches.seen, config, eta, state.epoch, has_stepped);
  require_finite_step(eta, batches.gradient_norm, state.epoch);

  Step step;
  step.seen = std::move(batches.seen);
  step.gradient_norm = batches.gradient_norm;
  step.batches = batches.steps;
  if (now) step.full_loss = now->loss;
  return step;
}

}  // namespace

Step take_step(Training& training, const std::optional<Evaluation>& now) {
  const TrainConfig& config = training.run.config;
  TrainingState& state = training.state;
  const double eta = *state.eta;
  if (config.in_batches(training.run.facts.samples)) return step_in_batches(training, now);

  state.losses.push_back(now->loss);
  require_bounded_loss(state.losses.front(), *now, config, eta, state.epoch);
  Step step;
  step.seen = *now;
  if (training.run.flow) {
    // d theta / dt = -dloss/dtheta for eta of time
    step.time = state.flow.time;
    step.flow = training.run.flow->advance(state.flow, eta);
    step.gradient_norm = step.flow->gradient_norm;
    require_arrived(*step.flow, config, state.epoch);
  } else {
    // theta <- theta - eta dloss/dtheta
    step.gradient_norm = training.run.trainer->update(eta);
    require_finite_step(eta, step.gradient_norm, state.epoch);
  }
  return step;
}

void add_to(Json& record, const Step& step) {
  if (step.flow) {
    record["time"] = step.time;
    record["flow_steps"] = step.flow->steps;
    record["flow_rejected"] = step.flow->rejected;
  }
  if (step.batches > 0) record["batches"] = step.batches;
  if (step.full_loss) record["full_loss"] = *step.full_loss;
}

}  // namespace widedeq
