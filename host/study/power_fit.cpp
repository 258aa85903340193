// The least-squares line and its interval over seeds; see power_fit.hpp.
#include "host/study/power_fit.hpp"

#include <algorithm>
#include <array>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <map>
#include <set>

namespace widedeq {
namespace {

/// (a, b)
using Pair = std::array<double, 2>;

double dot(const Pair& x, const Pair& y) {
  return x[0] * y[0] + x[1] * y[1];
}

/// ((a, b), (b, c))
struct Symmetric {
  double a = 0.0, b = 0.0, c = 0.0;

  void add_square(const Pair& x) {
    a += x[0] * x[0];
    b += x[0] * x[1];
    c += x[1] * x[1];
  }
  Pair times(const Pair& x) const { return {a * x[0] + b * x[1], b * x[0] + c * x[1]}; }

  /// (I - this)^(-1/2) e, e = (0, 1). With R = sqrt(det M) and M positive definite, the root of M
  /// is (M + R I) / sqrt(tr M + 2 R).
  Pair root_of_rest_into_slope() const {
    const double p = 1.0 - a, q = -b, r = 1.0 - c;
    const double root = std::sqrt(std::max(0.0, p * r - q * q));
    const double scale = std::sqrt(p + r + 2.0 * root);
    const Symmetric half{(p + root) / scale, q / scale, (r + root) / scale};
    const double determinant = half.a * half.c - half.b * half.b;
    return {-half.b / determinant, half.a / determinant};
  }
};

struct Seed {
  std::set<double> widths;
  Symmetric leverage;  // G
  Pair score{};        // X'e
};

/// The interval's half, in the slope along the second of the orthonormal columns of X.
double half_interval(const std::map<std::int64_t, Seed>& seeds) {
  double variance = 0.0, trace = 0.0, squares = 0.0;
  for (const auto& [number, seed] : seeds) {
    const Pair a = seed.leverage.root_of_rest_into_slope();
    const Pair Ga = seed.leverage.times(a);
    variance += std::pow(dot(a, seed.score), 2);
    trace += dot(a, Ga) - dot(Ga, Ga);
    for (const auto& [another, other] : seeds) {
      const Pair b = other.leverage.root_of_rest_into_slope();
      const double own = number == another ? dot(a, Ga) : 0.0;
      squares += std::pow(own - dot(Ga, other.leverage.times(b)), 2);
    }
  }
  const boost::math::students_t_distribution<double> student(trace * trace / squares);
  return boost::math::quantile(student, 0.975) * std::sqrt(variance);
}

}  // namespace

std::optional<PowerFit> fit_power(std::span<const WidthValue> points) {
  std::set<double> widths;
  for (const WidthValue& point : points) {
    if (!(point.value > 0.0) || !std::isfinite(point.value)) return std::nullopt;
    widths.insert(point.width);
  }
  if (points.size() < 3 || widths.size() < 2) return std::nullopt;

  const auto count = static_cast<double>(points.size());
  double mean_x = 0.0, mean_y = 0.0;
  for (const WidthValue& point : points) {
    mean_x += std::log(point.width) / count;
    mean_y += std::log(point.value) / count;
  }
  double xx = 0.0, xy = 0.0;
  for (const WidthValue& point : points) {
    const double x = std::log(point.width) - mean_x;
    xx += x * x;
    xy += x * (std::log(point.value) - mean_y);
  }
  PowerFit fit;
  fit.exponent = xy / xx;
  fit.factor = std::exp(mean_y - fit.exponent * mean_x);
  fit.cells = static_cast<int>(points.size());
  fit.widths = static_cast<int>(widths.size());

  // X's columns made orthonormal: 1 and log m - mean, over their lengths.
  std::map<std::int64_t, Seed> seeds;
  for (const WidthValue& point : points) {
    const double x = std::log(point.width) - mean_x;
    const double e = std::log(point.value) - mean_y - fit.exponent * x;
    const Pair row{1.0 / std::sqrt(count), x / std::sqrt(xx)};
    Seed& seed = seeds[point.seed];
    seed.widths.insert(point.width);
    seed.leverage.add_square(row);
    seed.score = {seed.score[0] + e * row[0], seed.score[1] + e * row[1]};
  }
  fit.seeds = static_cast<int>(seeds.size());
  int with_slope = 0;
  for (const auto& [number, seed] : seeds)
    with_slope += seed.widths.size() > 1 ? 1 : 0;
  if (with_slope < 2) return fit;
  const double half = half_interval(seeds) / std::sqrt(xx);
  fit.interval = Interval{fit.exponent - half, fit.exponent + half};
  return fit;
}

}  // namespace widedeq
