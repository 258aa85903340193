// Newton's method, and the integrals it needs; see pair_limit.hpp.
#include "host/study/pair_limit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/math/quadrature/gauss.hpp>
#include <boost/math/special_functions/bessel.hpp>
#include <cmath>
#include <limits>
#include <numbers>

#include "host/failure.hpp"
#include "host/study/arc_cosine.hpp"
#include "host/study/graded_half.hpp"

namespace widedeq {
namespace {

using std::numbers::inv_pi;
using std::numbers::pi;

// Newton's method ends with a step that is negligible beside y; or, as the digits of a step double
// below the second limit, with one that does not fall, which is rounding.
constexpr int most_steps = 100;
constexpr double negligible = 1e-15;
constexpr double quadratic = 1e-8;

/// integral of f over [from, to] by Gauss's rule of so many nodes, f(node, weight) adding them up.
template <unsigned count, class Function>
void gauss(double from, double to, const Function& f) {
  using Rule = boost::math::quadrature::gauss<double, count>;
  static_assert(count % 2 == 0);
  const double center = 0.5 * (from + to), half = 0.5 * (to - from);
  for (std::size_t i = 0; i < count / 2; ++i) {
    const double offset = half * Rule::abscissa()[i], weight = half * Rule::weights()[i];
    f(center - offset, weight);
    f(center + offset, weight);
  }
}

/// Gauss's rule on panels of x in a GradedHalf, from t = `from` to `to`, f(t, weight in t).
template <class Function>
void integrate(const GradedHalf& half, double from, double to, Nodes nodes, const Function& f) {
  if (to <= from) return;
  // Branch points are i pi/2 away: 16 nodes err by about r^-32, r = c + sqrt(c^2 + 1), c = pi/2.5,
  // which is 3e-15; 32 by its square.
  constexpr double longest = 2.5;
  const double first = half.x(from), last = half.x(to);
  const int panels = static_cast<int>(std::ceil((last - first) / longest));
  const auto in_t = [&](double x, double weight) { f(half.t(x), weight * half.dt_dx(x)); };
  for (int p = 0; p < panels; ++p) {
    const double a = first + (last - first) * p / panels;
    const double b = first + (last - first) * (p + 1) / panels;
    nodes == Nodes::fine ? gauss<32>(a, b, in_t) : gauss<16>(a, b, in_t);
  }
}

/// kappa(0) of relu injection: with k = gamma^2 kappa, b = g + h given h > 0,
///   E[relu(a)^2] = E[g^2; g > 0]/2 + E[b^2; b > 0, h > 0]
///                = k/4 + (k + 1) (1/4 + atan(1/sqrt(k))/(2 pi)) + sqrt(k)/(2 pi)
/// and its derivative by k, P(a > 0), falls from 3/4 to 1/2: concave, one root, which Newton's
/// method falls to from above: E[relu(a)^2] <= k/2 + sqrt(k)/pi + 1/2.
double relu_kappa0(double gamma) {
  const double gamma2 = gamma * gamma;
  const double b = gamma * inv_pi, room = 1.0 - 0.5 * gamma2;
  const double root = (b + std::sqrt(b * b + 2.0 * room)) / (2.0 * room);
  double kappa = root * root;
  for (int step = 0; step < most_steps; ++step) {
    const double sqrt_k = gamma * std::sqrt(kappa), k = sqrt_k * sqrt_k;
    const double quadrant = 0.25 + 0.5 * inv_pi * std::atan2(1.0, sqrt_k);
    const double moment = 0.25 * k + (k + 1.0) * quadrant + 0.5 * inv_pi * sqrt_k;
    const double change = (kappa - moment) / (1.0 - gamma2 * (0.25 + quadrant));
    kappa -= change;
    if (change <= negligible * kappa) break;
  }
  return kappa;
}

}  // namespace

PairLimit::PairLimit(double gamma, Injection injection)
    : gamma_(gamma), gamma2_(gamma * gamma), injection_(injection) {
  if (!(gamma >= 0.0 && gamma2_ < 2.0))
    throw Failure(ExitCode::usage,
                  fmt::format("with gamma {} the network has no infinite-width limit", gamma),
                  "gamma", "give one below sqrt(2) = 1.41421");
  if (injection == Injection::linear) {
    kappa0_ = 1.0 / (2.0 - gamma2_);
    parallel_D0_ = parallel_Dh_ = 0.5;
  } else {
    kappa0_ = relu_kappa0(gamma);
    parallel_Dh_ = 0.25 + 0.5 * inv_pi * std::atan2(1.0, gamma * std::sqrt(kappa0_));
    parallel_D0_ = 0.25 + parallel_Dh_;
  }
  // Branch points: where Var(g) ~ det Cov(h, h') = sin(t)^2; and, close to sqrt(2), where 1 -
  // gamma^2 D0 has its zero. Below 1e-10 they are of no account.
  scale_ =
      std::clamp(std::min(gamma * std::sqrt(kappa0_), 1.0 - gamma2_ * parallel_D0_), 1e-10, 1.0);
}

PairValues PairLimit::at(double angle, Nodes nodes) const {
  PairValues values;
  const double half_sine = std::sin(0.5 * angle);
  const double sigma = 2.0 * half_sine * half_sine;  // 1 - s
  values.y = parallel_Dh_ / (1.0 - gamma2_ * parallel_D0_);
  values.D0 = parallel_D0_;
  values.Dh = parallel_Dh_;
  if (sigma == 0.0) return values;

  // Both are above the root: R(y) at parallel vectors, and kappa = 0.
  values.y = std::min(values.y, kappa0_ / sigma);
  double previous = std::numeric_limits<double>::infinity();
  while (values.steps < most_steps) {
    const Moments at_y = moments(angle, values.y, nodes);
    const double change = std::abs(values.y - at_y.R) / (1.0 - gamma2_ * at_y.D0);
    values.y -= std::copysign(change, values.y - at_y.R);
    values.D0 = at_y.D0;  // of the y before the step, which is the same in the end
    values.Dh = at_y.Dh;
    values.last_step = change * sigma / kappa0_;
    ++values.steps;
    if (change <= negligible * values.y) break;
    if (change <= quadratic * values.y && change >= previous) break;
    previous = change;
  }
  return values;
}

PairLimit::Moments PairLimit::moments(double angle, double y, Nodes nodes) const {
  return injection_ == Injection::linear ? linear_moments(angle, y) : relu_moments(angle, y, nodes);
}

// (a, a') has the variances B = 1 + gamma^2 kappa(0) = 2 kappa(0) and an angle psi of its own. With
// c = kappa(0) - y (1 - s) for kappa,
//
//   B (1 - cos(psi)) = (1 - s) (1 + gamma^2 y)
//   B (1 + cos(psi)) = 1 + s + gamma^2 (kappa(0) + c)
//   E = B (sin(psi) + (pi - psi) cos(psi)) / (2 pi)
//   kappa(0) - E = B (pi (1 - cos(psi)) - sin(psi) + psi cos(psi)) / (2 pi)
//
// sin(psi) - psi cos(psi) = psi^2 j_1(psi), j_1 the spherical Bessel function, keeps its digits.
PairLimit::Moments PairLimit::linear_moments(double angle, double y) const {
  const double B = 2.0 * kappa0_;
  const double sigma = 2.0 * std::pow(std::sin(0.5 * angle), 2);
  const double other = 2.0 * std::pow(std::cos(0.5 * angle), 2);
  const double decline = 1.0 + gamma2_ * y;
  const double c = kappa0_ - y * sigma;
  const double psi =
      2.0 * std::atan2(std::sqrt(sigma * decline), std::sqrt(other + gamma2_ * (kappa0_ + c)));
  const double j1 = boost::math::sph_bessel(1, psi);
  const double R = 0.5 * decline - 0.5 * inv_pi * B * psi * psi * j1 / sigma;
  const double D0 = arc_cosine_0(psi);
  return {R, D0, D0};
}

// Let e = 1 - cos(t), b = g + h. Along the path, with everything of g in units of gamma^2,
//
//   c = kappa(0) - y e     det_g = kappa(0)^2 - c^2 = y e (2 kappa(0) - y e)
//   r = cos(t)             det_h = sin(t)^2
//
// f = relu(g + relu(h)) has df/dg = 1[a > 0], df/dh = 1[a > 0, h > 0], and Price's theorem says
//
//   dE/dCov(g,g') = D0,   dE/dCov(h,h') = Dh
//   dD0/dCov(g,g') = E[delta(a) delta(a')] = LL + 2 LH + HH       dD0/dCov(h,h') = HH
//   dDh/dCov(g,g') = HH                                           dDh/dCov(h,h') = HH + 2 BH + hh
//
// where a pair of variables is zero and the other two have their signs:
//
//   LL  g = g' = 0, h < 0 > h'    LH  g = b' = 0, h < 0 < h'    HH  b = b' = 0, h > 0 < h'
//   BH  b = h' = 0, h > 0 < g'    hh  h = h' = 0, g > 0 < g'
//
// density = 1/(2 pi sqrt(det of the pair)), orthant = 1/4 + atan2(M, sqrt(det of all four * det of
// the pair))/(2 pi), M the conditional covariance of the other two times det of the pair. (g, h) ->
// (b, h) has determinant 1, so det of all four is det_g det_h throughout. Worked out, and freed of
// powers of gamma,
//
//       det of the pair                                     M                          orthant of
//   LL  det_g                                               r                          h, h'
//   LH  gamma^2 det_g + kappa(0)                            -gamma r sqrt(det_g)       -h, h'
//   HH  e (1 + gamma^2 y) (1 + r + gamma^2 (kappa(0) + c))  gamma^2 r det_g + c det_h  h, h'
//   BH  det_h + gamma^2 kappa(0)                            -c sqrt(det_h)             h, g'
//   hh  det_h                                               c                          g, g'
//
// where a common factor of M and the root has been taken out of both.
//
// For E, twice integrated, the inner integral is undone by parts:
//   E(angle) = E(0) + (slope at 0) e(angle) + integral of (e(angle) - e) (second derivative) de
PairLimit::Moments PairLimit::relu_moments(double angle, double y, Nodes nodes) const {
  const double half_sine = std::sin(0.5 * angle);
  const double sigma = 2.0 * half_sine * half_sine;
  const double decline = 1.0 + gamma2_ * y;  // -dCov(b, b')/de
  Moments sum{gamma2_ * y * parallel_D0_ + parallel_Dh_, parallel_D0_, parallel_Dh_};

  const auto density = [](double root) { return 0.5 * inv_pi / root; };
  const auto orthant = [](double M, double root) {
    return 0.25 + 0.5 * inv_pi * std::atan2(M, root);
  };
  // cos(t), 1 - cos(t), 1 + cos(t), sin(t) = sqrt(det_h)
  const auto add = [&](double r, double e, double other_e, double sine, double weight) {
    const double c = kappa0_ - y * e;
    const double det_g = y * e * (kappa0_ + c);
    const double root_g = std::sqrt(det_g);
    const double root_LH = std::sqrt(gamma2_ * det_g + kappa0_);  // over gamma
    const double root_HH = std::sqrt(e * decline * (other_e + gamma2_ * (kappa0_ + c)));
    const double root_BH = std::sqrt(sine * sine + gamma2_ * kappa0_);

    // LL and LH times gamma^2
    const double LL = density(root_g) * orthant(r, sine);
    const double LH = gamma_ * density(root_LH) * orthant(-gamma_ * r * root_g, sine * root_LH);
    const double HH =
        density(root_HH) * orthant(gamma2_ * r * det_g + c * sine * sine, root_g * sine * root_HH);
    const double BH = density(root_BH) * orthant(-c * sine, root_g * root_BH);
    const double hh = density(sine) * orthant(c, root_g);

    // -dD0/de, -dDh/de, d^2E/de^2; de = sin(t) dt
    const double fall_D0 = y * (LL + 2.0 * LH + gamma2_ * HH) + HH;
    const double fall_Dh = gamma2_ * y * HH + HH + 2.0 * BH + hh;
    const double de = weight * sine;
    sum.D0 -= de * fall_D0;
    sum.Dh -= de * fall_Dh;
    sum.R -= de * (1.0 - e / sigma) * (gamma2_ * y * fall_D0 + fall_Dh);
  };
  // In each half t is the distance from the near end.
  const GradedHalf half{scale_};
  const auto versine = [](double t) { return 2.0 * std::pow(std::sin(0.5 * t), 2); };
  integrate(half, 0.0, std::min(angle, 0.5 * pi), nodes, [&](double t, double weight) {
    add(std::cos(t), versine(t), 1.0 + std::cos(t), std::sin(t), weight);
  });
  integrate(half, pi - angle, 0.5 * pi, nodes, [&](double t, double weight) {
    add(-std::cos(t), 1.0 + std::cos(t), versine(t), std::sin(t), weight);
  });
  return sum;
}

}  // namespace widedeq
