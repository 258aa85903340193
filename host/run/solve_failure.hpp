// The sentence for a forward or adjoint solve that did not converge.
#pragma once

#include <string>

#include "host/failure.hpp"
#include "host/fixed_point.hpp"
#include "host/model.hpp"

namespace widedeq {

/// Describes the report's failure: status, worst sample, residual, sweeps and what to do. `which`
/// is "forward" or "adjoint", `where` more about the place ("epoch 3, ") or empty; `trained` says
/// that updates preceded. Exit code not_converged for max_sweeps, diverged otherwise.
Failure solve_failure(const std::string& which, const SolveReport& report,
                      const ModelOptions& model, const SolveOptions& options,
                      const std::string& where, bool trained);

}  // namespace widedeq
