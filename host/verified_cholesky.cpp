// Shifted factorisations and their margins; see verified_cholesky.hpp.
#include "host/verified_cholesky.hpp"

#include <lapacke.h>

#include <cmath>
#include <limits>

#include "host/rounding.hpp"
#include "host/spectrum.hpp"
#include "kernels/error.hpp"

namespace widedeq {
namespace {

constexpr int attempts = 12;

double largest_double() {
  return std::numeric_limits<double>::max();
}

/// A bound d with lambda_min(T) >= -d, if Cholesky proves one. T's diagonal may be wrong by one
/// rounding, its other entries are exact.
std::optional<double> defect(HostMatrix T) {
  const Index n = T.rows;
  double sum = 0.0;
  for (Index i = 0; i < n; ++i) {
    if (!(T(i, i) > 0.0)) return std::nullopt;  // a NaN is not either
    sum += T(i, i);
  }
  if (!(sum > 1e-140 && sum < 1e140)) return std::nullopt;
  const lapack_int info = LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'L', static_cast<lapack_int>(n),
                                              T.values.data(), static_cast<lapack_int>(n));
  if (info != 0) return std::nullopt;
  for (Index j = 0; j < n; ++j)  // a library need not notice a NaN below the diagonal
    for (Index i = j; i < n; ++i)
      if (!std::isfinite(T(i, j))) return std::nullopt;
  const double gamma = rounding::gamma(n + 8);
  return rounding::above(gamma / (1.0 - gamma) * sum + rounding::unit * sum,
                         static_cast<double>(n) + 8.0);
}

/// sign S + c I
HostMatrix shifted(HostMatrix S, double sign, double c) {
  for (double& entry : S.values)
    entry *= sign;
  for (Index i = 0; i < S.rows; ++i)
    S(i, i) += c;
  return S;
}

bool is_square_and_finite(const HostMatrix& S) {
  if (S.rows != S.columns)
    throw ShapeError("a bound on eigenvalues of a matrix that is " + shape(S) + ", not square");
  for (const double entry : S.values)
    if (!(std::abs(entry) <= largest_double())) return false;
  return S.rows > 0;
}

}  // namespace

std::optional<double> smallest_eigenvalue_below(const HostMatrix& S) {
  if (!is_square_and_finite(S)) return std::nullopt;
  const double estimate = symmetric_eigenvalues(S).front();
  double size = 0.0;
  for (Index i = 0; i < S.rows; ++i)
    size += std::abs(S(i, i));
  double margin = 2.0 * rounding::gamma(S.rows + 8) * size;
  for (int attempt = 0; attempt < attempts; ++attempt, margin *= 2.0) {
    const double c = estimate - margin;
    if (const auto d = defect(shifted(S, 1.0, -c)))
      return c - *d - rounding::unit * 4.0 * (std::abs(c) + *d);
  }
  return std::nullopt;
}

std::optional<double> largest_eigenvalue_above(const HostMatrix& S, double estimate) {
  if (!is_square_and_finite(S)) return std::nullopt;
  double margin = 1e-3;
  for (int attempt = 0; attempt < attempts; ++attempt, margin *= 2.0) {
    const double c = estimate * (1.0 + margin);
    if (const auto d = defect(shifted(S, -1.0, c))) return rounding::above(c + *d);
  }
  return std::nullopt;
}

}  // namespace widedeq
