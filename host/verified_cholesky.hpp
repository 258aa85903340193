// Bounds on eigenvalues that hold whatever the rounding: a floating-point Cholesky factorisation
// that runs to its end proves that a matrix is nearly positive semi-definite.
//
// If R'R is what it leaves of T, |R'R - T|_ij <= phi sqrt(t_ii t_jj) with phi = gamma/(1 - gamma),
// gamma = gamma_{n+1} by Demmel's analysis of any order of the sums; the matrix of the bounds has
// rank one and 2-norm phi trace(T), and R'R has no negative eigenvalue, so
//
//   lambda_min(T) >= -phi trace(T).
//
// gamma_{n+8} is used: libraries multiply by rounded reciprocals of pivots where the analysis
// divides, and underflow is far below one more rounding for the sizes that are let through.
// Source: S. M. Rump, "Verification of positive definiteness", BIT 46 (2006), 433-452.
#pragma once

#include <optional>

#include "kernels/host_matrix.hpp"

namespace widedeq {

/// A lower bound on the smallest eigenvalue of a symmetric n x n matrix (its lower triangle), close
/// to it: within some n u trace. None when no bound is found, as for a matrix that is not finite or
/// whose size is near underflow or overflow. Cost: all eigenvalues, and Cholesky once or twice.
std::optional<double> smallest_eigenvalue_below(const HostMatrix& S);

/// An upper bound on the largest eigenvalue of the same, given a lower estimate of it: within about
/// a thousandth when the estimate is. Cost: Cholesky, once or a few times. None as above.
std::optional<double> largest_eigenvalue_above(const HostMatrix& S, double estimate);

}  // namespace widedeq
