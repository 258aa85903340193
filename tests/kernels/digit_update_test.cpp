// Rank updates in digits against sums in double, with every kernel this processor runs: the errors
// that the expansion leaves, entry by entry, and everything that is not a number.
#include "kernels/cpu/digit_update.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/cpu/workspace.hpp"
#include "kernels/digit_update.hpp"

namespace widedeq::cpu {
namespace {

TEST(Digits, AddUpToTheNumber) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<float> any(-127.0F, 127.0F);
  std::vector<float> numbers = {0.0F, 1.0F,  -127.0F, 127.0F, 126.99999F,
                                0.5F, -0.5F, 1.4999F, 1e-30F};
  // Halves, and rests that are nearly half a unit of the digit before.
  for (const float whole : {-3.0F, 0.0F, 64.0F})
    for (const float rest : {0.498F, 0.4981F, 0.49999F, 0.5F, 0.502F, -0.5F, -0.499F})
      numbers.push_back(whole + rest);
  for (int k = 0; k < 10000; ++k)
    numbers.push_back(any(random));
  for (const float x : numbers) {
    const int d0 = digit_of(x, 0), d1 = digit_of(x, 1), d2 = digit_of(x, 2);
    EXPECT_LE(std::abs(d0), 127) << x;
    EXPECT_TRUE(-128 <= d1 && d1 <= 127 && -128 <= d2 && d2 <= 127) << x;
    EXPECT_NEAR(x, d0, 0.5 + 1.0 / 256.0);
    EXPECT_NEAR(x, d0 + d1 / 256.0 + d2 / 65536.0, std::ldexp(1.0, -17)) << x;
    if (x == std::rint(x)) {
      EXPECT_EQ(static_cast<float>(d0), x);
    }
  }
}

TEST(Digits, OfWhatIsNoNumberAreZero) {
  for (const float x : {std::numeric_limits<float>::quiet_NaN(),
                        std::numeric_limits<float>::infinity(), -1e30F, 129.0F})
    for (int position = 0; position < most_digits; ++position)
      EXPECT_EQ(digit_of(x, position), 0) << x;
}

/// A factor of an update, and an update.
struct Factor {
  Index rows, columns;
  std::vector<float> entries;

  Factor(Index rows, Index columns) : rows(rows), columns(columns) {
    entries.resize(static_cast<std::size_t>(rows * columns));
  }
  float& operator()(Index i, Index k) { return entries[static_cast<std::size_t>(i + k * rows)]; }
  float operator()(Index i, Index k) const {
    return entries[static_cast<std::size_t>(i + k * rows)];
  }
  MatrixView<float> view() { return {entries.data(), rows, columns}; }
  MatrixView<const float> view() const { return {entries.data(), rows, columns}; }
};

/// Normal entries, rows of very different sizes.
Factor random_factor(Index rows, Index columns, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  Factor factor(rows, columns);
  for (Index k = 0; k < columns; ++k)
    for (Index i = 0; i < rows; ++i)
      factor(i, k) = std::ldexp(normal(random), static_cast<int>(i % 7) * 5 - 15);
  return factor;
}

std::vector<double> random_weights(Index n, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  std::vector<double> r(static_cast<std::size_t>(n));
  for (double& entry : r)
    entry = normal(random);
  return r;
}

double update(Factor& C, double alpha, const Factor& left, const std::vector<double>& r,
              const Factor& right, const StripKernel& kernel) {
  const std::size_t bytes = digit_update_bytes(left.rows, right.rows, left.columns);
  Workspace workspace;
  auto* buffer = workspace.get<std::byte>(bytes);
  std::fill_n(buffer, bytes, std::byte{0x7f});  // what it held before does not matter
  return rank_update_in_digits(C.view(), alpha, left.view(), r, right.view(), kernel, buffer);
}

/// The unit that a row's digits may have at most: 127 of the next smaller one do not hold it.
double unit_above(double largest) {
  return 2.0 * largest / 127.0;
}

constexpr struct {
  Index a, b, n;
} shapes[] = {{64, 64, 64}, {1, 1, 1}, {3, 5, 2}, {65, 70, 67}, {130, 33, 129}, {20, 200, 7}};

/// What one entry of G is, and what an update may be off by there.
struct Entry {
  double G = 0.0;
  double size = 0.0;      // the sum of its terms' magnitudes
  double units = 0.0;     // u v
  double left_out = 0.0;  // by the digits

