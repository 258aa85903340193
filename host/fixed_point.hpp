// Iterating z = f(s op(A) z + c) to a tolerance: what forward and adjoint solves share.
#pragma once

#include <string>
#include <vector>

#include "kernels/backend.hpp"

namespace widedeq {

enum class SolveStatus : std::uint8_t { converged, max_sweeps, diverged, non_finite };

/// "converged", "reached the limit of sweeps", ... for logs and errors.
const char* describe(SolveStatus status);

struct SolveOptions {
  /// Per-sample relative residual ||f(z) - z|| / ||z|| at which a sample stops.
  double tolerance = 1e-6;
  int max_sweeps = 1000;
};

/// The smallest tolerance a precision can honour: below it the residual is rounding.
double smallest_tolerance(Precision precision);

struct SolveReport {
  SolveStatus status = SolveStatus::converged;
  int sweeps = 0;                 // products of op(A) with the whole block
  double worst_residual = 0.0;    // the largest over samples
  std::vector<double> residuals;  // per sample, relative
};

/// Iterates from P = c (already in state.P) and z = 0.
///
/// Mixed precision with a residual plane E (A = base + E): sweeps multiply the base alone; E's
/// share of P, s op(E) z, is brought up to date when the residual has fallen to what it is stale
/// by. The last settling leaves P = c + s op(base + E) z, and the residual measured then is the
/// report's.
///
/// Never throws for numerical reasons: divergence and non-finite values are statuses.
SolveReport solve_fixed_point(Backend& backend, SweepState& state, const Sweep& sweep,
                              const SolveOptions& options);

}  // namespace widedeq
