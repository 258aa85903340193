// widedeq limit: the kernels of the infinitely wide network on given inputs.
#include <fmt/format.h>

#include <cstdio>

#include "host/cli/commands.hpp"
#include "host/failure.hpp"
#include "host/run/stop.hpp"
#include "host/study/limit.hpp"

namespace widedeq {

LimitCommand::LimitCommand(CLI::App& parent)
    : Command(
          parent.add_subcommand("limit", "Compute the kernels of infinite width on given inputs")) {
  const auto path = [this](const char* option, const char* type, const char* help,
                           std::string& place) {
    add_text_option(*app_, option, type, help, [&place](const std::string& text) { place = text; });
  };
  path("--inputs", "X.npy", "one sample a row, (n,d), taken as they are [required]", inputs_);
  path("--out", "OUT.npz", "the file to write, whole or not at all [required]", out_);
  for (const char* name : {"gamma", "injection", "skip", "threads"})
    add_setting(*app_, name, given_);
  app_->get_option("--gamma")->description(
      "scale of the recurrence, above 0 and below sqrt(2) [required]");
  app_->footer(
      R"(Written, all float64: the limits K of Z'Z, Q of L'L/m, H of the NTK and G of Phi'Phi, each (n,n);
eigenvalues (n) of H, ascending; lambda_min, the first of them; fixed_point_error and
quadrature_error, relative, the latter by doubling the nodes.

Example:
  widedeq limit --inputs X.npy --gamma 0.5 --injection linear --out limit.npz)");
}

int LimitCommand::run(const std::string&) const {
  require_option("widedeq limit", "--inputs", !inputs_.empty());
  require_option("widedeq limit", "--gamma", has_setting(given_, "gamma"));
  require_option("widedeq limit", "--out", !out_.empty());
  clean_up_on_signals();
  LimitRequest request{inputs_, out_, {}};
  apply_given(request.settings, given_);
  const LimitResult result = limit(request);
  if (!result.warning.empty()) fmt::print(stderr, "widedeq: warning: {}\n", result.warning);
  const auto line = [](const char* name, const std::string& value, const std::string& about = "") {
    fmt::print("  {:<20}{:>12}{}\n", name, value, about.empty() ? "" : "   " + about);
  };
  const auto number = [](double value) { return fmt::format("{:.5g}", value); };
  const auto error = [](double value) { return fmt::format("{:.1e}", value); };
  fmt::print("{}: K, Q, H and G at infinite width\n\n", out_);
  line("samples", fmt::format("{}", result.samples));
  line("lambda_min(H)", number(result.lambda_min));
  line("lambda_max(H)", number(result.lambda_max));
  line("lambda_min(G)", number(result.feature_lambda_min));
  line("Newton steps", fmt::format("{}", result.newton_steps),
       fmt::format("at most, for each of {} angles", result.table_points));
  line("fixed-point error", error(result.fixed_point_error), "the last step, relative");
  line("quadrature error", error(result.quadrature_error), "relative, by doubling the nodes");
  line("seconds", fmt::format("{:.2f}", result.seconds), "eigenvalues included");
  return static_cast<int>(ExitCode::done);
}

}  // namespace widedeq
