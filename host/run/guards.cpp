// What counts as diverged, unsolved or not finite, and how it is said; see guards.hpp.
#include "host/run/guards.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "host/run/solve_failure.hpp"

namespace widedeq {
namespace {

constexpr double hopeless_loss = 1e3;  // times the first loss: it will not come back

std::string at(int epoch) {
  return fmt::format("epoch {}", epoch);
}

/// The last step is to blame: one of the epoch before, or one of its own.
[[noreturn]] void blame(const Failure& failure, Cause cause, int epoch, bool has_stepped) {
  if (epoch == 0 && !has_stepped) throw Divergence(failure, cause, std::nullopt);
  throw Divergence(failure.with_code(ExitCode::diverged), cause, has_stepped ? epoch : epoch - 1);
}

}  // namespace

std::string_view name_of(Cause cause) {
  constexpr std::array<std::string_view, 6> names{"solve", "contraction", "loss",
                                                  "step",  "flow",        "stall"};
  return names.at(static_cast<std::size_t>(cause));
}

void require_solved(const Evaluation& now, const TrainConfig& config, int epoch, bool has_stepped) {
  if (now.converged()) return;
  const bool forward = now.forward.status != SolveStatus::converged;
  const Failure failure = solve_failure(
      forward ? "forward" : "adjoint", forward ? now.forward : now.adjoint, config.model_options(),
      config.solve_options(), at(epoch) + ", ", epoch > 0 || has_stepped);
  blame(failure, Cause::solve, epoch, has_stepped);
}

void require_solved(const HeldOutScore& score, const TrainConfig& config, int epoch) {
  if (score.forward.status == SolveStatus::converged) return;
  const Failure failure =
      solve_failure("forward", score.forward, config.model_options(), config.solve_options(),
                    at(epoch) + ", held-out samples, ", epoch > 0);
  blame(failure, Cause::solve, epoch, false);
}

void require_bounded_loss(double first_loss, const Evaluation& now, const TrainConfig& config,
                          double eta, int epoch, bool has_stepped) {
  const double loss = now.loss;
  double noise = 0.0;  // 1/2 sum (tolerance yhat)^2
  for (const double yhat : now.predictions)
    noise += 0.5 * config.tolerance * config.tolerance * yhat * yhat;
  if (std::isfinite(loss) && loss <= hopeless_loss * std::max(first_loss, noise)) return;
  const bool at_the_start = epoch == 0 && !has_stepped;
  const Failure failure(ExitCode::diverged,
                        at_the_start
                            ? fmt::format("the loss is {:.4g}", loss)
                            : fmt::format("the loss went from {:.4g} to {:.4g}", first_loss, loss),
                        at(epoch),
                        at_the_start ? "targets, inputs or weights are too large: scale them"
                                     : fmt::format("lower --learning-rate, {:.4g} here", eta));
  blame(failure, Cause::loss, epoch, has_stepped);
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
      Cause::contraction, before);
}

void require_finite_step(double eta, double gradient_norm, int epoch) {
  if (std::isfinite(static_cast<float>(eta * gradient_norm))) return;
  throw Divergence(Failure(ExitCode::diverged, "the step is not finite", at(epoch),
                           "lower --learning-rate or --gamma"),
                   Cause::step, epoch);
}

void require_arrived(const FlowReport& flow, const TrainConfig& config, int epoch) {
  if (flow.status == FlowStatus::arrived) return;
  if (flow.status == FlowStatus::unsolved && flow.unsolved)
    require_solved(*flow.unsolved, config, epoch, true);
  const std::string where = fmt::format("{}, steps of {:.3g}", at(epoch), flow.last_step);
  if (flow.status == FlowStatus::unsolved)
    throw Divergence(Failure(ExitCode::diverged, "the flow is not finite", where,
                             "lower --learning-rate or --gamma"),
                     Cause::flow, epoch);
  throw Divergence(
      Failure(ExitCode::not_converged, "the flow's steps have shrunk to nothing", where,
              fmt::format("raise --flow-tolerance ({:g}) or lower --tolerance ({:g})",
                          config.flow_tolerance, config.tolerance)),
      Cause::stall, epoch);
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
