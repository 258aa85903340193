// Eigenvalues of symmetric matrices (LAPACK) and what the runs report of them.
#pragma once

#include <vector>

#include "kernels/host_matrix.hpp"

namespace widedeq {

/// All eigenvalues of the symmetric n x n matrix, ascending. Reads the lower triangle.
/// Throws std::domain_error when an entry is not finite, std::runtime_error when LAPACK fails.
std::vector<double> symmetric_eigenvalues(HostMatrix matrix);

struct Eigenpair {
  double value = 0.0;
  std::vector<double> vector;  // unit length
};

/// The largest eigenvalue of a small symmetric matrix, with its vector. Errors as above.
Eigenpair largest_eigenpair(HostMatrix matrix);

/// The sum of the diagonal.
double trace(const HostMatrix& matrix);

/// ||a - b||_F / ||b||_F, the drift from b; 0 when both are zero.
double relative_distance(const HostMatrix& a, const HostMatrix& b);

}  // namespace widedeq
