#include "host/study/power_fit.hpp"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
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
  double squares = 0.0;
  for (const WidthValue& point : points) {
    const double x = std::log(point.width) - mean_x;
    const double residual = std::log(point.value) - mean_y - fit.exponent * x;
    squares += residual * residual;
  }
  const boost::math::students_t_distribution<double> student(count - 2.0);
  const double half =
      boost::math::quantile(student, 0.975) * std::sqrt(squares / (count - 2.0) / xx);
  fit.low = fit.exponent - half;
  fit.high = fit.exponent + half;
  return fit;
}

}  // namespace widedeq