  Entry(const Factor& left, const std::vector<double>& r, const Factor& right, Index i, Index j) {
    double u = 0.0, v = 0.0;
    for (Index k = 0; k < left.columns; ++k) {
      // What is taken apart is left times r in single precision.
      const auto scaled =
          static_cast<double>(left(i, k) * static_cast<float>(r[static_cast<std::size_t>(k)]));
      const auto other = static_cast<double>(right(j, k));
      G += scaled * other;
      size += std::abs(scaled * other);
      u = std::max(u, unit_above(std::abs(scaled)));
      v = std::max(v, unit_above(std::abs(other)));
    }
    units = u * v;
    // Of a term: two rests of 2^-17 beside 127 units, e1 d2 and e2 d1, of at most 1/2 and 1/512
    // each, and e2 d2, of at most 1/512 each.
    left_out = static_cast<double>(left.columns) * units *
               (2.0 * 127.0 / 131072.0 + 2.0 / 1024.0 + 1.0 / 262144.0);
  }
};

TEST(DigitUpdate, ErrsByNoMoreThanTheDigitsLeaveOut) {
  for (const StripKernel& kernel : strip_kernels())
    for (const auto& [a, b, n] : shapes) {
      const Factor left = random_factor(a, n, 1), right = random_factor(b, n, 2);
      const std::vector<double> r = random_weights(n, 3);
      const double alpha = -0.25;
      Factor C = random_factor(a, b, 4);
      const Factor before = C;
      const double said = update(C, alpha, left, r, right, kernel);

      double squares = 0.0, squares_off = 0.0;
      for (Index i = 0; i < a; ++i)
        for (Index j = 0; j < b; ++j) {
          const Entry entry(left, r, right, i, j);
          const auto start = static_cast<double>(before(i, j));
          const double roundings = std::ldexp(6.0, -24);  // of the sums, to single precision
          ASSERT_NEAR(static_cast<double>(C(i, j)), start + alpha * entry.G,
                      std::abs(alpha) * entry.left_out + roundings * (entry.size + std::abs(start)))
              << kernel.name << ", " << a << " x " << b << ", n = " << n << ": " << i << ", " << j;
          squares += entry.G * entry.G;
          squares_off += std::pow(entry.left_out + roundings * entry.size, 2);
        }
      EXPECT_NEAR(said, squares, 2.0 * std::sqrt(squares * squares_off) + squares_off);
    }
}

TEST(DigitUpdate, ErrorsOfTermsAddUpLikeRandomOnes) {
  // What is left out of a term is two rests, 4.4e-6 in the root mean square, beside some 30 units,
  // 1.9e-4 u v, and two products of a second and a third digit, sqrt(2) (256^2 / 12) / 256^3 =
  // 4.6e-4 u v: a tenth of the bound, and the terms of a sum are independent.
  const Index a = 128, b = 130, n = 500;
  const Factor left = random_factor(a, n, 1), right = random_factor(b, n, 2);
  const std::vector<double> ones(static_cast<std::size_t>(n), 1.0);
  for (const StripKernel& kernel : strip_kernels()) {
    Factor C(a, b);
    update(C, 1.0, left, ones, right, kernel);
    double squares = 0.0, relative = 0.0;
    for (Index i = 0; i < a; ++i)
      for (Index j = 0; j < b; ++j) {
        const Entry entry(left, ones, right, i, j);
        const double off = static_cast<double>(C(i, j)) - entry.G;
        squares += std::pow(off / entry.units, 2);
        relative += std::pow(off / entry.size, 2);
      }
    const auto entries = static_cast<double>(a * b);
    EXPECT_LT(std::sqrt(squares / entries / static_cast<double>(n)), 6e-4) << kernel.name;
    EXPECT_LT(std::sqrt(relative / entries), 8e-8) << kernel.name;
  }
}

TEST(DigitUpdate, OfWholeNumbersIsExact) {
  // Up to 127 in a row: units are 1, digits the numbers themselves, sums and squares whole.
  const Index a = 70, b = 66, n = 90;
  Factor left(a, n), right(b, n);
  std::mt19937_64 random(5);
  std::uniform_int_distribution<int> whole(-127, 127);
  for (Factor* factor : {&left, &right})
    for (float& entry : factor->entries)
      entry = static_cast<float>(whole(random));
  const std::vector<double> ones(static_cast<std::size_t>(n), 1.0);
  for (const StripKernel& kernel : strip_kernels()) {
    Factor C(a, b);
    const double said = update(C, 1.0, left, ones, right, kernel);
    double squares = 0.0;
    for (Index i = 0; i < a; ++i)
      for (Index j = 0; j < b; ++j) {
        double G = 0.0;
        for (Index k = 0; k < n; ++k)
          G += static_cast<double>(left(i, k) * right(j, k));
        ASSERT_EQ(static_cast<double>(C(i, j)), G) << kernel.name;
        squares += G * G;
      }
    EXPECT_EQ(said, squares) << kernel.name;
  }
}

TEST(DigitUpdate, ARowThatIsNotFiniteIsNotANumber) {
  const Index a = 66, b = 70, n = 64;
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()})
    for (const StripKernel& kernel : strip_kernels()) {
      Factor left = random_factor(a, n, 6), right = random_factor(b, n, 7);
      left(65, 3) = bad;
      right(2, 63) = bad;
      Factor C(a, b);
      EXPECT_TRUE(std::isnan(update(C, 1.0, left, random_weights(n, 8), right, kernel)));
      for (Index i = 0; i < a; ++i)
        for (Index j = 0; j < b; ++j)
          ASSERT_EQ(std::isnan(C(i, j)), i == 65 || j == 2) << kernel.name << ' ' << i << ' ' << j;
    }
}

