// From angles and lengths to matrices; see width_limit.hpp.
#include "host/study/width_limit.hpp"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "host/study/arc_cosine.hpp"
#include "host/study/limit_table.hpp"

namespace widedeq {
namespace {

/// The columns scaled to unit length, and their lengths.
struct Directions {
  explicit Directions(const HostMatrix& inputs) : unit(inputs) {
    const auto d = static_cast<std::size_t>(inputs.rows);
    for (Index j = 0; j < inputs.columns; ++j) {
      const auto column = std::span(unit.values).subspan(static_cast<std::size_t>(j) * d, d);
      double largest = 0.0;
      for (const double x : column)
        largest = std::isnan(x) ? x : std::max(largest, std::abs(x));
      if (!(largest > 0.0 && std::isfinite(largest)))
        throw std::domain_error("sample " + std::to_string(j) + " is zero or not finite");
      // Through the largest entry, so that no square overflows or vanishes.
      double sum = 0.0;
      for (double& x : column) {
        x /= largest;
        sum += x * x;
      }
      const double norm = std::sqrt(sum);
      for (double& x : column)
        x /= norm;
      length.push_back(largest * norm);
    }
  }

  /// 2 atan(|x - x'| / |x + x'|) of unit vectors: acos(x'x) would lose half the digits of small
  /// angles. Source: Kahan, "How futile are mindless assessments of roundoff", 2006.
  double angle(Index i, Index j) const {
    const double* x = &unit.values[static_cast<std::size_t>(i * unit.rows)];
    const double* y = &unit.values[static_cast<std::size_t>(j * unit.rows)];
    double difference = 0.0, sum = 0.0;
#pragma omp simd reduction(+ : difference, sum)
    for (Index k = 0; k < unit.rows; ++k) {
      difference += (x[k] - y[k]) * (x[k] - y[k]);
      sum += (x[k] + y[k]) * (x[k] + y[k]);
    }
    return 2.0 * std::atan2(std::sqrt(difference), std::sqrt(sum));
  }

  HostMatrix unit;
  std::vector<double> length;
};

struct Entries {
  double K, Q, H, G;
};

Entries entries(const LimitTable& table, const LimitOptions& options, double angle,
                double lengths) {
  const PairValues pair = table.at(angle);
  const double gamma2 = options.gamma * options.gamma;
  const double half_sine = std::sin(0.5 * angle);
  const double K = lengths * (table.pair().kappa0() - 2.0 * half_sine * half_sine * pair.y);
  const double Q = pair.D0 / (1.0 - gamma2 * pair.D0);
  const double S = lengths * std::cos(angle);
  if (options.injection == Injection::linear) {
    // H = gamma^2 Q o K + S o Q + K [+ S + S]
    const double H = gamma2 * Q * K + S * Q + K;
    return {K, Q, options.skip ? H + S + S : H, S};
  }
  // H = gamma^2 Q o K + S o Dh (1 + gamma^2 Q) + K [+ S o k0 + k1]
  const double G = lengths * arc_cosine_1(angle);
  const double H = gamma2 * Q * K + S * pair.Dh * (1.0 + gamma2 * Q) + K;
  return {K, Q, options.skip ? H + S * arc_cosine_0(angle) + G : H, G};
}

}  // namespace

WidthLimit width_limit(const HostMatrix& inputs, const LimitOptions& options) {
  const LimitTable table(options.gamma, options.injection);
  const Directions directions(inputs);
  const Index n = inputs.columns;
  WidthLimit limit{HostMatrix(n, n), HostMatrix(n, n), HostMatrix(n, n), HostMatrix(n, n)};
  limit.newton_steps = table.steps();
  limit.table_points = table.points();
  limit.fixed_point_error = table.fixed_point_error();
  limit.quadrature_error = table.quadrature_error();
  limit.interpolation_error = table.interpolation_error();

  const int threads = options.threads > 0 ? options.threads : omp_get_max_threads();
#pragma omp parallel for schedule(dynamic, 8) num_threads(threads)
  for (Index j = 0; j < n; ++j)
    for (Index i = 0; i <= j; ++i) {
      const double angle = i == j ? 0.0 : directions.angle(i, j);
      const double lengths = directions.length[static_cast<std::size_t>(i)] *
                             directions.length[static_cast<std::size_t>(j)];
      const Entries entry = entries(table, options, angle, lengths);
      limit.K(i, j) = limit.K(j, i) = entry.K;
      limit.Q(i, j) = limit.Q(j, i) = entry.Q;
      limit.H(i, j) = limit.H(j, i) = entry.H;
      limit.G(i, j) = limit.G(j, i) = entry.G;
    }
  return limit;
}

}  // namespace widedeq
