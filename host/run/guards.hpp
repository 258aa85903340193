// What an epoch must not show: training that runs away, caught before it spoils more than a step.
#pragma once

#include <optional>

#include "host/failure.hpp"
#include "host/gram_monitor.hpp"
#include "host/held_out.hpp"
#include "host/run/config.hpp"
#include "host/trainer.hpp"

namespace widedeq {

/// Training has run away; the last good state is the one before epoch `last_good`, from where a
/// smaller step may do better.
class Divergence : public Failure {
 public:
  Divergence(const Failure& failure, int last_good)
      : Failure(failure.with_code(ExitCode::diverged)), last_good_(last_good) {}
  int last_good() const { return last_good_; }

 private:
  int last_good_;
};

/// Both solves have converged. Throws Divergence when the weights of a former epoch did, Failure
/// (diverged, not_converged) at epoch 0, where no step can be to blame.
void require_solved(const Evaluation& now, const TrainConfig& config, int epoch);

/// The same for held-out samples, at the weights that `epoch` starts with.
void require_solved(const HeldOutScore& score, const TrainConfig& config, int epoch);

/// The loss is finite and has not grown a thousandfold. Throws Divergence, or Failure at epoch 0.
void require_hope(double first_loss, double loss, double eta, int epoch);

/// q = gamma ||A||_2 / sqrt(m) < 1 as it was at the start; runs that start beyond it are not
/// guarded. `norm` is ||A||_2 / sqrt(m) from below, so that what is found is so; `before` is the
/// epoch it was last looked at. Throws Divergence.
void require_well_posed(double first_norm, double norm, const TrainConfig& config, int epoch,
                        int before);

/// No entry moves by more than eta times the gradient's norm; in single precision that must fit a
/// float. Throws Divergence.
void require_finite_step(double eta, double gradient_norm, int epoch);

/// 1 / lambda_max. Throws Failure (usage) when that is no step.
double automatic_rate(const GramStatistics& gram);

}  // namespace widedeq
