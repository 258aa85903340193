// `widedeq limit`: the kernels of infinite width on given inputs, in one .npz file.
#pragma once

#include <string>

#include "host/run/config.hpp"

namespace widedeq {

struct LimitRequest {
  std::string inputs, out;  // files
  /// Read: gamma, injection, skip, threads.
  TrainConfig settings;
};

/// What limit() has to say beside its file.
struct LimitResult {
  std::string warning;  // about the inputs, or empty
  Index samples = 0;
  int newton_steps = 0, table_points = 0;
  double fixed_point_error = 0.0, quadrature_error = 0.0;  // as in the file
  double lambda_min = 0.0, lambda_max = 0.0;               // of H
  double feature_lambda_min = 0.0;                         // of G
  double seconds = 0.0;                                    // computing, files left out
};

/// Computes (width_limit.hpp) and writes, all float64:
///
///   K, Q, H, G (n, n), eigenvalues (n) of H, ascending, lambda_min () the first of them,
///   fixed_point_error (): the last Newton step of K, relative to kappa(0),
///   quadrature_error (): relative, by doubling the nodes of the integrals and of the table
///
/// The file appears whole or not at all. Throws Failure: usage for a gamma without a limit,
/// bad_data, diverged when the inputs are so large that the kernels overflow, io; std::bad_alloc.
LimitResult limit(const LimitRequest& request);

}  // namespace widedeq
