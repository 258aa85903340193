// The infinite-width limit of a pair against truths that share nothing with it: plain iteration of
// the arc-cosine kernel, quadrature in the plane, Monte Carlo, closed forms at both ends.
#include "host/study/pair_limit.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <functional>
#include <numbers>
#include <random>
#include <vector>

#include "host/failure.hpp"
#include "host/study/limit_table.hpp"

namespace widedeq {
namespace {

using std::numbers::pi;

constexpr std::array gammas = {0.02, 0.3, 0.5, 0.9, 1.3};

double kappa(const PairLimit& pair, double angle, const PairValues& values) {
  return pair.kappa0() - 2.0 * std::pow(std::sin(0.5 * angle), 2) * values.y;
}
double kappa(const PairLimit& pair, double angle) {
  return kappa(pair, angle, pair.at(angle));
}

// ---- linear injection: the arc-cosine kernel -----------------------------------------------------

// kappa <- E[relu(a) relu(a')] of variance B = gamma^2 kappa(0) + 1 and covariance gamma^2 kappa +
// cos(angle), by plain iteration in extended precision. Each step shrinks the error by gamma^2/2 or
// better, at most 0.845 here; 1000 of them leave nothing. acos() of a number near 1 loses half of 19
// digits at worst, and those of the angle's cosine with it: the angles are 1e-3 or more, so that 1e-19
// / 1e-3 is what is left. The bound is ten roundings of doubles.
TEST(PairLimit, LinearInjectionIsTheFixedPointOfTheArcCosineKernel) {
  constexpr long double pi_l = std::numbers::pi_v<long double>;
  for (const double gamma : gammas)
    for (const double angle : {1e-3, 0.1, 1.0, pi / 2, 2.5, 3.1, pi}) {
      const long double g2 = static_cast<long double>(gamma) * static_cast<long double>(gamma);
      const long double B = g2 / (2.0L - g2) + 1.0L;
      const long double s = std::cos(static_cast<long double>(angle));
      long double k = 0.0L, psi = 0.0L;
      for (int step = 0; step < 1000; ++step) {
        psi = std::acos((g2 * k + s) / B);
        k = B * (std::sin(psi) + (pi_l - psi) * std::cos(psi)) / (2.0L * pi_l);
      }
      const PairLimit pair(gamma, Injection::linear);
      const PairValues values = pair.at(angle);
      EXPECT_NEAR(kappa(pair, angle, values), static_cast<double>(k), 2e-15 * pair.kappa0());
      EXPECT_NEAR(values.D0, static_cast<double>((pi_l - psi) / (2.0L * pi_l)), 2e-15);
      EXPECT_NEAR(pair.kappa0(), static_cast<double>(B / 2.0L), 2e-15 * pair.kappa0());
    }
}

// ---- relu injection: quadrature in the plane -----------------------------------------------------

/// Ten nodes of Gauss's rule on each of `panels` parts of [from, to].
double integral(double from, double to, int panels, const std::function<double(double)>& f) {
  constexpr std::array<double, 5> node = {0.14887433898163121, 0.43339539412924719,
                                          0.67940956829902441, 0.86506336668898451,
                                          0.97390652851717172};
  constexpr std::array<double, 5> weight = {0.29552422471475287, 0.26926671930999636,
                                            0.21908636251598204, 0.14945134915058059,
                                            0.06667134430868814};
  double sum = 0.0;
  for (int p = 0; p < panels; ++p) {
    const double a = from + (to - from) * p / panels, b = from + (to - from) * (p + 1) / panels;
    for (std::size_t i = 0; i < node.size(); ++i)
      for (const double sign : {-1.0, 1.0})
        sum += 0.5 * (b - a) * weight[i] * f(0.5 * (a + b) + 0.5 * (b - a) * sign * node[i]);
  }
  return sum;
}

/// (h, g/sqrt(k)) = r (cos(phi), sin(phi)): relu(g + relu(h)) = r f(phi)
double direction(double phi, double sqrt_k) {
  return std::max(0.0, sqrt_k * std::sin(phi) + std::max(0.0, std::cos(phi)));
}

struct PlaneMoments {
  double E, D0, Dh;
};

/// E[relu(a) relu(a')], D0 and Dh for given k, correlation rho of (g, g') and s of (h, h'). In polar
/// coordinates of both planes the two radii are integrated in closed form, with
///   u = (cos(phi), sin(phi)),  M = diag(s, rho),  N = (I - M^2)^-1,
///   A = u'N u, A' likewise, B = u'M N u' = sqrt(A A') cos(eta)
///   integral of r r' exp(-(A r^2 - 2 B r r' + A' r'^2)/2)     = J1 / (A A'),
///   integral of (r r')^2 exp(...)                             = J2 / (A A')^1.5,
///   J1 = (sin(eta) + (pi - eta) cos(eta)) / sin(eta)^3,
///   J2 = (3 sin(eta) cos(eta) + (pi - eta) (1 + 2 cos(eta)^2)) / sin(eta)^5
/// (Cho and Saul's), and the angles by Gauss's rule on the pieces between kinks and boundaries.
PlaneMoments in_the_plane(double k, double rho, double s, int panels) {
  const double sqrt_k = std::sqrt(k);
  // a > 0 from phi = -atan(1/sqrt_k) (g = -h) over 0 and pi/2 (where h turns negative) to pi.
  const double first = -std::atan(1.0 / sqrt_k);
  const double n_h = 1.0 / (1.0 - s * s), n_g = 1.0 / (1.0 - rho * rho);
  const double normal = std::sqrt(n_h * n_g) / (4.0 * pi * pi);
  const auto moments = [&](double phi, double phi2) {
    const double ch = std::cos(phi), sh = std::sin(phi), ch2 = std::cos(phi2), sh2 = std::sin(phi2);
    const double A = n_h * ch * ch + n_g * sh * sh, A2 = n_h * ch2 * ch2 + n_g * sh2 * sh2;
    const double B = s * n_h * ch * ch2 + rho * n_g * sh * sh2;
    // sin(eta)^2 = 1 - B^2/(A A') without its cancellation: A A' - B^2 as a sum of squares
    const double minor = n_h * n_g * (ch * ch * sh2 * sh2 + sh * sh * ch2 * ch2) +
                         n_h * n_h * ch * ch * ch2 * ch2 * (1.0 - s * s) +
                         n_g * n_g * sh * sh * sh2 * sh2 * (1.0 - rho * rho) -
                         2.0 * s * rho * n_h * n_g * ch * ch2 * sh * sh2;
    const double eta = std::atan2(std::sqrt(std::max(minor, 0.0)), B);
    const double c = std::cos(eta), sine = std::sin(eta);
    const double J1 = (sine + (pi - eta) * c) / std::pow(sine, 3);
    const double J2 =
        (3.0 * sine * c + (pi - eta) * (1.0 + 2.0 * c * c)) / std::pow(sine, 5);
    return std::array{normal * J1 / (A * A2), normal * J2 / std::pow(A * A2, 1.5)};
  };
  PlaneMoments sum{0.0, 0.0, 0.0};
  const std::array pieces = {first, pi / 2, pi};
  for (std::size_t i = 0; i < 2; ++i)
    for (std::size_t j = 0; j < 2; ++j) {
      double E = 0.0;
      const double D = integral(pieces[i], pieces[i + 1], panels, [&](double phi) {
        double row = 0.0;
        const double total = integral(pieces[j], pieces[j + 1], panels, [&](double phi2) {
          return moments(phi, phi2)[0];
        });
        row = integral(pieces[j], pieces[j + 1], panels, [&](double phi2) {
          return direction(phi2, sqrt_k) * moments(phi, phi2)[1];
        });
        return std::isnan(row) ? row : total;
      });
      E = integral(pieces[i], pieces[i + 1], panels, [&](double phi) {
        return direction(phi, sqrt_k) *
               integral(pieces[j], pieces[j + 1], panels, [&](double phi2) {
                 return direction(phi2, sqrt_k) * moments(phi, phi2)[1];
               });
      });
      sum.E += E;
      sum.D0 += D;
      if (i == 0 && j == 0) sum.Dh += D;
    }
  return sum;
}

}  // namespace
}  // namespace widedeq
