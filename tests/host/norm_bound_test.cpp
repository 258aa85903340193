// Bounds on ||A||_2 against known norms and many draws; the constants of the Gaussian bound against
// the laws' tables; products of the masters and verified Cholesky against extended precision.
#include "host/norm_bound.hpp"

#include <gtest/gtest.h>

#include <numbers>

#include "host/master_product.hpp"
#include "host/operator_norm.hpp"
#include "host/rounding.hpp"
#include "host/verified_cholesky.hpp"
#include "tests/host/extended.hpp"
#include "tests/support.hpp"

namespace widedeq {
namespace {

using extended::Real;
using test::backend;

NormBound bound_of(const WeightOperator& A, const NormBoundOptions& options) {
  std::vector<double> start = test::Random(1).vector(A.width());
  const double estimate = estimate_operator_norm(backend(), A.view(), start, 60);
  return bound_operator_norm(backend(), A.view(), estimate, options);
}

NormBound bound_of(const HostMatrix& A, const NormBoundOptions& options) {
  return bound_of(WeightOperator(backend(), Precision::fp64, A.view()), options);
}

/// c (I - 2 w w'), w of unit length: norm c.
HostMatrix reflection(Index m, double c) {
  HostMatrix A(m, m);
  const HostMatrix w = test::Random(3).sphere(m, 1);
  for (Index j = 0; j < m; ++j)
    for (Index i = 0; i < m; ++i)
      A(i, j) = c * ((i == j ? 1.0 : 0.0) - 2.0 * w(i, 0) * w(j, 0));
  return A;
}

// ---- matrices whose norm is known ---------------------------------------------------------------

TEST(NormBound, OfAScaledReflectionIsItsScale) {
  for (const Index m : {1, 2, 17, 300}) {
    const NormBound bound = bound_of(reflection(m, 7.0), {});
    EXPECT_EQ(bound.probability, 1.0);
    EXPECT_GE(bound.value, 7.0 * (1.0 - 1e-14)) << m;  // the entries are rounded
    EXPECT_LE(bound.value, 7.0 * 1.001) << m;
    if (m > 2) {
      EXPECT_EQ(bound.kind, NormBoundKind::cholesky);
    }
  }
}

TEST(NormBound, OfRankOneIsTheFrobeniusNorm) {
  test::Random random(4);
  const std::vector<double> x = random.vector(70), y = random.vector(70);
  HostMatrix A(70, 70);
  for (Index j = 0; j < 70; ++j)
    for (Index i = 0; i < 70; ++i)
      A(i, j) = oracle::at(x, i) * oracle::at(y, j);
  const double norm = oracle::norm(x) * oracle::norm(y);
  const NormBound bound = bound_of(A, {.cholesky_limit = 0});
  EXPECT_EQ(bound.kind, NormBoundKind::frobenius);
  EXPECT_GE(bound.value, norm * (1.0 - 1e-14));
  EXPECT_LE(bound.value, norm * (1.0 + 1e-11));
}

TEST(NormBound, OfNothingIsNothing) {
  EXPECT_LT(bound_of(HostMatrix(9, 9), {}).value, 1e-100);
}

TEST(NormBound, ByCholeskyIsCloseAndNeverBelow) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    test::Random random(seed);
    const Index m = random.integer(2, 60);
    const WeightOperator A(backend(), Precision::fp64, random.uneven(m).view());
    const Real norm = extended::operator_norm(extended::masters(A.view()));
    const NormBound bound = bound_of(A, {});
    EXPECT_GE(Real(bound.value), norm) << seed;
    EXPECT_LE(Real(bound.value), norm * Real(1.002)) << seed;
  }
}

TEST(NormBound, StandsWithoutAGoodEstimate) {
  const HostMatrix A = reflection(20, 3.0);
  const WeightOperator held(backend(), Precision::fp64, A.view());
  for (const double estimate : {0.0, 1e-3, 2.9, 300.0}) {
    const NormBound bound = bound_operator_norm(backend(), held.view(), estimate, {});
    EXPECT_GE(bound.value, 3.0 * (1.0 - 1e-14)) << estimate;
    EXPECT_LE(bound.value, oracle::norm(A.values) * (1.0 + 1e-11)) << estimate;
  }
}

