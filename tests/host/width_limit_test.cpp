// The limit kernels as matrices: closed forms, scaling, order, symmetry, extremes.
#include "host/study/width_limit.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>
#include <vector>

#include "host/failure.hpp"
#include "host/spectrum.hpp"
#include "host/study/pair_limit.hpp"
#include "tests/support.hpp"

namespace widedeq {
namespace {

using std::numbers::pi;
using test::Random;
using test::relative_error;

constexpr double epsilon = std::numeric_limits<double>::epsilon();

/// One line a case of LimitOptions.
std::vector<LimitOptions> all_options() {
  std::vector<LimitOptions> all;
  for (const double gamma : {0.3, 0.5, 0.9})
    for (const Injection injection : {Injection::relu, Injection::linear})
      for (const bool skip : {true, false})
        all.push_back({.gamma = gamma, .injection = injection, .skip = skip});
  return all;
}

std::vector<const HostMatrix*> matrices(const WidthLimit& limit) {
  return {&limit.K, &limit.Q, &limit.H, &limit.G};
}

/// Columns of all sizes: near the sphere, then one tiny, one large.
HostMatrix samples(Index d, Index n) {
  HostMatrix X = Random(11).matrix(d, n);
  for (Index i = 0; i < d; ++i) {
    X(i, 0) *= 1e-5;
    X(i, 1) *= 300.0;
  }
  return X;
}

// Without recurrence H is the kernel of one hidden layer, z = phi(W x)/sqrt(m): with
//   k0 = (pi - angle)/(2 pi),  k1 = |x||x'| (sin(angle) + (pi - angle) cos(angle))/(2 pi)
// relu injection: S o k0 + k1, twice with the skip, where v adds to u; linear: the same hidden
// layer (z = relu(W x)/sqrt(m)), and the skip adds a linear layer of weights W and v: 2 S. The
// angles of random columns are far from 0 and pi, so acos() is good to some roundings.
TEST(WidthLimit, WithoutRecurrenceIsOneHiddenLayer) {
  const HostMatrix X = samples(5, 12);
  for (const double gamma : {0.0, 1e-9})  // gamma^2 below rounding, gamma above
    for (const Injection injection : {Injection::relu, Injection::linear})
      for (const bool skip : {true, false}) {
        const WidthLimit limit =
            width_limit(X, {.gamma = gamma, .injection = injection, .skip = skip});
        HostMatrix K(12, 12), H(12, 12), G(12, 12);
        for (Index j = 0; j < 12; ++j)
          for (Index i = 0; i < 12; ++i) {
            double S = 0.0;
            for (Index k = 0; k < 5; ++k)
              S += X(k, i) * X(k, j);
            const double lengths = oracle::column_norm(X, i) * oracle::column_norm(X, j);
            const double angle = i == j ? 0.0 : std::acos(S / lengths);
            const double k0 = (pi - angle) / (2.0 * pi);
            const double k1 =
                lengths * (std::sin(angle) + (pi - angle) * std::cos(angle)) / (2.0 * pi);
            const double hidden = S * k0 + k1;
            const bool linear = injection == Injection::linear;
            K(i, j) = k1;
            G(i, j) = linear ? S : k1;
            H(i, j) = hidden + (!skip ? 0.0 : linear ? 2.0 * S : hidden);
            const double bound = 1e-13 * lengths + 3.0 * gamma * lengths;
            EXPECT_NEAR(limit.K(i, j), K(i, j), bound);
            EXPECT_NEAR(limit.G(i, j), G(i, j), bound);
            EXPECT_NEAR(limit.H(i, j), H(i, j), bound);
          }
      }
}

// K, Q and H written out for linear injection from the arc-cosine kernels alone, iterated plainly.
TEST(WidthLimit, LinearInjectionInDoubleLoops) {
  constexpr double gamma2 = 0.25;
  const HostMatrix X = samples(4, 9);
  const HostMatrix S = oracle::inner_products(X);
  HostMatrix K(9, 9), Q(9, 9), H(9, 9);
  for (Index j = 0; j < 9; ++j)
    for (Index i = 0; i < 9; ++i) {
      const double lengths = std::sqrt(S(i, i) * S(j, j));
      const double size = lengths * (gamma2 / (2.0 - gamma2) + 1.0);
      double psi = 0.0;
      for (int step = 0; step < 60; ++step) {  // by gamma^2/2 = 1/8 each
        psi = i == j ? 0.0 : std::acos((gamma2 * K(i, j) + S(i, j)) / size);
        K(i, j) = size * (std::sin(psi) + (pi - psi) * std::cos(psi)) / (2.0 * pi);
      }
      const double D0 = (pi - psi) / (2.0 * pi);
      Q(i, j) = D0 / (1.0 - gamma2 * D0);
      H(i, j) = gamma2 * Q(i, j) * K(i, j) + Q(i, j) * S(i, j) + K(i, j);
    }
  const LimitOptions options{.gamma = 0.5, .injection = Injection::linear, .skip = false};
  const WidthLimit limit = width_limit(X, options);
  for (Index j = 0; j < 9; ++j)
    for (Index i = 0; i < 9; ++i) {
      const double lengths = std::sqrt(S(i, i) * S(j, j));
      EXPECT_NEAR(limit.K(i, j), K(i, j), 1e-13 * lengths);
      EXPECT_NEAR(limit.Q(i, j), Q(i, j), 1e-13);
      EXPECT_NEAR(limit.H(i, j), H(i, j), 1e-13 * lengths);
      EXPECT_NEAR(limit.G(i, j), S(i, j), 1e-14 * lengths);
    }
}

// Entries depend on their two samples: equal columns in another order give equal bits.
TEST(WidthLimit, FollowsAPermutationOfSamples) {
  const HostMatrix X = samples(6, 10);
  HostMatrix permuted(6, 10);
  const auto place = [](Index j) { return (7 * j + 3) % 10; };
  for (Index j = 0; j < 10; ++j)
    for (Index i = 0; i < 6; ++i)
      permuted(i, place(j)) = X(i, j);
  for (const LimitOptions& options : all_options()) {
    const WidthLimit a = width_limit(X, options), b = width_limit(permuted, options);
    for (std::size_t k = 0; k < 4; ++k)
      for (Index j = 0; j < 10; ++j)
        for (Index i = 0; i < 10; ++i)
          EXPECT_EQ((*matrices(a)[k])(i, j), (*matrices(b)[k])(place(i), place(j)));
  }
}

// The network is homogeneous of degree one in each input: K, H and G scale with both, Q not at all.
// Powers of two cost no rounding, and 2^-400 squared is as far down as a product of lengths goes.
TEST(WidthLimit, ScalesWithEachSample) {
  const HostMatrix X = Random(5).matrix(3, 6);
  const std::vector<double> scale = {1.0, 0x1p-400, 0x1p+300, 0x1p-3, 0x1p+100, 1.0};
  HostMatrix scaled = X;
  for (Index j = 0; j < 6; ++j)
    for (Index i = 0; i < 3; ++i)
      scaled(i, j) *= scale[static_cast<std::size_t>(j)];
  for (const LimitOptions& options : all_options()) {
    const WidthLimit a = width_limit(X, options), b = width_limit(scaled, options);
    for (Index j = 0; j < 6; ++j)
      for (Index i = 0; i < 6; ++i) {
        const double c = scale[static_cast<std::size_t>(i)] * scale[static_cast<std::size_t>(j)];
        EXPECT_EQ(b.K(i, j), c * a.K(i, j));
        EXPECT_EQ(b.H(i, j), c * a.H(i, j));
        EXPECT_EQ(b.G(i, j), c * a.G(i, j));
        EXPECT_EQ(b.Q(i, j), a.Q(i, j));
      }
  }
}

// Symmetric to the bit; eigenvalues of a matrix with entries wrong by some roundings are wrong by n
// times that. Duplicates, opposites and near neighbours make all four singular or nearly so.
TEST(WidthLimit, IsSymmetricAndPositiveSemiDefinite) {
  HostMatrix X = Random(8).matrix(4, 40);
  for (Index i = 0; i < 4; ++i) {
    X(i, 1) = X(i, 0);
    X(i, 3) = -2.0 * X(i, 2);
    X(i, 5) = X(i, 4) + (i == 0 ? 1e-9 : 0.0);
    X(i, 7) = -X(i, 6) + (i == 0 ? 1e-5 : 0.0);
  }
  for (const LimitOptions& options : all_options()) {
    const WidthLimit limit = width_limit(X, options);
    for (const HostMatrix* matrix : matrices(limit)) {
      EXPECT_EQ(matrix->values, oracle::transpose(*matrix).values);
      const std::vector<double> eigenvalues = symmetric_eigenvalues(*matrix);
      EXPECT_GE(eigenvalues.front(), -40.0 * 10.0 * epsilon * eigenvalues.back());
    }
    // A sample and its double differ by nothing.
    EXPECT_NEAR(limit.H(0, 1), limit.H(0, 0), 1e-14 * limit.H(0, 0));
    EXPECT_NEAR(limit.Q(0, 1), limit.Q(0, 0), 1e-14);
  }
}

// Distinct directions on the sphere: H is definite, with a least eigenvalue far above rounding.
TEST(WidthLimit, IsPositiveDefiniteForDistinctSamples) {
  const HostMatrix X = Random(9).sphere(8, 60);
  for (const LimitOptions& options : all_options())
    EXPECT_GT(symmetric_eigenvalues(width_limit(X, options).H).front(), 1e-3);
}

// With one input all angles are 0 or pi, exactly, and signs decide: all pairs of a sign have the
// same entry but for the lengths.
TEST(WidthLimit, OfOneInput) {
  HostMatrix X(1, 4);
  X.values = {1.0, -3.0, 0.1, -7.0};
  for (const LimitOptions& options : all_options()) {
    const PairLimit pair(options.gamma, options.injection);
    const WidthLimit limit = width_limit(X, options);
    for (Index j = 0; j < 4; ++j)
      for (Index i = 0; i < 4; ++i) {
        const double lengths = std::abs(X(0, i) * X(0, j));
        const bool opposite = X(0, i) * X(0, j) < 0.0;
        const double kappa = pair.kappa0() - (opposite ? 2.0 * pair.at(pi).y : 0.0);
        const double D0 = pair.at(opposite ? pi : 0.0).D0;
        EXPECT_NEAR(limit.K(i, j), lengths * kappa, 1e-14 * lengths);
        EXPECT_NEAR(limit.Q(i, j), D0 / (1.0 - options.gamma * options.gamma * D0), 1e-13);
      }
  }
}

TEST(WidthLimit, DoesNotDependOnThreads) {
  const HostMatrix X = samples(20, 70);
  const WidthLimit one = width_limit(X, {.threads = 1}), four = width_limit(X, {.threads = 4});
  for (std::size_t k = 0; k < 4; ++k)
    EXPECT_EQ(matrices(one)[k]->values, matrices(four)[k]->values);
}

TEST(WidthLimit, RefusesWhatHasNoLimit) {
  HostMatrix X = Random(1).matrix(3, 4);
  EXPECT_THROW(width_limit(X, {.gamma = 1.5}), Failure);
  X(1, 2) = NAN;
  EXPECT_THROW(width_limit(X, {}), std::domain_error);
  X(1, 2) = INFINITY;
  EXPECT_THROW(width_limit(X, {}), std::domain_error);
  for (Index i = 0; i < 3; ++i)
    X(i, 2) = 0.0;
  EXPECT_THROW(width_limit(X, {}), std::domain_error);
}

}  // namespace
}  // namespace widedeq
