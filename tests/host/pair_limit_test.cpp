// The infinite-width limit of a pair against truths that share nothing with it: plain iteration of
// the arc-cosine kernel, quadrature in the plane, Monte Carlo, closed forms at both ends.
#include "host/study/pair_limit.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <numbers>
#include <random>
#include <string>
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

// ---- linear injection: the arc-cosine kernel

// kappa <- E[relu(a) relu(a')] of variance B = gamma^2 kappa(0) + 1 and covariance gamma^2 kappa +
// cos(angle), by plain iteration in extended precision. Each step shrinks the error by gamma^2/2 or
// better, at most 0.845 here; 1000 of them leave nothing. acos() of a number near 1 loses half of
// 19 digits at worst, and those of the angle's cosine with it: the angles are 1e-3 or more, so that
// 1e-19 / 1e-3 is what is left. The bound is ten roundings of doubles.
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

// ---- relu injection: quadrature in the plane

struct Node {
  double x, weight;
};

/// Ten nodes of Gauss's rule on each of `panels` parts of [from, to].
std::vector<Node> gauss_nodes(double from, double to, int panels) {
  constexpr std::array<double, 5> node = {0.14887433898163121, 0.43339539412924719,
                                          0.67940956829902441, 0.86506336668898451,
                                          0.97390652851717172};
  constexpr std::array<double, 5> weight = {0.29552422471475287, 0.26926671930999636,
                                            0.21908636251598204, 0.14945134915058059,
                                            0.06667134430868814};
  std::vector<Node> nodes;
  const double half = 0.5 * (to - from) / panels;
  for (int p = 0; p < panels; ++p)
    for (std::size_t i = 0; i < node.size(); ++i)
      for (const double sign : {-1.0, 1.0})
        nodes.push_back({from + half * (2 * p + 1 + sign * node[i]), half * weight[i]});
  return nodes;
}

/// (h, g/sqrt(k)) = r (cos(phi), sin(phi)): relu(g + relu(h)) = r direction(phi)
double direction(double phi, double sqrt_k) {
  return std::max(0.0, sqrt_k * std::sin(phi) + std::max(0.0, std::cos(phi)));
}

/// a > 0 from g = -h over h = 0 to g = 0: two pieces, h > 0 and h < 0.
std::array<double, 3> pieces_of(double sqrt_k) {
  return {-std::atan(1.0 / sqrt_k), pi / 2, pi};
}

struct PlaneMoments {
  double E = 0.0, D0 = 0.0, Dh = 0.0;
};

/// E[relu(a) relu(a')], D0 and Dh for given k, correlation rho of (g, g') and s of (h, h'). In
/// polar coordinates of both planes the two radii are integrated in closed form, with
///   u = (cos(phi), sin(phi)),  M = diag(s, rho),  N = (I - M^2)^-1,
///   A = u'N u, A' likewise, B = u'M N u' = sqrt(A A') cos(eta)
///   integral of r r' exp(-(A r^2 - 2 B r r' + A' r'^2)/2)     = J1 / (A A'),
///   integral of (r r')^2 exp(...)                             = J2 / (A A')^1.5,
///   J1 = (sin(eta) + (pi - eta) cos(eta)) / sin(eta)^3,
///   J2 = (3 sin(eta) cos(eta) + (pi - eta) (1 + 2 cos(eta)^2)) / sin(eta)^5
/// (Cho and Saul's), and the angles by Gauss's rule on the pieces between kinks and boundaries.
PlaneMoments in_the_plane(double k, double rho, double s, int panels) {
  const double sqrt_k = std::sqrt(k);
  const double n_h = 1.0 / (1.0 - s * s), n_g = 1.0 / (1.0 - rho * rho);
  const double normal = std::sqrt(n_h * n_g) / (4.0 * pi * pi);
  const auto pieces = pieces_of(sqrt_k);
  PlaneMoments sum;
  for (std::size_t piece = 0; piece < 2; ++piece)
    for (std::size_t piece2 = 0; piece2 < 2; ++piece2) {
      const auto nodes = gauss_nodes(pieces[piece], pieces[piece + 1], panels);
      const auto nodes2 = gauss_nodes(pieces[piece2], pieces[piece2 + 1], panels);
      PlaneMoments part;
      for (const auto& [phi, weight] : nodes)
        for (const auto& [phi2, weight2] : nodes2) {
          const double hh = std::cos(phi) * std::cos(phi2), gg = std::sin(phi) * std::sin(phi2);
          const double A = n_h * std::pow(std::cos(phi), 2) + n_g * std::pow(std::sin(phi), 2);
          const double A2 = n_h * std::pow(std::cos(phi2), 2) + n_g * std::pow(std::sin(phi2), 2);
          const double B = s * n_h * hh + rho * n_g * gg;
          // A A' - B^2 without most of its cancellation
          const double minor =
              n_h * n_g * (std::pow(std::sin(phi - phi2), 2) + 2.0 * (1.0 - s * rho) * hh * gg) +
              n_h * hh * hh + n_g * gg * gg;
          const double eta = std::atan2(std::sqrt(std::max(minor, 0.0)), B);
          const double c = std::cos(eta), sine = std::sin(eta);
          const double J1 = (sine + (pi - eta) * c) / std::pow(sine, 3);
          const double J2 = (3.0 * sine * c + (pi - eta) * (1.0 + 2.0 * c * c)) / std::pow(sine, 5);
          const double element = weight * weight2 * normal / (A * A2);
          part.D0 += element * J1;
          part.E +=
              element * J2 / std::sqrt(A * A2) * direction(phi, sqrt_k) * direction(phi2, sqrt_k);
        }
      sum.E += part.E;
      sum.D0 += part.D0;
      if (piece == 0 && piece2 == 0) sum.Dh = part.D0;
    }
  return sum;
}

