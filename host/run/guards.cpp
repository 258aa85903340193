#include "host/run/guards.hpp"

#include <fmt/format.h>

#include <cmath>

#include "host/run/solve_failure.hpp"

namespace widedeq {
namespace {

constexpr double hopeless_loss = 1e3;  // times the first loss: it will not come back

std::string at(int epoch) {
  return fmt::format("epoch {}", epoch);
}

}  // namespace

void require_solved(const Evaluation& now, const TrainConfig& config, int epoch) {
  if (now.converged()) return;
  const bool forward = now.forward.status != SolveStatus::converged;
  const Failure failure =
      solve_failure(forward ? "forward" : "adjoint", forward ? now.forward : now.adjoint,
                    config.model_options(), config.solve_options(), at(epoch) + ", ", epoch > 0);
  if (epoch == 0) throw failure;
  throw Divergence(failure, epoch - 1);
}

void require_solved(const HeldOutScore& score, const TrainConfig& config, int epoch) {
  if (score.forward.status == SolveStatus::converged) return;
  const Failure failure =
      solve_failure("forward", score.forward, config.model_options(), config.solve_options(),
                    at(epoch) + ", held-out samples, ", epoch > 0);
  if (epoch == 0) throw failure;
  throw Divergence(failure, epoch - 1);
}

void require_hope(double first_loss, double loss, double eta, int epoch) {
  if (std::isfinite(loss) && loss <= hopeless_loss * first_loss) return;
  const Failure failure(ExitCode::diverged,
                        fmt::format("the loss went from {:.4g} to {:.4g}", first_loss, loss),
                        at(epoch), fmt::format("lower --learning-rate, {:.4g} here", eta));
  if (epoch == 0) throw failure;
  throw Divergence(failure, epoch - 1);
}

void require_well_posed(double first_norm, double norm, const TrainConfig& config, int epoch,
                        int before) {
  const double q = config.gamma * norm;
  if (config.gamma * first_norm >= 1.0 || q < 1.0) return;
  throw Divergence(
      Failure(ExitCode::diverged,
              fmt::format("q = gamma ||A||/sqrt(m) went from {:.4f} to {:.4f}: equilibria need no "
                          "longer be unique",
                          config.gamma * first_norm, q),
              at(epoch), "lower --learning-rate or --gamma"),
      before);
}

void require_finite_step(double eta, double gradient_norm, int epoch) {
  if (std::isfinite(static_cast<float>(eta * gradient_norm))) return;
  throw Divergence(Failure(ExitCode::diverged, "the step is not finite", at(epoch),
                           "lower --learning-rate or --gamma"),
                   epoch);
}

double automatic_rate(const GramStatistics& gram) {
  const double eta = 1.0 / gram.lambda_max;
  if (std::isfinite(eta) && eta > 0.0) return eta;
  throw Failure(ExitCode::usage,
                fmt::format("the NTK's largest eigenvalue is {:.4g}, from which no learning rate "
                            "follows",
                            gram.lambda_max),
                "--learning-rate auto", "give a number, or a larger --width");
}

}  // namespace widedeq
