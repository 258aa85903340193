// The textbook loops, and how far two results are apart; see reference.hpp.
#include "bench/reference.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace widedeq::bench {

HostMatrix multiply(const HostMatrix& left, const HostMatrix& right) {
  HostMatrix product(left.rows, right.columns);
  for (Index j = 0; j < right.columns; ++j)
    for (Index k = 0; k < left.columns; ++k)
      for (Index i = 0; i < left.rows; ++i)
        product(i, j) += left(i, k) * right(k, j);
  return product;
}

HostMatrix multiply_transposed(const HostMatrix& left, const HostMatrix& right) {
  HostMatrix product(left.columns, right.columns);
  for (Index j = 0; j < right.columns; ++j)
    for (Index i = 0; i < left.columns; ++i)
      for (Index k = 0; k < left.rows; ++k)
        product(i, j) += left(k, i) * right(k, j);
  return product;
}

HostMatrix weighted_outer(const HostMatrix& left, std::span<const double> r,
                          const HostMatrix& right) {
  HostMatrix product(left.rows, right.rows);
  for (Index k = 0; k < right.rows; ++k)
    for (Index j = 0; j < left.columns; ++j) {
      const double factor = r[static_cast<std::size_t>(j)] * right(k, j);
      for (Index i = 0; i < left.rows; ++i)
        product(i, k) += left(i, j) * factor;
    }
  return product;
}

double relative_error(std::span<const double> is, std::span<const double> wanted) {
  if (is.size() != wanted.size()) return std::numeric_limits<double>::infinity();
  double difference = 0.0;
  double whole = 0.0;
  for (std::size_t i = 0; i < is.size(); ++i) {
    difference += (is[i] - wanted[i]) * (is[i] - wanted[i]);
    whole += wanted[i] * wanted[i];
  }
  if (difference == 0.0 && std::isfinite(whole)) return 0.0;
  const double error = std::sqrt(difference / whole);
  return std::isfinite(error) ? error : std::numeric_limits<double>::infinity();
}

double relative_error(const HostMatrix& is, const HostMatrix& wanted) {
  if (is.rows != wanted.rows || is.columns != wanted.columns)
    return std::numeric_limits<double>::infinity();
  const auto rows = static_cast<std::size_t>(is.rows);
  double worst = 0.0;
  for (Index j = 0; j < is.columns; ++j) {
    const auto column = [&](const HostMatrix& matrix) {
      return std::span(matrix.values).subspan(static_cast<std::size_t>(j) * rows, rows);
    };
    worst = std::max(worst, relative_error(column(is), column(wanted)));
  }
  return worst;
}

double residual(const FixedPoint& equation, const HostMatrix& z) {
  HostMatrix f = equation.transposed ? multiply_transposed(equation.A, z) : multiply(equation.A, z);
  for (Index j = 0; j < z.columns; ++j) {
    for (Index i = 0; i < z.rows; ++i) {
      const double c = equation.c(i, equation.c.columns == 1 ? 0 : j);
      const double p = c + equation.s * f(i, j);
      const bool open = equation.gate != nullptr ? (*equation.gate)(i, j) > 0.0 : !(p <= 0.0);
      f(i, j) = open ? p : 0.0;
    }
  }
  return relative_error(f, z);
}

}  // namespace widedeq::bench