// ---- the Gaussian bound -------------------------------------------------------------------------

TEST(NormBound, GaussianHoldsForManyDraws) {
  // p = 0.01 and 400 draws: were the bound sharp, four would break it. It is not sharp: the norm's
  // own spread is a tenth of what the inequality allows.
  for (const WeightLaw law : {WeightLaw::lattice, WeightLaw::gaussian}) {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
      const Index m = 8 + static_cast<Index>(seed % 25);
      const WeightOperator A(backend(), Precision::fp64, m, law, seed);
      const double norm = oracle::operator_norm(A.download_columns(0, m));
      EXPECT_LE(norm, drawn_norm_bound(m, 0.01)) << seed;
    }
  }
}

TEST(NormBound, GaussianIsTwoRootMWhenWide) {
  EXPECT_NEAR(drawn_norm_bound(16384, 1e-6), 2.0 * 128.0 + std::sqrt(2.0 * std::log(1e6)), 0.05);
  for (const double p : {0.0, 1.0, -1.0, double{NAN}})
    EXPECT_THROW(drawn_norm_bound(4, p), std::invalid_argument);
}

TEST(NormBound, GaussianFollowsTheWeightsFromTheirDraw) {
  constexpr Index m = 200, n = 4;
  for (const Precision precision : {Precision::fp64, Precision::fp32, Precision::mixed}) {
    if (precision == Precision::mixed && !backend().why_not_mixed().empty()) continue;
    for (const WeightLaw law : {WeightLaw::lattice, WeightLaw::gaussian}) {
      WeightOperator A(backend(), precision, m, law, 6);
      const NormBoundOptions options{.draw = Draw{law, 6}, .cholesky_limit = 0};
      const double before = bound_of(A, options).value;
      EXPECT_EQ(bound_of(A, options).kind, NormBoundKind::gaussian);
      EXPECT_NEAR(before, drawn_norm_bound(m, 1e-6), 2e-5);  // fp32: the draw's own rounding

      test::Random random(7);
      const HostMatrix left = random.matrix(m, n), right = random.matrix(m, n);
      const std::vector<double> r(n, 1.0);
      const double size = std::sqrt(A.add_rank_update(1e-2, test::upload(real_of(precision), left),
                                                      r, test::upload(real_of(precision), right)));
      A.refresh();
      EXPECT_NEAR(bound_of(A, options).value - before, 1e-2 * size, 1e-4 * size);
      // What comes back is as good as never gone: the distance counts, not the way.
      A.add_rank_update(-1e-2, test::upload(real_of(precision), left), r,
                        test::upload(real_of(precision), right));
      A.refresh();
      EXPECT_NEAR(bound_of(A, options).value, before, 1e-4);
      // Another seed's draw is 20 standard deviations away.
      EXPECT_EQ(bound_of(A, {.draw = Draw{law, 5}, .cholesky_limit = 0}).kind,
                NormBoundKind::frobenius);
    }
  }
}

/// The standard normal quantile, by bisection.
Real quantile(Real below) {
  Real low = -10, high = 10;
  for (int step = 0; step < 120; ++step) {
    const Real middle = (low + high) / 2;
    const Real at_middle = std::erfc(-middle / std::numbers::sqrt2_v<Real>) / 2;
    (at_middle < below ? low : high) = middle;
  }
  return (low + high) / 2;
}

