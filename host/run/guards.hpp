// What an epoch must not show: training that runs away, caught before it spoils more than a step.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "host/failure.hpp"
#include "host/gradient_flow.hpp"
#include "host/gram_monitor.hpp"
#include "host/held_out.hpp"
#include "host/run/config.hpp"
#include "host/trainer.hpp"

namespace widedeq {

/// What an epoch has shown that training cannot go on from.
enum class Cause : std::uint8_t {
  solve,        // an equilibrium or adjoint was not reached
  contraction,  // gamma ||A||_2 / sqrt(m) has passed 1
  loss,         // has grown a thousandfold, or is not finite
  step,         // is not finite
  flow,         // is not finite
  stall,        // the flow's steps have shrunk to nothing
};

/// The word in records.
std::string_view name_of(Cause cause);

/// Training has run away. The last good state is the one before epoch `last_good`, from where a
/// smaller step may do better; none where no step can be to blame.
class Divergence : public Failure {
 public:
  Divergence(const Failure& failure, Cause cause, std::optional<int> last_good)
      : Failure(failure), cause_(cause), last_good_(last_good) {}
  Cause cause() const { return cause_; }
  std::optional<int> last_good() const { return last_good_; }

 private:
  Cause cause_;
  std::optional<int> last_good_;
};

/// Both solves have converged. Throws Divergence: of the code diverged when the weights of a former
/// epoch did, diverged or not_converged at epoch 0, where there is no last good state.
/// `has_stepped`: the epoch has taken steps of its own before, and the state it began with is the
/// last good one.
void require_solved(const Evaluation& now, const TrainConfig& config, int epoch,
                    bool has_stepped = false);

/// The same for held-out samples, at the weights that `epoch` starts with.
void require_solved(const HeldOutScore& score, const TrainConfig& config, int epoch);

/// The loss is finite and has not grown a thousandfold, nor from nothing to more than what solves
/// to the tolerance leave open. Throws likewise.
void require_bounded_loss(double first_loss, const Evaluation& now, const TrainConfig& config,
                          double eta, int epoch, bool has_stepped = false);

/// q = gamma ||A||_2 / sqrt(m) < 1 as it was at the start; runs that start beyond it are not
/// guarded. `norm` is ||A||_2 / sqrt(m) from below, so that what is found is so; `before` is the
/// epoch it was last looked at. Throws Divergence.
void require_well_posed(double first_norm, double norm, const TrainConfig& config, int epoch,
                        int before);

/// No entry moves by more than eta times the gradient's norm; in single precision that must fit a
/// float. Throws Divergence.
void require_finite_step(double eta, double gradient_norm, int epoch);

/// The flow has come to the epoch's end. Throws Divergence: where solves fail, and (not_converged)
/// where steps have shrunk to nothing.
void require_arrived(const FlowReport& flow, const TrainConfig& config, int epoch);

/// 1 / lambda_max. Throws Failure (usage) when that is no step.
double automatic_rate(const GramStatistics& gram);

}  // namespace widedeq
