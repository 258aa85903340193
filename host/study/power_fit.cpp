#include "host/study/power_fit.hpp"

#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <map>
#include <set>

namespace widedeq {

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
  struct Seed {
    double score = 0.0;  // sum of x e
    std::set<double> widths;
  };
  std::map<std::int64_t, Seed> seeds;
  for (const WidthValue& point : points) {
    const double x = std::log(point.width) - mean_x;
    Seed& seed = seeds[point.seed];
    seed.score += x * (std::log(point.value) - mean_y - fit.exponent * x);
    seed.widths.insert(point.width);
  }
  fit.seeds = static_cast<int>(seeds.size());
  double squares = 0.0, S = 0.0;
  for (const auto& [number, seed] : seeds) {
    squares += seed.score * seed.score;
    S += seed.widths.size() > 1 ? 1.0 : 0.0;
  }
  if (S < 2.0) return fit;
  const boost::math::students_t_distribution<double> student(S - 1.0);
  const double half =
      boost::math::quantile(student, 0.975) * std::sqrt(S / (S - 1.0) * squares) / xx;
  fit.interval = Interval{fit.exponent - half, fit.exponent + half};
  return fit;
}

}  // namespace widedeq
