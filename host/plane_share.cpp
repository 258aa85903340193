// Forecasts of settlings and what they may leave; see plane_share.hpp.
#include "host/plane_share.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace widedeq {
namespace {

constexpr double smallest = std::numeric_limits<double>::min();

}  // namespace

double PlaneForecast::gain(Settling kind, const Sweep& sweep) const {
  const auto& ratio = kind == Settling::first ? first_ratio : later_ratio;
  return ratio.value_or(sweep.s) * sweep.A.plane_size;
}

void PlaneForecast::learn(Settling kind, const Sweep& sweep, double found, bool of_all) {
  if (sweep.A.plane_size <= 0.0) return;
  // Those that wait are judged by the others' gains, which may be smaller than theirs: so by the
  // largest there have been, which fades as time goes by.
  constexpr double fading = 0.8;
  if (!of_all) found = std::max(found, fading * gain(kind, sweep));
  (kind == Settling::first ? first_ratio : later_ratio) = found / sweep.A.plane_size;
  if (!later_ratio) later_ratio = first_ratio;
}

void PlaneForecast::transfer(Archive& archive) {
  archive.optional_number("first_ratio", first_ratio);
  archive.optional_number("later_ratio", later_ratio);
  archive.number("expected", expected);
}

DigitLimits digit_limits(double gain, double least) {
  // What digits leave out for good, beside what they make: of one digit e1 d0, of two e1 d1. E's
  // next digit is taken for 4 / 256 of it, entries of uneven size making digits less than full; d's
  // for 1 / 30, though where units have switched, whose entries set the scale, it may be a tenth.
  // (With e1 d1 taken for 4 / 256^2 of E d, audits found up to 1.2e-6 at a tolerance of 1e-6 in
  // adjoints of Gaussian weights, 2048 x 200, whose plane is large.)
  constexpr double one = 4.0 / digit_ratio, two = one / 30.0;
  gain = std::max(gain, smallest);
  const double enough = single_rounding / gain;
  DigitLimits limits{least / gain, enough / one, enough / two};
  for (std::size_t k = 1; k < limits.size(); ++k)
    limits[k] = std::max(limits[k - 1], limits[k]);
  return limits;
}

double residual_beside(double off, Index width, double tolerance) {
  const double cosine = std::min(1.0, 4.0 / std::sqrt(static_cast<double>(width)));
  const double across = (1.0 - cosine * cosine) * off * off;
  const double beside = std::sqrt(std::max(0.0, tolerance * tolerance - across)) - cosine * off;
  return std::max(0.0, beside);
}

// Near rounding a residual may not fall below the tolerance at all: then there is no margin, and
// another round makes up for what settling adds.
UnsettledShare::UnsettledShare(double tolerance, Index width)
    : tolerance_(tolerance), width_(width), has_margin_(tolerance > 10.0 * single_rounding) {}

double UnsettledShare::negligible() const {
  return 0.003 * tolerance_;
}

double UnsettledShare::most(double gain, const Sweep& sweep) const {
  if (!has_margin_ || sweep.A.plane_change <= 0.0) return negligible();
  // A column that lacks L has moved by L / gain, of which dE makes `change_gain` times as much.
  const double weight = std::min(1.0, 8.0 / std::sqrt(static_cast<double>(width_)));
  const double change_gain = weight * sweep.s * sweep.A.plane_change;
  return std::clamp(negligible() * (gain / change_gain), negligible(), 0.3 * tolerance_);
}

double UnsettledShare::within(double lacking) const {
  return has_margin_ ? residual_beside(lacking, width_, tolerance_) : tolerance_;
}

double UnsettledShare::target(double expected) const {
  return std::max(expected, within(expected));
}

void UnsettledShare::add(const std::vector<double>& moved, double limit, double gain,
                         std::vector<double>& residuals) const {
  for (std::size_t j = 0; has_margin_ && j < moved.size(); ++j)
    if (moved[j] <= limit) residuals[j] = std::hypot(residuals[j], gain * moved[j]);
}

}  // namespace widedeq