TEST(DigitUpdate, RowsOfZerosAndOfTheSmallestNumbers) {
  const Index a = 64, b = 64, n = 64;
  Factor left = random_factor(a, n, 9), right = random_factor(b, n, 10);
  for (Index k = 0; k < n; ++k) {
    left(0, k) = 0.0F;
    left(1, k) = std::numeric_limits<float>::denorm_min();
    right(5, k) = std::numeric_limits<float>::min();
  }
  for (const StripKernel& kernel : strip_kernels()) {
    Factor C(a, b);
    EXPECT_TRUE(std::isfinite(update(C, 1.0, left, random_weights(n, 11), right, kernel)));
    for (Index j = 0; j < b; ++j) {
      ASSERT_EQ(C(0, j), 0.0F);
      ASSERT_NEAR(C(1, j), 0.0F, 1e-30F);
      ASSERT_NEAR(C(j, 5), 0.0F, 1e-30F);
    }
  }
}

TEST(DigitUpdate, OrdersHoldEveryPairThatMatters) {
  int pairs = 0;
  for (int order = 0; order < update_orders; ++order) {
    const DigitOrder what = digit_order(order);
    for (int p = 0; p < what.pairs; ++p) {
      const int q = update_digits - 1 - (what.first_place + p);
      EXPECT_EQ(p + q, order);
      EXPECT_TRUE(p < update_digits && 0 <= q);
    }
    pairs += what.pairs;
  }
  EXPECT_EQ(pairs, update_products);
}

TEST(DigitUpdate, ShapesThatSuitIt) {
  EXPECT_TRUE(suits_digits(64, 64, 64));
  EXPECT_FALSE(suits_digits(63, 64, 64));
  EXPECT_FALSE(suits_digits(64, 1, 64));
  EXPECT_FALSE(suits_digits(64, 64, 16));
  // Three digits' products of -128 and -128 add up to 2^31 - 1 at most.
  EXPECT_TRUE(suits_digits(64, 64, 43690));
  EXPECT_FALSE(suits_digits(64, 64, 43691));
}

}  // namespace
}  // namespace widedeq::cpu