// kappa must reproduce itself, and D0 and Dh be those of it. The plane's quadrature is good to
// 1e-12 (more panels change less, see below), cancellation in J1 and J2 included: sin(eta) is
// smallest, about the distance to 0 or pi, and eats up to five of its powers in J2, but only where
// vectors that point the same way contribute nothing.
TEST(PairLimit, ReluInjectionAgreesWithQuadratureInThePlane) {
  for (const double gamma : gammas) {
    const PairLimit pair(gamma, Injection::relu);
    const double k = gamma * gamma * pair.kappa0();
    for (const double angle : {0.1, 0.7, pi / 2, 2.3, 3.0}) {
      const PairValues values = pair.at(angle);
      const double E = kappa(pair, angle, values);
      const int panels = angle < 0.5 || angle > 2.8 ? 32 : 8;
      const PlaneMoments truth = in_the_plane(k, E / pair.kappa0(), std::cos(angle), panels);
      SCOPED_TRACE("gamma " + std::to_string(gamma) + " angle " + std::to_string(angle));
      EXPECT_NEAR(E, truth.E, 1e-11 * pair.kappa0());
      EXPECT_NEAR(values.D0, truth.D0, 1e-11);
      EXPECT_NEAR(values.Dh, truth.Dh, 1e-11);
    }
  }
}

// On the diagonal there is one plane: with r^2 = 2 on average,
//   E[relu(a)^2] = integral of direction^2 / pi,  P(a > 0) = (length of the pieces) / (2 pi)
TEST(PairLimit, DiagonalOfReluInjection) {
  for (const double gamma : gammas) {
    const PairLimit pair(gamma, Injection::relu);
    const double sqrt_k = gamma * std::sqrt(pair.kappa0());
    const auto pieces = pieces_of(sqrt_k);
    double E = 0.0;
    for (std::size_t i = 0; i < 2; ++i)
      for (const auto& [phi, weight] : gauss_nodes(pieces[i], pieces[i + 1], 4))
        E += weight * std::pow(direction(phi, sqrt_k), 2) / pi;
    EXPECT_NEAR(pair.kappa0(), E, 1e-13 * E) << gamma;
    EXPECT_NEAR(pair.at(0.0).D0, (pi - pieces[0]) / (2.0 * pi), 1e-15);
    EXPECT_NEAR(pair.at(0.0).Dh, (pi / 2 - pieces[0]) / (2.0 * pi), 1e-15);
  }
}

