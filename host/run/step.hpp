// How an epoch moves the weights: by a step of gradient descent, along the gradient flow, or by the
// steps of stochastic gradient descent, batch by batch (--optimizer, --batch-size).
#pragma once

#include <optional>

#include "host/mini_batches.hpp"
#include "host/run/training.hpp"

namespace widedeq {

struct Step {
  /// What the epoch's record says it has seen: all samples before the step, or the batches each
  /// before its own.
  Evaluation seen;
  double gradient_norm = 0.0;  // before the step; of batches, their root mean square
  std::optional<FlowReport> flow;
  double time = 0.0;                // of the flow, before the step
  int batches = 0;                  // steps taken; 0: it was not in batches
  std::optional<double> full_loss;  // of all samples before the step, where batches have it too
};

/// Takes state.epoch's step from `now`, what its weights have been found to be: everything but for
/// batches, which may do without. Notes the epoch's loss in state.losses, before it can fail.
/// Throws Divergence and Failure, the weights then being what they may.
Step take_step(Training& training, const std::optional<Evaluation>& now);

/// Adds to an epoch's record: of a flow `time`, `flow_steps`, `flow_rejected`; of batches `batches`
/// and, where it is known, `full_loss`; of descent nothing.
void add_to(Json& record, const Step& step);

}  // namespace widedeq
