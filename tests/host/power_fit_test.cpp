// Exponents and their intervals: against lines known beforehand, a case worked out by hand, and how
// often the interval holds the truth.
#include "host/study/power_fit.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "kernels/random.hpp"

namespace widedeq {
namespace {

using Points = std::vector<WidthValue>;

TEST(PowerFit, FindsAnExactLaw) {
  Points points;
  for (const double m : {256.0, 512.0, 1024.0, 4096.0})
    for (int seed = 0; seed < 3; ++seed)
      points.push_back({m, 7.0 * std::pow(m, -0.5), seed});
  const auto fit = fit_power(points);
  ASSERT_TRUE(fit.has_value());
  EXPECT_NEAR(fit->exponent, -0.5, 1e-13);
  EXPECT_NEAR(fit->factor, 7.0, 1e-11);
  ASSERT_TRUE(fit->interval.has_value());
  EXPECT_NEAR(fit->interval->low, -0.5, 1e-12);
  EXPECT_NEAR(fit->interval->high, -0.5, 1e-12);
  EXPECT_EQ(fit->cells, 12);
  EXPECT_EQ(fit->widths, 4);
  EXPECT_EQ(fit->seeds, 3);
}

TEST(PowerFit, ACaseByHand) {
  // Two seeds at log m = 0 and 1, with log values 0, 1 and 3, 3: slopes 1 and 0, their mean 1/2,
  // their standard deviation sqrt(1/2), that of the mean 1/2. Student's 97.5 % quantile with one
  // degree of freedom is tan(0.475 pi) = 12.706. The line passes through the mean, 7/4 at 1/2.
  const double e = std::exp(1.0);
  const auto fit =
      fit_power(Points{{1.0, 1.0, 4}, {e, e, 4}, {1.0, e * e * e, 9}, {e, e * e * e, 9}});
  ASSERT_TRUE(fit.has_value());
  EXPECT_NEAR(fit->exponent, 0.5, 1e-13);
  EXPECT_NEAR(fit->factor, std::exp(1.5), 1e-12);
  const double half = 0.5 * std::tan(0.475 * std::numbers::pi);
  ASSERT_TRUE(fit->interval.has_value());
  EXPECT_NEAR(fit->interval->low, 0.5 - half, 1e-9);
  EXPECT_NEAR(fit->interval->high, 0.5 + half, 1e-9);
}

TEST(PowerFit, SeedsOfDifferentWidths) {
  // Of CR2 with whole matrices in NumPy: A_g = (I - X_g (X'X)^-1 X_g')^(-1/2) by scipy's sqrtm.
  const auto fit = fit_power(Points{{128.0, 2.0, 1},
                                    {256.0, 1.5, 1},
                                    {512.0, 0.9, 1},
                                    {1024.0, 0.8, 1},
                                    {128.0, 2.2, 2},
                                    {256.0, 1.2, 2},
                                    {256.0, 1.4, 3},
                                    {512.0, 1.1, 3},
                                    {128.0, 1.9, 4}});
  ASSERT_TRUE(fit.has_value());
  EXPECT_NEAR(fit->exponent, -0.46946534159290776, 1e-12);
  ASSERT_TRUE(fit->interval.has_value());
  EXPECT_NEAR(fit->interval->low, -0.5808525558268811, 1e-9);
  EXPECT_NEAR(fit->interval->high, -0.3580781273589344, 1e-9);
}

TEST(PowerFit, ASeedOfASingleWidthIsNoSecondSlope) {
  // Seed 2 stands at the mean of log m, where it says nothing of the slope: all scatter is seed
  // 1's, and its own scores sum to zero.
  const auto fit =
      fit_power(Points{{256.0, 2.0, 1}, {512.0, 1.0, 1}, {1024.0, 0.7, 1}, {512.0, 1.1, 2}});
  ASSERT_TRUE(fit.has_value());
  EXPECT_EQ(fit->seeds, 2);
  EXPECT_FALSE(fit->interval.has_value());
}

TEST(PowerFit, TheIntervalHoldsTheTruthNineteenTimesInTwenty) {
  // A seed shifts all its widths, tilts them, and each has a scatter of its own.
  constexpr int trials = 2000;
  int inside = 0;
  for (int trial = 0; trial < trials; ++trial) {
    Points points;
    Index draw = 0;
    const auto noise = [&](double size) {
      return size * standard_normal(11, Tensor::probe, draw++, trial);
    };
    for (int seed = 0; seed < 4; ++seed) {
      const double shift = noise(0.5), tilt = noise(0.1);
      for (const double m : {128.0, 256.0, 512.0, 1024.0})
        points.push_back({m, std::exp(shift + (tilt - 0.7) * std::log(m) + noise(0.2)), seed});
    }
    const auto fit = fit_power(points);
    ASSERT_TRUE(fit.has_value());
    inside += fit->interval->low <= -0.7 && -0.7 <= fit->interval->high ? 1 : 0;
  }
  // 1900 expected, standard deviation sqrt(2000 * 0.95 * 0.05) = 9.7; five of them.
  EXPECT_NEAR(inside, 1900, 49);
}

TEST(PowerFit, TheIntervalOfAStudyUnderWayIsNotTooNarrow) {
  // One seed has all widths, three have the two narrowest.
  constexpr int trials = 2000;
  int inside = 0;
  for (int trial = 0; trial < trials; ++trial) {
    Points points;
    Index draw = 0;
    const auto noise = [&] { return 0.3 * standard_normal(12, Tensor::probe, draw++, trial); };
    for (int seed = 0; seed < 4; ++seed) {
      const double shift = noise();
      for (const double m : {128.0, 256.0, 512.0, 1024.0, 2048.0})
        if (seed == 0 || m <= 256.0)
          points.push_back({m, std::exp(shift - 0.5 * std::log(m) + noise()), seed});
    }
    const auto fit = fit_power(points);
    ASSERT_TRUE(fit.has_value());
    inside += fit->interval->low <= -0.5 && -0.5 <= fit->interval->high ? 1 : 0;
  }
  EXPECT_GE(inside, 1900 - 49);
}

TEST(PowerFit, OneSeedHasNoInterval) {
  const auto fit = fit_power(Points{{64.0, 1.0}, {128.0, 0.9}, {256.0, 0.5}});
  ASSERT_TRUE(fit.has_value());
  EXPECT_EQ(fit->seeds, 1);
  EXPECT_FALSE(fit->interval.has_value());
}

TEST(PowerFit, ThereIsNoneForTooLittleOrForWhatHasNoLogarithm) {
  EXPECT_FALSE(fit_power(Points{}).has_value());
  EXPECT_FALSE(fit_power(Points{{64.0, 1.0}, {128.0, 0.5}}).has_value());
  EXPECT_FALSE(fit_power(Points{{64.0, 1.0}, {64.0, 0.5}, {64.0, 0.7}}).has_value());
  EXPECT_FALSE(fit_power(Points{{64.0, 1.0}, {128.0, 0.0}, {256.0, 0.7}}).has_value());
  EXPECT_FALSE(fit_power(Points{{64.0, 1.0}, {128.0, INFINITY}, {256.0, 0.7}}).has_value());
  EXPECT_TRUE(fit_power(Points{{64.0, 1.0}, {64.0, 1.1}, {128.0, 0.5}}).has_value());
}

}  // namespace
}  // namespace widedeq