// h' = -h: one of a, a' is g alone. With h > 0 (twice, for the other case), x = g'/sqrt(k) and g =
// sqrt(k) (rho x + q y), q = sqrt(1 - rho^2):
//   D0 = 2 integral over h, x > 0 of phi(h) phi(x) P(y > -(h + sqrt(k) rho x) / (sqrt(k) q))
//   kappa = 2 integral of phi(h) phi(x) sqrt(k) x E[relu(h + sqrt(k) (rho x + q y))]
// and Dh = 0. The integrals stop at 9, where phi is 1e-18; 360,000 terms are summed, hence 1e-12.
TEST(PairLimit, AntiparallelSamples) {
  const auto phi = [](double x) { return std::exp(-0.5 * x * x) / std::sqrt(2.0 * pi); };
  const auto Phi = [](double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); };
  for (const double gamma : {0.3, 0.5, 0.9, 1.3}) {
    const PairLimit pair(gamma, Injection::relu);
    const PairValues values = pair.at(pi);
    const double k = gamma * gamma * pair.kappa0();
    const double rho = kappa(pair, pi, values) / pair.kappa0(), q = std::sqrt(1.0 - rho * rho);
    double E = 0.0, D0 = 0.0;
    const auto nodes = gauss_nodes(0.0, 9.0, 60);
    for (const auto& [h, weight] : nodes)
      for (const auto& [x, weight_x] : nodes) {
        const double mean = h + std::sqrt(k) * rho * x, deviation = std::sqrt(k) * q;
        const double z = mean / deviation;
        const double element = 2.0 * weight * weight_x * phi(h) * phi(x);
        D0 += element * Phi(z);
        E += element * std::sqrt(k) * x * (mean * Phi(z) + deviation * phi(z));
      }
    EXPECT_NEAR(kappa(pair, pi, values), E, 1e-12 * pair.kappa0()) << gamma;
    EXPECT_NEAR(values.D0, D0, 1e-12) << gamma;
    EXPECT_NEAR(values.Dh, 0.0, 1e-14) << gamma;
  }
}

// ---- Monte Carlo

// Means of a million draws, within 4.5 standard errors of theirs, which happens to 30 means
// together but for one time in 5000; the seed is fixed.
TEST(PairLimit, AgreesWithMonteCarlo) {
  std::mt19937_64 engine(7);
  std::normal_distribution<double> normal;
  constexpr int draws = 1000000;
  for (const Injection injection : {Injection::relu, Injection::linear})
    for (const double gamma : {0.5, 1.1})
      for (const double angle : {0.05, 1.0, 2.6}) {
        const PairLimit pair(gamma, injection);
        const PairValues values = pair.at(angle);
        const double E = kappa(pair, angle, values);
        const double rho = E / pair.kappa0(), scale = gamma * std::sqrt(pair.kappa0());
        std::array<double, 3> sum{}, squares{};
        for (int draw = 0; draw < draws; ++draw) {
          const double h = normal(engine), x = normal(engine);
          const double h2 = std::cos(angle) * h + std::sin(angle) * normal(engine);
          const double x2 = rho * x + std::sqrt(1.0 - rho * rho) * normal(engine);
          const bool linear = injection == Injection::linear;
          const double a = scale * x + (linear ? h : std::max(h, 0.0));
          const double a2 = scale * x2 + (linear ? h2 : std::max(h2, 0.0));
          const bool active = a > 0.0 && a2 > 0.0;
          const std::array sample = {active ? a * a2 : 0.0, active ? 1.0 : 0.0,
                                     active && (linear || (h > 0.0 && h2 > 0.0)) ? 1.0 : 0.0};
          for (std::size_t i = 0; i < 3; ++i) {
            sum[i] += sample[i];
            squares[i] += sample[i] * sample[i];
          }
        }
        const std::array truth = {E, values.D0, values.Dh};
        for (std::size_t i = 0; i < 3; ++i) {
          const double mean = sum[i] / draws;
          const double error = std::sqrt((squares[i] / draws - mean * mean) / draws);
          EXPECT_NEAR(truth[i], mean, 4.5 * error) << gamma << " " << angle << " moment " << i;
        }
      }
}

// ---- identities

// gamma = 0, one hidden layer. kappa and Dh are the arc-cosine kernels of order 1 and 0; g is left
// with its correlation only, that of kappa, and decides where h < 0:
//   D0 = P(h > 0, h' > 0) + 2 P(h > 0, h' < 0)/2 + P(h < 0, h' < 0) P(g > 0, g' > 0)
// 1e-14 is forty roundings of the largest term.
TEST(PairLimit, WithoutRecurrenceIsOneHiddenLayer) {
  const PairLimit pair(0.0, Injection::relu);
  for (const double angle : {1e-9, 1e-4, 0.3, 1.5, 2.0, 3.0, 3.1415, pi}) {
    const PairValues values = pair.at(angle);
    const double k0 = (pi - angle) / (2.0 * pi);
    const double k1 = (std::sin(angle) + (pi - angle) * std::cos(angle)) / (2.0 * pi);
    EXPECT_NEAR(kappa(pair, angle, values), k1, 1e-14);
    EXPECT_NEAR(values.Dh, k0, 1e-14);
    // acos(2 k1) loses digits for small angles: what it loses is 1e-16 / angle.
    const double both_g = (pi - std::acos(std::min(1.0, 2.0 * k1))) / (2.0 * pi);
    EXPECT_NEAR(values.D0, k0 + (0.5 - k0) + k0 * both_g, 1e-14 + 1e-15 / angle);
  }
}

