// What trials compare themselves with: textbook loops over doubles on the host. They share no code
// with the kernels, and are fast enough for the shapes of checks (run.hpp).
#pragma once

#include <span>
#include <vector>

#include "kernels/backend.hpp"

namespace widedeq::bench {

/// left * right
HostMatrix multiply(const HostMatrix& left, const HostMatrix& right);
/// left' * right
HostMatrix multiply_transposed(const HostMatrix& left, const HostMatrix& right);
/// (left diag r) right'
HostMatrix weighted_outer(const HostMatrix& left, std::span<const double> r,
                          const HostMatrix& right);

/// The largest ||is - wanted|| / ||wanted|| over columns: 0 where both vanish, infinite where
/// something is not finite or only `wanted` vanishes.
double relative_error(const HostMatrix& is, const HostMatrix& wanted);
/// The same for two vectors.
double relative_error(std::span<const double> is, std::span<const double> wanted);

/// One fixed-point equation z = f(c + s op(A) z): f is relu, or the mask where `gate` is given.
struct FixedPoint {
  const HostMatrix& A;
  bool transposed = false;
  double s = 0.0;
  const HostMatrix& c;               // m x n, or m x 1 for the same in every column
  const HostMatrix* gate = nullptr;  // m x n: f(p) = 1[gate > 0] p
};

/// The largest ||f(c + s op(A) z) - z|| / ||z|| over the columns of z.
double residual(const FixedPoint& equation, const HostMatrix& z);

}  // namespace widedeq::bench