TEST(NormBound, LatticeTableIsSymmetricAndItsCellsMeansNearTheirMiddles) {
  constexpr int most = LatticeLaw::largest;
  const LatticeLaw law;
  const auto& upper = law.upper_limits();
  const auto density = [](Real x) {
    return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi_v<Real>);
  };
  Real lowest = 0;       // words up to the cell's lower end, over 2^32
  Real density_low = 0;  // the density there
  Real worst = 0;
  for (int k = -most; k <= most; ++k) {
    const auto i = static_cast<std::size_t>(k + most);
    if (k < most) {
      const auto mirror = static_cast<std::size_t>(-k - 1 + most);
      EXPECT_EQ(upper[i] + std::uint64_t{upper[mirror]}, std::uint64_t{1} << 32) << k;
    }
    const Real highest = k < most ? Real(upper[i]) / Real(0x1p32L) : Real(1);
    const Real density_high = k < most ? density(quantile(highest)) : Real(0);
    // E[G | cell] = (density(low) - density(high)) / P(cell)
    const Real mean = (density_low - density_high) / (highest - lowest);
    if (k != 0) {
      const Real theta = k * Real(LatticeLaw::step) / mean;
      EXPECT_GT(theta, 0) << k;
      worst = std::max(worst, theta);
    }
    lowest = highest;
    density_low = density_high;
  }
  EXPECT_LE(worst, Real(1.000082));
  EXPECT_GE(worst, Real(1.00008));  // 1 + step^2 / 12
}

TEST(NormBound, BoxMullerRadiiHardlyExceedTheirCellsMeans) {
  // Cells of h = 2^-32 below U = 1: R = sqrt(-2 ln U) at U = 1 - (k + t) h, t from 0 to 1, and its
  // mean by Gauss and Legendre's rule; in the last cell, where R is a root, in the root of t.
  const Real h = 0x1p-32L;
  const auto radius = [](Real x) { return std::sqrt(-2 * std::log1p(-x)); };
  const Real nodes[] = {-0.9061798459386639928L, -0.5384693101056830910L, 0, 0.5384693101056830910L,
                        0.9061798459386639928L};
  const Real weights[] = {0.2369268850561890875L, 0.4786286704993664680L, 0.5688888888888888889L,
                          0.4786286704993664680L, 0.2369268850561890875L};
  const auto excess = [&](Real k) {
    const Real middle = radius((k + Real(0.5)) * h);
    Real sum = 0;
    for (int i = 0; i < 5; ++i) {
      const Real t = (1 + nodes[i]) / 2;
      sum += k == 0 ? weights[i] / 2 * 2 * t * (middle - radius(t * t * h))
                    : weights[i] / 2 * (middle - radius((k + t) * h));
    }
    return sum;
  };
  EXPECT_LE(excess(0), Real(8.8e-7));
  EXPECT_GE(excess(0), Real(8.6e-7));
  Real before = excess(0);
  for (Real k = 1; k < 1e9; k = std::floor(k * Real(1.5)) + 1) {
    EXPECT_LE(excess(k), before + Real(1e-18)) << k;
    before = excess(k);
  }
  // Beyond U = exp(-1/2), radii above 1, the function is convex and its middle below its mean.
  for (const Real U : {0.6L, 0.3L, 1e-3L, 1e-9L})
    EXPECT_LE(excess(std::floor((1 - U) / h)), Real(1e-18)) << U;
}

// ---- what they stand on -------------------------------------------------------------------------

TEST(MasterProduct, IsWithinItsBoundsBothWays) {
  constexpr Index m = 300, n = 3;  // two panels
  for (const Precision precision : {Precision::fp64, Precision::fp32, Precision::mixed}) {
    if (precision == Precision::mixed && !backend().why_not_mixed().empty()) continue;
    test::Random random(12);
    WeightOperator A(backend(), precision, m, WeightLaw::gaussian, 2);
    const Element real = real_of(precision);
    A.add_rank_update(0.1, test::upload(real, random.matrix(m, 2)), std::vector<double>{1.0, -2.0},
                      test::upload(real, random.matrix(m, 2)));
    A.refresh();
    EXPECT_EQ(A.view().left.empty(), precision != Precision::mixed);
    const HostMatrix B = random.matrix(m, n);
    for (const Transpose transpose : {Transpose::no, Transpose::yes}) {
      extended::Matrix op = extended::masters(A.view());
      if (transpose == Transpose::yes) op = extended::transpose(op);
      const extended::Matrix truth = extended::multiply(op, extended::Matrix(B));
      const extended::Matrix rows = extended::transpose(op);
      const MasterProduct is = multiply_masters(backend(), A.view(), transpose, B);
      for (Index i = 0; i < m; ++i) {
        const auto row = static_cast<std::size_t>(i);
        EXPECT_GE(Real(is.row_norms[row]), extended::column_norm(rows, i));
        EXPECT_LE(Real(is.row_norms[row]), extended::column_norm(rows, i) * Real(1 + 1e-12));
        EXPECT_LE(is.errors[row], 1e-13 * is.row_norms[row]);
        for (Index j = 0; j < n; ++j)
          EXPECT_LE(std::abs(Real(is.value(i, j)) - truth(i, j)),
                    Real(is.errors[row]) * extended::column_norm(extended::Matrix(B), j));
      }
    }
  }
}

