// `widedeq solve`: everything about one network on given inputs, in one .npz file.
#pragma once

#include <string>

#include "host/run/config.hpp"

namespace widedeq {

struct SolveRequest {
  std::string weights, inputs, out;  // files
  std::string targets;               // a file, or empty
  /// Read: gamma, injection, skip, tolerance, max_sweeps, precision, backend, threads.
  TrainConfig settings;
};

/// What solve() has to say beside its file.
struct SolveResult {
  std::string warning;  // about the inputs, or empty
  int sweeps_forward = 0, sweeps_adjoint = 0;
  double worst_residual = 0.0;
  double lambda_min = 0.0, lambda_max = 0.0;
  Index width = 0, samples = 0;
  Precision precision = Precision::fp64;
};

/// Solves and writes, float64 and in NumPy's orientation (A[i, j] from unit j to unit i):
///
///   Z (n, m), prediction (n), adjoint (n, m) = L', ntk (n, n), feature_gram (n, n),
///   eigenvalues (n) of the ntk, ascending, residual (n): the larger of a sample's forward and
///   adjoint relative residual. With targets also loss (), grad_A (m, m), grad_W (m, d), grad_u
///   (m), grad_v (m): what training would step along, from the trainer itself.
///
/// The file appears whole or not at all. Throws Failure: usage, bad_data, diverged, not_converged,
/// io; Unsupported; std::bad_alloc.
SolveResult solve(const SolveRequest& request);

}  // namespace widedeq
