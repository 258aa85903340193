// Which sample is worst, and what would help; see solve_failure.hpp.
#include "host/run/solve_failure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace widedeq {

Failure solve_failure(const std::string& which, const SolveReport& report,
                      const ModelOptions& model, const SolveOptions& options,
                      const std::string& where, bool trained) {
  // A NaN is worse than any number.
  const auto worst =
      std::max_element(report.residuals.begin(), report.residuals.end(),
                       [](double a, double b) { return !std::isnan(a) && !(b <= a); });
  const bool any = worst != report.residuals.end();
  const std::string sample = any && std::isfinite(*worst)
                                 ? fmt::format("sample {} with relative residual {:.3g}",
                                               worst - report.residuals.begin(), *worst)
                             : any ? fmt::format("sample {}", worst - report.residuals.begin())
                                   : "no sample";
  std::string remedy =
      fmt::format("lower --gamma, {} here; below 0.5 is safe at the start", model.gamma);
  if (trained)
    remedy = fmt::format("lower --learning-rate or --gamma ({} here)", model.gamma);
  else if (report.sweeps == 0)  // nothing was multiplied yet, so gamma has no part in it
    remedy = "the inputs or weights are too large: scale them, or --precision fp64";
  if (report.status == SolveStatus::max_sweeps)
    remedy = fmt::format("{}; or raise --tolerance ({:g}) or --max-sweeps ({})", remedy,
                         options.tolerance, options.max_sweeps);
  const ExitCode code =
      report.status == SolveStatus::max_sweeps ? ExitCode::not_converged : ExitCode::diverged;
  return {code, "the " + which + " solve " + describe(report.status),
          fmt::format("{}{} after {} sweeps{}", where, sample, report.sweeps,
                      report.sweeps > options.max_sweeps ? " in all" : ""),
          remedy};
}

}  // namespace widedeq