TEST(VerifiedCholesky, BoundsEigenvaluesFromTheRightSide) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    test::Random random(seed);
    const Index n = random.integer(1, 30);
    // Definite, nearly singular and indefinite ones, of many sizes.
    HostMatrix S = oracle::inner_products(random.matrix(random.integer(1, 40), n));
    const double shift = random.uniform(-1.0, 1.0), size = std::pow(10.0, random.uniform(-30, 30));
    for (Index i = 0; i < n; ++i)
      S(i, i) += shift;
    for (Index j = 0; j < n; ++j)
      for (Index i = 0; i < n; ++i)
        S(i, j) = i < j ? size * S(j, i) : size * S(i, j);
    for (Index j = 0; j < n; ++j)
      for (Index i = 0; i < j; ++i)
        S(i, j) = S(j, i);
    const std::vector<Real> truth = extended::eigenvalues(extended::Matrix(S));
    const Real whole = std::max(std::abs(truth.front()), std::abs(truth.back())) * n;

    const auto below = smallest_eigenvalue_below(S);
    ASSERT_TRUE(below) << seed;
    EXPECT_LE(Real(*below), truth.front()) << seed;
    EXPECT_GE(Real(*below), truth.front() - whole * Real(1e-13)) << seed;

    if (truth.back() <= 0) continue;
    const auto above = largest_eigenvalue_above(S, static_cast<double>(truth.back()));
    ASSERT_TRUE(above) << seed;
    EXPECT_GE(Real(*above), truth.back()) << seed;
    EXPECT_LE(Real(*above), truth.back() * Real(1.0011) + whole * Real(1e-13)) << seed;
  }
}

TEST(VerifiedCholesky, HasNothingToSayOfWhatIsNotFinite) {
  HostMatrix S(2, 2);
  S.values = {1.0, NAN, NAN, 1.0};
  EXPECT_FALSE(smallest_eigenvalue_below(S));
  EXPECT_FALSE(largest_eigenvalue_above(S, 1.0));
  EXPECT_FALSE(smallest_eigenvalue_below(HostMatrix(2, 2)));  // zero: below any size let through
  EXPECT_THROW(smallest_eigenvalue_below(HostMatrix(2, 3)), ShapeError);
}

TEST(Rounding, NormsBracketTheTruth) {
  test::Random random(2);
  for (const double size : {1e-160, 1e-100, 1.0, 1e100}) {
    HostMatrix x = random.matrix(1000, 1);
    for (double& entry : x.values)
      entry *= size;
    const Real norm = extended::column_norm(extended::Matrix(x), 0);
    EXPECT_GE(Real(rounding::norm_above(x.values)), norm);
    EXPECT_LE(Real(rounding::norm_below(x.values)), norm);
    if (size < 1e-140) continue;
    EXPECT_LE(Real(rounding::norm_above(x.values)), norm * Real(1 + 1e-12));
    EXPECT_GE(Real(rounding::norm_below(x.values)), norm * Real(1 - 1e-12));
  }
  EXPECT_EQ(rounding::norm_above(std::vector<double>(5)), 0.0);
}

}  // namespace
}  // namespace widedeq
