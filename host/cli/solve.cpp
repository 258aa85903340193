// widedeq solve: equilibrium, adjoint, kernel and gradient of given weights on given inputs.
#include <fmt/format.h>

#include <cstdio>

#include "host/cli/commands.hpp"
#include "host/failure.hpp"
#include "host/run/solve.hpp"
#include "host/run/stop.hpp"

namespace widedeq {

SolveCommand::SolveCommand(CLI::App& parent)
    : Command(parent.add_subcommand("solve", "Compute everything about given weights and inputs")) {
  const auto path = [this](const char* option, const char* type, const char* help,
                           std::string& place) {
    add_text_option(*app_, option, type, help, [&place](const std::string& text) { place = text; });
  };
  path("--weights", "FILE.npz", "A (m,m), W (m,d), u (m), v (m), as numpy.savez writes [required]",
       weights_);
  path("--inputs", "X.npy", "one sample a row, (n,d), taken as they are [required]", inputs_);
  path("--targets", "y.npy", "(n); with them also loss and gradients", targets_);
  path("--out", "OUT.npz", "the file to write, whole or not at all [required]", out_);
  for (const char* name :
       {"gamma", "injection", "skip", "tolerance", "max-sweeps", "precision", "backend", "threads"})
    add_setting(*app_, name, given_);
  app_->get_option("--gamma")->description("scale of the recurrence, s = gamma/sqrt(m) [required]");
  app_->footer(
      R"(Written, all float64: Z (n,m), prediction (n), adjoint (n,m), ntk (n,n), feature_gram (n,n),
eigenvalues (n) ascending, residual (n) relative, the larger of forward and adjoint; with targets
also loss, grad_A (m,m), grad_W (m,d), grad_u (m), grad_v (m).

Example:
  widedeq solve --weights w.npz --inputs X.npy --targets y.npy --gamma 0.5 --precision fp64 \
      --out solution.npz)");
}

int SolveCommand::run(const std::string&) const {
  require_option("widedeq solve", "--weights", !weights_.empty());
  require_option("widedeq solve", "--inputs", !inputs_.empty());
  require_option("widedeq solve", "--gamma", has_setting(given_, "gamma"));
  require_option("widedeq solve", "--out", !out_.empty());
  clean_up_on_signals();
  SolveRequest request{weights_, inputs_, out_, targets_, {}};
  apply_given(request.settings, given_);
  const SolveResult result = solve(request);
  if (!result.warning.empty()) fmt::print(stderr, "widedeq: warning: {}\n", result.warning);
  fmt::print(
      "{}: {} samples, width {}, {}; sweeps {} forward, {} adjoint; residual {:.2g}; "
      "lambda_min {:.6g}, lambda_max {:.6g}\n",
      out_, result.samples, result.width, name_of(result.precision), result.sweeps_forward,
      result.sweeps_adjoint, result.worst_residual, result.lambda_min, result.lambda_max);
  return static_cast<int>(ExitCode::done);
}

}  // namespace widedeq
