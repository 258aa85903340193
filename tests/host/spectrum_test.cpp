// Eigenvalues of symmetric matrices against closed forms and against the oracle's Jacobi rotations.
#include "host/spectrum.hpp"

#include <gtest/gtest.h>

#include <numbers>

#include "tests/support.hpp"

namespace widedeq {
namespace {

using test::Random;
using test::relative_error;

HostMatrix laplacian(Index n) {
  HostMatrix M(n, n);
  for (Index i = 0; i < n; ++i) {
    M(i, i) = 2.0;
    if (i > 0) M(i, i - 1) = M(i - 1, i) = -1.0;
  }
  return M;
}

TEST(Spectrum, OfOneNumberIsThatNumber) {
  HostMatrix M(1, 1);
  M(0, 0) = -3.5;
  EXPECT_EQ(symmetric_eigenvalues(M), std::vector<double>{-3.5});
}

TEST(Spectrum, OfTheDiscreteLaplacianIsItsClosedForm) {
  for (const Index n : {2, 3, 64, 201}) {
    const std::vector<double> eigenvalues = symmetric_eigenvalues(laplacian(n));
    ASSERT_EQ(eigenvalues.size(), static_cast<std::size_t>(n));
    for (Index k = 1; k <= n; ++k)
      EXPECT_NEAR(eigenvalues[static_cast<std::size_t>(k - 1)],
                  2.0 - 2.0 * std::cos(static_cast<double>(k) * std::numbers::pi /
                                       static_cast<double>(n + 1)),
                  1e-13);
  }
}

TEST(Spectrum, AgreesWithJacobiRotations) {
  for (const Index n : {2, 5, 17, 65, 100}) {
    HostMatrix M = Random(static_cast<std::uint64_t>(n)).matrix(n, n);
    for (Index j = 0; j < n; ++j)
      for (Index i = 0; i < j; ++i)
        M(i, j) = M(j, i);
    EXPECT_LT(relative_error(symmetric_eigenvalues(M), oracle::eigenvalues(M)), 1e-13);
  }
}

TEST(Spectrum, IsAscendingAndSumsToTheTrace) {
  const HostMatrix gram = oracle::inner_products(Random(2).matrix(20, 60));  // rank 20 of 60
  const std::vector<double> eigenvalues = symmetric_eigenvalues(gram);
  EXPECT_TRUE(std::is_sorted(eigenvalues.begin(), eigenvalues.end()));
  double sum = 0.0;
  for (const double value : eigenvalues)
    sum += value;
  EXPECT_NEAR(sum, trace(gram), 1e-12 * sum);
  EXPECT_NEAR(eigenvalues[39], 0.0, 1e-13 * eigenvalues.back());
  EXPECT_GT(eigenvalues[40], 1e-3 * eigenvalues.back());
}

TEST(Spectrum, SmallEigenvaluesAreRightToRoundingOfTheLargest) {
  HostMatrix M(3, 3);
  M(0, 0) = 1e-8;
  M(1, 1) = 1.0;
  M(2, 2) = 1e6;
  const std::vector<double> eigenvalues = symmetric_eigenvalues(M);
  EXPECT_NEAR(eigenvalues[0], 1e-8, 1e-9);
  EXPECT_NEAR(eigenvalues[2], 1e6, 1e-9);
}

TEST(Spectrum, RefusesWhatIsNotFinite) {
  for (const double bad : {double{NAN}, double{INFINITY}}) {
    HostMatrix M = laplacian(4);
    M(2, 1) = M(1, 2) = bad;
    EXPECT_THROW(symmetric_eigenvalues(M), std::domain_error);
    EXPECT_THROW(largest_eigenpair(M), std::domain_error);
  }
}

TEST(Spectrum, LargestPairIsAnEigenpair) {
  for (const Index n : {1, 2, 9, 40}) {
    const HostMatrix M = n == 1 ? laplacian(1) : oracle::inner_products(Random(3).matrix(n + 1, n));
    const Eigenpair pair = largest_eigenpair(M);
    EXPECT_NEAR(pair.value, oracle::eigenvalues(M).back(), 1e-12 * pair.value);
    ASSERT_EQ(pair.vector.size(), static_cast<std::size_t>(n));
    EXPECT_NEAR(oracle::norm(pair.vector), 1.0, 1e-13);
    std::vector<double> scaled = pair.vector;
    for (double& entry : scaled)
      entry *= pair.value;
    EXPECT_LT(relative_error(oracle::weighted_sum(M, pair.vector), scaled), 1e-12);
  }
}

TEST(Spectrum, TraceIsTheSumOfTheDiagonal) {
  HostMatrix M(2, 2);
  M.values = {1.0, 100.0, 200.0, -4.0};
  EXPECT_EQ(trace(M), -3.0);
}

TEST(Spectrum, RelativeDistanceIsInTheFrobeniusNorm) {
  HostMatrix a(2, 1), b(2, 1);
  a.values = {3.0, 1.0};
  b.values = {0.0, 5.0};
  EXPECT_DOUBLE_EQ(relative_distance(a, b), 1.0);  // |(3, -4)| / |(0, 5)|
  EXPECT_EQ(relative_distance(b, b), 0.0);
  EXPECT_EQ(relative_distance(HostMatrix(2, 2), HostMatrix(2, 2)), 0.0);
  EXPECT_THROW(relative_distance(HostMatrix(2, 2), HostMatrix(2, 3)), ShapeError);
}

}  // namespace
}  // namespace widedeq
