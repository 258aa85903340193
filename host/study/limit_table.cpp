// Chebyshev points and barycentric interpolation; see limit_table.hpp.
#include "host/study/limit_table.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace widedeq {
namespace {

using std::numbers::pi;

constexpr std::size_t first_intervals = 16;
constexpr std::size_t most_intervals = 2048;
// A hundred roundings, which 1 - gamma^2 D0 magnifies in Q. The interpolant of twice the points,
// the one used, is far better.
constexpr double good_enough = 2e-14;

double square(double x) {
  return x * x;
}

}  // namespace

LimitTable::LimitTable(double gamma, Injection injection)
    : pair_(gamma, injection), graded_{pair_.scale()} {
  near_.length = far_.length = graded_.x(0.5 * pi);
  far_.far = true;
  fill(near_);
  fill(far_);
}

PairValues LimitTable::at(double angle) const {
  const bool far = angle > 0.5 * pi;
  return interpolate(far ? far_ : near_, graded_.x(far ? pi - angle : angle));
}

double LimitTable::angle_of(const Half& half, double x) const {
  const double t = std::clamp(graded_.t(x), 0.0, 0.5 * pi);
  return half.far ? pi - t : t;
}

void LimitTable::fill(Half& half) {
  for (std::size_t j = 0; j <= first_intervals; ++j) {
    const double root =
        std::sin(0.5 * pi * static_cast<double>(j) / static_cast<double>(first_intervals));
    half.points.push_back(tabulate(half, half.length * root * root));
  }
  const double enough = good_enough / (1.0 - square(pair_.gamma()) * pair_.at(0.0).D0);
  double error = 0.0;
  do
    error = refine(half);
  while (error > enough && half.points.size() <= most_intervals);
  interpolation_error_ = std::max(interpolation_error_, error);
}

double LimitTable::refine(Half& half) {
  const std::size_t intervals = half.points.size() - 1;
  std::vector<Point> refined;
  refined.reserve(2 * intervals + 1);
  double error = 0.0;
  for (std::size_t j = 0; j < intervals; ++j) {
    const double root =
        std::sin(0.25 * pi * static_cast<double>(2 * j + 1) / static_cast<double>(intervals));
    const Point between = tabulate(half, half.length * root * root);
    error = std::max(
        error, distance(angle_of(half, between.x), interpolate(half, between.x), between.values));
    refined.push_back(half.points[j]);
    refined.push_back(between);
  }
  refined.push_back(half.points.back());
  half.points = std::move(refined);
  return error;
}

LimitTable::Point LimitTable::tabulate(const Half& half, double x) {
  const double angle = angle_of(half, x);
  const PairValues fine = pair_.at(angle, Nodes::fine);
  const PairValues coarse = pair_.at(angle, Nodes::coarse);
  quadrature_error_ = std::max(quadrature_error_, distance(angle, coarse, fine));
  fixed_point_error_ = std::max(fixed_point_error_, fine.last_step);
  steps_ = std::max(steps_, fine.steps);
  return {x, fine};
}

// p(x) = sum of w_j f_j / (x - x_j) over sum of w_j / (x - x_j), w_j = (-1)^j, half at both ends
PairValues LimitTable::interpolate(const Half& half, double x) {
  PairValues sum;
  double total = 0.0, sign = 1.0;
  for (std::size_t j = 0; j < half.points.size(); ++j, sign = -sign) {
    const Point& point = half.points[j];
    const double distance = x - point.x;
    if (distance == 0.0) return point.values;
    const bool end = j == 0 || j + 1 == half.points.size();
    const double weight = (end ? 0.5 * sign : sign) / distance;
    total += weight;
    sum.y += weight * point.values.y;
    sum.D0 += weight * point.values.D0;
    sum.Dh += weight * point.values.Dh;
  }
  sum.y /= total;
  sum.D0 /= total;
  sum.Dh /= total;
  return sum;
}

double LimitTable::distance(double angle, const PairValues& a, const PairValues& b) const {
  const double gamma2 = square(pair_.gamma());
  const auto Q = [gamma2](double D0) { return D0 / (1.0 - gamma2 * D0); };
  const PairValues parallel = pair_.at(0.0);
  const double in_kappa =
      2.0 * square(std::sin(0.5 * angle)) * std::abs(a.y - b.y) / pair_.kappa0();
  const double in_Q = std::abs(Q(a.D0) - Q(b.D0)) / Q(parallel.D0);
  const double in_Dh = std::abs(a.Dh - b.Dh) / parallel.Dh;
  return std::max({in_kappa, in_Q, in_Dh});
}

}  // namespace widedeq
