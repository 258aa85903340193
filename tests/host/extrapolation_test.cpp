// Drives extrapolated: the least squares' own conditions, and what none is made of.
#include "host/extrapolation.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support.hpp"

namespace widedeq {
namespace {

constexpr double noise = 1e-3;

std::vector<double> random_drive(test::Random& random, int n) {
  std::vector<double> drive;
  for (int j = 0; j < n; ++j)
    drive.push_back(random.normal());
  return drive;
}

std::vector<double> sum(double a, const std::vector<double>& x, double b,
                        const std::vector<double>& y) {
  std::vector<double> z(x.size());
  for (std::size_t j = 0; j < x.size(); ++j)
    z[j] = a * x[j] + b * y[j];
  return z;
}

/// ||d_0 - a d_1 - b d_2||^2 + noise^2 ||d_0||^2 (a^2 + b^2)
double objective(const Drives& d, double a, double b) {
  double missed = 0.0, size = 0.0;
  for (std::size_t j = 0; j < d[0].size(); ++j) {
    const double rest = d[0][j] - a * d[1][j] - b * d[2][j];
    missed += rest * rest;
    size += d[0][j] * d[0][j];
  }
  return missed + noise * noise * size * (a * a + b * b);
}

TEST(Extrapolation, FindsTheCombinationThereIs) {
  test::Random random(1);
  for (const int n : {2, 3, 50}) {
    const auto x = random_drive(random, n), y = random_drive(random, n);
    const Extrapolation by = extrapolate(Drives{sum(1.8, x, -0.9, y), x, y});
    EXPECT_NEAR(by.newer, 1.8, 1e-4) << n;
    EXPECT_NEAR(by.older, -0.9, 1e-4) << n;
    EXPECT_NEAR(extrapolate(Drives{sum(0.7, x, 0.0, y), x}).alone, 0.7, 1e-5) << n;
  }
}

TEST(Extrapolation, IsALeastSquares) {
  test::Random random(2);
  const int n = 40;
  for (int k = 0; k < 20; ++k) {
    // Drives of gradient descent: nearly the same.
    const auto x = random_drive(random, n), y = random_drive(random, n),
               z = random_drive(random, n);
    const auto d1 = sum(1.0, x, 0.05, y);
    const Drives drives{sum(0.95, d1, 0.01, z), d1, sum(1.1, d1, 0.03, y)};
    const Extrapolation by = extrapolate(drives);
    ASSERT_FALSE(by.is_none());
    const double least = objective(drives, by.newer, by.older);
    EXPECT_LE(objective(drives, by.alone, 0.0) * (1.0 - 1e-9),
              objective(drives, by.alone + 1e-3, 0.0));
    EXPECT_LE(objective(drives, by.alone, 0.0) * (1.0 - 1e-9),
              objective(drives, by.alone - 1e-3, 0.0));
    EXPECT_LE(least, objective(drives, by.alone, 0.0));
    for (const double a : {-1e-2, 0.0, 1e-2})
      for (const double b : {-1e-2, 0.0, 1e-2})
        EXPECT_LE(least * (1.0 - 1e-9), objective(drives, by.newer + a, by.older + b));
  }
}

TEST(Extrapolation, DoesNotDependOnUnits) {
  test::Random random(3);
  const auto x = random_drive(random, 20), y = random_drive(random, 20);
  const Drives drives{sum(1.5, x, -0.6, y), x, y};
  const Extrapolation by = extrapolate(drives);
  for (const double unit : {0x1p-100, 0x1p100}) {
    Drives scaled = drives;
    for (auto& drive : scaled)
      for (double& entry : drive)
        entry *= unit;
    const Extrapolation same = extrapolate(scaled);
    EXPECT_EQ(same.alone, by.alone);
    EXPECT_EQ(same.newer, by.newer);
    EXPECT_EQ(same.older, by.older);
  }
}

TEST(Extrapolation, OneThatMissesMuchIsNone) {
  test::Random random(4);
  const auto x = random_drive(random, 60), y = random_drive(random, 60),
             z = random_drive(random, 60);
  EXPECT_TRUE(extrapolate(Drives{x, y, z}).is_none());
  EXPECT_TRUE(extrapolate(Drives{}).is_none());
  EXPECT_TRUE(extrapolate(Drives{x}).is_none());
  EXPECT_EQ(extrapolate(Drives{x, x}).newer, extrapolate(Drives{x, x}).alone);
  const std::vector<double> zero(60, 0.0);
  EXPECT_TRUE(extrapolate(Drives{zero, x, y}).is_none());
  EXPECT_TRUE(extrapolate(Drives{zero, zero, zero}).is_none());
  EXPECT_TRUE(extrapolate(Drives{x, zero, zero}).is_none());
  for (const double bad : {std::nan(""), HUGE_VAL}) {
    for (std::size_t k = 0; k < 3; ++k) {
      Drives drives{sum(0.9, x, 0.01, y), x, sum(1.1, x, 0.02, y)};
      drives[k][7] = bad;
      const Extrapolation by = extrapolate(drives);
      EXPECT_EQ(by.newer, by.alone) << bad << " " << k;
      EXPECT_EQ(by.older, 0.0) << bad << " " << k;
      EXPECT_EQ(by.alone != 0.0, k == 2) << bad << " " << k;
    }
  }
}

}  // namespace
}  // namespace widedeq
