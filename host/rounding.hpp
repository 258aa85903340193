// Bounds on what rounding to nearest does to double arithmetic, for results that must hold whatever
// the rounding errors were.
//
//   u = 2^-53,  gamma_k = k u / (1 - k u):  k operations in a row change a value by a factor within
//   1 -+ gamma_k, and a sum of k products, in any order and with or without fused multiply-adds, is
//   wrong by at most gamma_k times the sum of the products' magnitudes.
//
// Source: Higham, Accuracy and Stability of Numerical Algorithms, chapter 3. Assumed of libraries:
// they multiply matrices by sums of products (no Strassen) and do not flush what is tiny to zero.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "kernels/host_matrix.hpp"

namespace widedeq::rounding {

inline constexpr double unit = 0x1p-53;

/// gamma_k or more, for k up to 10^12.
constexpr double gamma(double k) {
  return 1.001 * k * unit;
}
constexpr double gamma(Index k) {
  return gamma(static_cast<double>(k));
}

/// What a non-negative x may be without the errors of the `operations` that made it from
/// non-negative numbers, or more.
constexpr double above(double x, double operations = 16.0) {
  return x * (1.0 + gamma(operations + 2.0));
}

/// What 1 / (1 - q) may be, or more, for q < 1; infinite when q is not.
inline double reciprocal_gap(double q) {
  return q < 1.0 ? above(1.0 / (1.0 - q)) : std::numeric_limits<double>::infinity();
}

/// Numbers below this have squares that lose digits to underflow.
inline constexpr double smallest = 1e-140;

/// ||x||_2 or more; exactly zero when x is. NaN and infinities pass through.
inline double norm_above(std::span<const double> x) {
  double sum = 0.0;
  double largest = 0.0;
  for (const double entry : x) {
    sum += entry * entry;
    largest = std::max(largest, std::abs(entry));
  }
  if (sum == 0.0 && largest == 0.0) return 0.0;
  const auto length = static_cast<double>(x.size());
  return above(std::sqrt(sum), length) + (largest < smallest ? std::sqrt(length) * smallest : 0.0);
}

/// ||x||_2 or less.
inline double norm_below(std::span<const double> x) {
  double sum = 0.0;
  for (const double entry : x)
    sum += entry * entry;
  return std::sqrt(sum) * (1.0 - gamma(static_cast<double>(x.size()) + 4.0));
}

/// Column j of a matrix.
inline std::span<const double> column(const HostMatrix& matrix, Index j) {
  const auto rows = static_cast<std::size_t>(matrix.rows);
  return std::span(matrix.values).subspan(static_cast<std::size_t>(j) * rows, rows);
}

/// norm_above() of every column.
inline std::vector<double> column_norms_above(const HostMatrix& matrix) {
  std::vector<double> norms(static_cast<std::size_t>(matrix.columns));
  for (Index j = 0; j < matrix.columns; ++j)
    norms[static_cast<std::size_t>(j)] = norm_above(column(matrix, j));
  return norms;
}

}  // namespace widedeq::rounding