// By the implicit function theorem d kappa / d s = Dh / (1 - gamma^2 D0), s = cos(angle). Central
// differences in the angle, step 1e-4: an error of 1e-8 times a third derivative of order one, and
// 1e-15 / 1e-4 of rounding. It ties kappa, D0 and Dh to each other, for both injections.
TEST(PairLimit, DerivativeOfKappa) {
  constexpr double step = 1e-4;
  for (const Injection injection : {Injection::relu, Injection::linear})
    for (const double gamma : {0.3, 0.5, 0.9}) {
      const PairLimit pair(gamma, injection);
      for (const double angle : {0.2, 0.9, 1.7, 2.4, 3.0}) {
        const double slope = (kappa(pair, angle + step) - kappa(pair, angle - step)) / (2.0 * step);
        const PairValues values = pair.at(angle);
        EXPECT_NEAR(-slope / std::sin(angle), values.Dh / (1.0 - gamma * gamma * values.D0), 1e-6)
            << gamma << " " << angle;
      }
    }
}

// As samples become parallel everything tends to the diagonal, D0 and Dh in proportion to the angle
// (the rate is below one: 1/(2 pi) for each of a few boundaries) and kappa to its square.
TEST(PairLimit, NearlyParallelSamplesApproachTheDiagonal) {
  for (const Injection injection : {Injection::relu, Injection::linear})
    for (const double gamma : {0.02, 0.5, 0.9}) {
      const PairLimit pair(gamma, injection);
      const PairValues diagonal = pair.at(0.0);
      for (const double angle : {1e-15, 1e-12, 1e-9, 1e-6, 1e-3}) {
        const PairValues values = pair.at(angle);
        EXPECT_GE(diagonal.D0 - values.D0, -1e-15);
        EXPECT_LE(diagonal.D0 - values.D0, angle + 1e-15);
        EXPECT_GE(diagonal.Dh - values.Dh, -1e-15);
        EXPECT_LE(diagonal.Dh - values.Dh, angle + 1e-15);
        EXPECT_NEAR(values.y, diagonal.y, 2.0 * angle + 1e-14);
      }
    }
}

// ---- how it is come by

TEST(PairLimit, NodesAndTableAreExactToRounding) {
  std::mt19937_64 engine(3);
  std::uniform_real_distribution<double> uniform;
  for (const Injection injection : {Injection::relu, Injection::linear})
    for (const double gamma : {1e-9, 1e-4, 0.05, 0.5, 1.0, 1.41}) {
      SCOPED_TRACE(gamma);
      const LimitTable table(gamma, injection);
      const PairLimit& pair = table.pair();
      // Q has 1 - gamma^2 D0 below, and its rounding is that much larger.
      const double room = 1.0 - gamma * gamma * pair.at(0.0).D0;
      EXPECT_LE(table.quadrature_error(), 1e-13 / room);
      EXPECT_LE(table.interpolation_error(), 1e-13 / room);
      EXPECT_LE(table.fixed_point_error(), 1e-14);
      EXPECT_LE(table.steps(), 20);
      EXPECT_LE(table.points(), 600);
      for (int draw = 0; draw < 100; ++draw) {
        // Many of them close to 0 and pi.
        double angle = pi * std::pow(uniform(engine), draw % 3 == 0 ? 1.0 : 6.0);
        if (draw % 2 == 0) angle = pi - angle;
        const PairValues truth = pair.at(angle), values = table.at(angle);
        EXPECT_NEAR(kappa(pair, angle, values), kappa(pair, angle, truth), 1e-13 * pair.kappa0());
        EXPECT_NEAR(values.D0, truth.D0, 1e-13);
        EXPECT_NEAR(values.Dh, truth.Dh, 1e-13);
      }
    }
}

TEST(PairLimit, RefusesAGammaWithoutLimit) {
  for (const Injection injection : {Injection::relu, Injection::linear}) {
    for (const double gamma : {std::sqrt(2.0), 2.0, -0.1, 1e300, std::nan("")}) {
      try {
        const PairLimit pair(gamma, injection);
        ADD_FAILURE() << gamma;
      } catch (const Failure& failure) {
        EXPECT_EQ(failure.code(), ExitCode::usage);
        EXPECT_NE(std::string(failure.what()).find("sqrt(2)"), std::string::npos);
      }
    }
    EXPECT_TRUE(std::isfinite(PairLimit(1.4142, injection).kappa0()));
  }
}

}  // namespace
}  // namespace widedeq
