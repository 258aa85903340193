// The random numbers: the generator's published answers, both laws' distributions, and that a value
// depends on seed, tensor, row and column alone.
#include "kernels/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tests/support.hpp"

namespace widedeq {
namespace {

using test::backend;
using test::download;

constexpr double two_to_32 = 4294967296.0;

/// Phi(x), the normal distribution function; erfc keeps the relative accuracy of the lower tail.
double normal_cdf(double x) {
  return 0.5 * std::erfc(-x / std::numbers::sqrt2);
}

/// P(k) of the lattice law from its definition: round(32 x) clipped to +-127.
double lattice_probability(int k) {
  const double below = k == -127 ? 0.0 : normal_cdf((k - 0.5) / 32.0);
  const double above = k == 127 ? 1.0 : normal_cdf((k + 0.5) / 32.0);
  return above - below;
}

TEST(Philox, GivesTheKnownAnswersOfItsAuthors) {
  // Random123's kat_vectors: philox 4x32 10, counter 0, key 0.
  const auto words = philox_words(0, Tensor::A, 0, 0);
  EXPECT_EQ(words,
            (std::array<std::uint32_t, 4>{0x6627e8d5U, 0xe169c58dU, 0xbc57ac4cU, 0x9b00dbd8U}));
}

TEST(Philox, EveryPartOfTheCounterMatters) {
  const auto words = philox_words(1, Tensor::A, 2, 3);
  EXPECT_NE(words, philox_words(2, Tensor::A, 2, 3));
  EXPECT_NE(words, philox_words(1 + (std::uint64_t{1} << 32), Tensor::A, 2, 3));
  EXPECT_NE(words, philox_words(1, Tensor::W, 2, 3));
  EXPECT_NE(words, philox_words(1, Tensor::A, 3, 3));
  EXPECT_NE(words, philox_words(1, Tensor::A, 2, 4));
  EXPECT_NE(words, philox_words(1, Tensor::A, 3, 2));
}

TEST(NormalLaw, OneDrawIsTheOneOfItsQuad) {
  for (Index row = 0; row < 23; ++row)
    EXPECT_EQ(standard_normal(7, Tensor::W, row, 5),
              standard_normals(7, Tensor::W, row / 4, 5)[static_cast<std::size_t>(row % 4)]);
}

/// A million draws as a matrix of the backend's would hold them: 1000 x 1000, column-major.
std::vector<double> million_normals(std::uint64_t seed, Tensor tensor) {
  std::vector<double> draws;
  for (Index column = 0; column < 1000; ++column)
    for (Index quad = 0; quad < 250; ++quad)
      for (const double draw : standard_normals(seed, tensor, quad, column))
        draws.push_back(draw);
  return draws;
}

double correlation(const std::vector<double>& x, const std::vector<double>& y, std::size_t lag) {
  double sum = 0.0;
  for (std::size_t i = 0; i + lag < x.size(); ++i)
    sum += x[i] * y[i + lag];
  return sum / static_cast<double>(x.size());
}

TEST(NormalLaw, HasTheMomentsOfAMillionNormals) {
  const std::vector<double> draws = million_normals(11, Tensor::A);
  const auto count = static_cast<double>(draws.size());
  double mean = 0.0, square = 0.0, cube = 0.0, fourth = 0.0, extreme = 0.0;
  for (const double x : draws) {
    ASSERT_TRUE(std::isfinite(x));
    mean += x / count;
    square += x * x / count;
    cube += x * x * x / count;
    fourth += x * x * x * x / count;
    extreme = std::max(extreme, std::abs(x));
  }
  // Five standard errors each: variances of x, x^2, x^3, x^4 are 1, 2, 15 and 96.
  EXPECT_NEAR(mean, 0.0, 5.0 * std::sqrt(1.0 / count));
  EXPECT_NEAR(square, 1.0, 5.0 * std::sqrt(2.0 / count));
  EXPECT_NEAR(cube, 0.0, 5.0 * std::sqrt(15.0 / count));
  EXPECT_NEAR(fourth, 3.0, 5.0 * std::sqrt(96.0 / count));
  // The largest of a million is between 4 and 6.5 but once in 10^4.
  EXPECT_GT(extreme, 4.0);
  EXPECT_LT(extreme, 6.5);
}

TEST(NormalLaw, HasTheNormalDistributionFunction) {
  // Kolmogorov and Smirnov: sqrt(N) sup |F_N - F| exceeds 2.2 once in 10^4.
  std::vector<double> draws = million_normals(12, Tensor::W);
  std::sort(draws.begin(), draws.end());
  const auto count = static_cast<double>(draws.size());
  double distance = 0.0;
  for (std::size_t i = 0; i < draws.size(); ++i) {
    const double F = normal_cdf(draws[i]);
    distance = std::max({distance, std::abs(F - static_cast<double>(i) / count),
                         std::abs(F - static_cast<double>(i + 1) / count)});
  }
  EXPECT_LT(std::sqrt(count) * distance, 2.2);
}

TEST(NormalLaw, NeighboursTensorsAndSeedsAreUncorrelated) {
  const std::vector<double> A = million_normals(13, Tensor::A), W = million_normals(13, Tensor::W),
                            other = million_normals(14, Tensor::A);
  const double bound = 5.0 / std::sqrt(static_cast<double>(A.size()));
  for (const std::size_t lag : {1U, 2U, 3U, 4U, 1000U})  // next rows, next quad, next column
    EXPECT_NEAR(correlation(A, A, lag), 0.0, bound) << "lag " << lag;
  EXPECT_NEAR(correlation(A, W, 0), 0.0, bound);
  EXPECT_NEAR(correlation(A, other, 0), 0.0, bound);
  // Box and Muller's pairs share a radius: squares must be uncorrelated too.
  std::vector<double> squares = A;
  for (double& x : squares)
    x = (x * x - 1.0) / std::numbers::sqrt2;
  for (const std::size_t lag : {1U, 2U, 3U})
    EXPECT_NEAR(correlation(squares, squares, lag), 0.0, bound) << "squares, lag " << lag;
}

TEST(LatticeLaw, LimitsAreTheNormalDistributionsToOneWord) {
  const LatticeLaw law;
  const auto& limits = law.upper_limits();
  for (int k = -127; k < 127; ++k) {
    const double exact = two_to_32 * normal_cdf((k + 0.5) / 32.0);
    EXPECT_NEAR(static_cast<double>(limits[static_cast<std::size_t>(k + 127)]), exact, 1.0)
        << "k = " << k;
  }
}

TEST(LatticeLaw, ProbabilitiesAreThoseOfRoundedNormals) {
  const LatticeLaw law;
  const auto& limits = law.upper_limits();
  double total = 0.0;
  for (int k = -127; k <= 127; ++k) {
    const double below = k == -127 ? 0.0 : limits[static_cast<std::size_t>(k + 126)];
    const double above = k == 127 ? two_to_32 : limits[static_cast<std::size_t>(k + 127)];
    const double probability = (above - below) / two_to_32;
    EXPECT_NEAR(probability, lattice_probability(k), 2.0 / two_to_32) << "k = " << k;
    total += probability;
  }
  EXPECT_DOUBLE_EQ(total, 1.0);
}

TEST(LatticeLaw, StepsExactlyAtItsLimits) {
  const LatticeLaw law;
  EXPECT_EQ(law(0U), -127);
  EXPECT_EQ(law(0xffffffffU), 127);
  for (int k = -127; k < 127; ++k) {
    const std::uint32_t limit = law.upper_limits()[static_cast<std::size_t>(k + 127)];
    EXPECT_EQ(law(limit - 1U), k);
    EXPECT_EQ(law(limit), k + 1);
  }
  // Never falling, over words spread evenly and not at multiples of the look-up's bins.
  int last = -127;
  for (std::uint64_t word = 0; word < (std::uint64_t{1} << 32); word += 65521U) {
    const int k = law(static_cast<std::uint32_t>(word));
    ASSERT_GE(k, last);
    last = k;
  }
}

TEST(LatticeLaw, AMillionDrawsPassTheChiSquareTestAndHaveVarianceOne) {
  const LatticeLaw law;
  std::array<double, 255> seen{};
  double mean = 0.0, square = 0.0;
  constexpr double count = 1e6;
  for (Index column = 0; column < 1000; ++column)
    for (Index quad = 0; quad < 250; ++quad)
      for (const std::uint32_t word : philox_words(21, Tensor::A, quad, column)) {
        const int k = law(word);
        seen[static_cast<std::size_t>(k + 127)] += 1.0;
        mean += k / 32.0 / count;
        square += k / 32.0 * k / 32.0 / count;
      }
  double chi_square = 0.0, freedom = -1.0;
  for (int k = -127; k <= 127; ++k) {
    const double expected = count * lattice_probability(k);
    if (expected < 10.0) continue;
    chi_square += std::pow(seen[static_cast<std::size_t>(k + 127)] - expected, 2) / expected;
    freedom += 1.0;
  }
  EXPECT_GT(freedom, 200.0);
  EXPECT_NEAR(chi_square, freedom, 5.0 * std::sqrt(2.0 * freedom));
  EXPECT_NEAR(mean, 0.0, 5.0 / std::sqrt(count));
  EXPECT_NEAR(square, 1.0, 5.0 * std::sqrt(2.0 / count));
}

TEST(LatticeLaw, VarianceIsOneToFourDigits) {
  double variance = 0.0;
  for (int k = -127; k <= 127; ++k)
    variance += lattice_probability(k) * k / 32.0 * k / 32.0;
  EXPECT_NEAR(variance, 1.0, 1e-4);
}

// ---- the backend's generators

struct Size {
  Index rows, columns;
};
constexpr Size sizes[] = {{1, 1}, {1, 9}, {3, 2}, {4, 4}, {5, 7}, {65, 33}, {127, 1}, {200, 66}};
constexpr std::uint64_t wide_seed = 0x123456789abcdefULL;  // both halves of the key

TEST(Generators, NormalsAreTheLawsEntryByEntry) {
  for (const auto& [rows, columns] : sizes)
    for (const Element element : {Element::float64, Element::float32}) {
      Matrix out = backend().allocate(element, rows, columns);
      backend().generate_gaussian(out, wide_seed, Tensor::W);
      HostMatrix wanted(rows, columns);
      for (Index j = 0; j < columns; ++j)
        for (Index i = 0; i < rows; ++i)
          wanted(i, j) = standard_normal(wide_seed, Tensor::W, i, j);
      const HostMatrix is = download(out), law = test::rounded(element, wanted);
      for (std::size_t i = 0; i < law.values.size(); ++i)
        ASSERT_NEAR(is.values[i], law.values[i], test::normal_rounding(element, law.values[i]))
            << rows << " x " << columns << " " << name_of(element);
    }
}

TEST(Generators, LatticeIntegersAreTheLawsEntryByEntry) {
  const LatticeLaw law;
  for (const auto& [rows, columns] : sizes) {
    Matrix out = backend().allocate(Element::int8, rows, columns);
    backend().generate_lattice(out, wide_seed, Tensor::A);
    const HostMatrix is = download(out);
    for (Index j = 0; j < columns; ++j)
      for (Index i = 0; i < rows; ++i)
        ASSERT_EQ(is(i, j), law(philox_words(wide_seed, Tensor::A, i / 4,
                                             j)[static_cast<std::size_t>(i % 4)]))
            << i << ", " << j << " of " << rows << " x " << columns;
  }
}

TEST(Generators, NarrowMatricesAreTheTopLeftOfWideOnes) {
  Matrix narrow = backend().allocate(Element::float64, 19, 21);
  Matrix wide = backend().allocate(Element::float64, 70, 53);
  backend().generate_gaussian(narrow, 5, Tensor::u);
  backend().generate_gaussian(wide, 5, Tensor::u);
  Matrix narrow_lattice = backend().allocate(Element::int8, 19, 21);
  Matrix wide_lattice = backend().allocate(Element::int8, 70, 53);
  backend().generate_lattice(narrow_lattice, 5, Tensor::A);
  backend().generate_lattice(wide_lattice, 5, Tensor::A);
  const HostMatrix small = download(narrow), large = download(wide),
                   small_lattice = download(narrow_lattice), large_lattice = download(wide_lattice);
  for (Index j = 0; j < 21; ++j)
    for (Index i = 0; i < 19; ++i) {
      ASSERT_EQ(small(i, j), large(i, j));
      ASSERT_EQ(small_lattice(i, j), large_lattice(i, j));
    }
}

TEST(Generators, ValuesDoNotDependOnTheNumberOfThreads) {
  const auto generate = [](int threads) {
    const std::unique_ptr<Backend> on = make_cpu_backend(threads);
    Matrix normals = on->allocate(Element::float32, 131, 67);
    Matrix lattice = on->allocate(Element::int8, 131, 67);
    on->generate_gaussian(normals, 9, Tensor::W);
    on->generate_lattice(lattice, 9, Tensor::A);
    HostMatrix first(131, 67), second(131, 67);
    on->download(normals, first.view());
    on->download(lattice, second.view());
    first.values.insert(first.values.end(), second.values.begin(), second.values.end());
    return first.values;
  };
  EXPECT_EQ(generate(1), generate(2));
}

TEST(Generators, FillABlockOfALargerMatrixAndNothingElse) {
  for (const Element element : {Element::float64, Element::float32}) {
    const test::Framed framed(element, 13, 6);
    backend().generate_gaussian(framed, 3, Tensor::W);
    Matrix plain = backend().allocate(element, 13, 6);
    backend().generate_gaussian(plain, 3, Tensor::W);
    EXPECT_EQ(download(framed.block()).values, download(plain).values);
    EXPECT_TRUE(framed.frame_untouched());
  }
  const test::Framed framed(Element::int8, 13, 6);
  backend().generate_lattice(framed, 3, Tensor::A);
  Matrix plain = backend().allocate(Element::int8, 13, 6);
  backend().generate_lattice(plain, 3, Tensor::A);
  EXPECT_EQ(download(framed.block()).values, download(plain).values);
  EXPECT_TRUE(framed.frame_untouched());
}

}  // namespace
}  // namespace widedeq
