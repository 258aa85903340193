// Exponents and their intervals: against lines known beforehand, a case worked out by hand, and how
// often the interval holds the truth.
#include "host/study/power_fit.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/random.hpp"

namespace widedeq {
namespace {

using Points = std::vector<WidthValue>;

TEST(PowerFit, FindsAnExactLawWithoutAnInterval) {
  Points points;
  for (const double m : {256.0, 512.0, 1024.0, 4096.0})
    for (int seed = 0; seed < 3; ++seed)
      points.push_back({m, 7.0 * std::pow(m, -0.5)});
  const auto fit = fit_power(points);
  ASSERT_TRUE(fit.has_value());
  EXPECT_NEAR(fit->exponent, -0.5, 1e-13);
  EXPECT_NEAR(fit->factor, 7.0, 1e-11);
  EXPECT_NEAR(fit->low, -0.5, 1e-6);
  EXPECT_NEAR(fit->high, -0.5, 1e-6);
  EXPECT_EQ(fit->cells, 12);
  EXPECT_EQ(fit->widths, 4);
}

TEST(PowerFit, ACaseByHand) {
  // log m = 0, 1, 2, log value = 0, 1, 0: slope 0, mean 1/3, residuals -1/3, 2/3, -1/3, their
  // squares' sum 2/3 at one degree of freedom, sum of (x - 1)^2 = 2; Student's 97.5 % quantile with
  // one degree is tan(0.475 pi) = 12.7062: half the interval is 12.7062 sqrt(2/3/2) = 7.3359.
  const double e = std::exp(1.0);
  const auto fit = fit_power(Points{{1.0, 1.0}, {e, e}, {e * e, 1.0}});
  ASSERT_TRUE(fit.has_value());
  EXPECT_NEAR(fit->exponent, 0.0, 1e-14);
  EXPECT_NEAR(fit->factor, std::exp(1.0 / 3.0), 1e-13);
  const double half = std::tan(0.475 * 3.14159265358979323846) * std::sqrt(1.0 / 3.0);
  EXPECT_NEAR(fit->high, half, 1e-9);
  EXPECT_NEAR(fit->low, -half, 1e-9);
}

TEST(PowerFit, TheIntervalHoldsTheTruthNineteenTimesInTwenty) {
  constexpr int trials = 2000;
  int inside = 0;
  for (int trial = 0; trial < trials; ++trial) {
    Points points;
    Index draw = 0;
    for (const double m : {128.0, 256.0, 512.0, 1024.0})
      for (int seed = 0; seed < 3; ++seed)
        points.push_back(
            {m, 2.0 * std::pow(m, -0.7) *
                    std::exp(0.2 * standard_normal(11, Tensor::probe, draw++, trial))});
    const auto fit = fit_power(points);
    ASSERT_TRUE(fit.has_value());
    inside += fit->low <= -0.7 && -0.7 <= fit->high ? 1 : 0;
  }
  // 1900 expected, standard deviation sqrt(2000 * 0.95 * 0.05) = 9.7; five of them.
  EXPECT_NEAR(inside, 1900, 49);
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
