// What settlings are forecast to add and what columns may lack, against the inequalities that the
// tolerance rests on.
#include "host/plane_share.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace widedeq {
namespace {

class Plane : public Operand {
 public:
  Plane(double size, double change) {
    has_plane = true;
    plane_size = size;
    plane_change = change;
  }
};

Sweep sweep_of(const Plane& plane, double s = 0.01) {
  return {.A = plane,
          .transpose = Transpose::no,
          .s = s,
          .epilogue = Epilogue::relu,
          .gate = {},
          .tolerance = 1e-6};
}

constexpr Index width = 4096;
constexpr double cosine = 4.0 / 64.0;  // 4 / sqrt(width)

TEST(Lacking, ResidualAndLackTogetherAreWithinTheTolerance) {
  for (const double tolerance : {1e-6, 1e-5, 3e-2}) {
    const Lacking lacking(tolerance, width);
    for (const double share : {0.0, 0.01, 0.3, 0.9}) {
      // ||a + b||^2 = ||a||^2 + ||b||^2 + 2 ||a|| ||b|| cos
      const double a = lacking.within(share * tolerance), b = share * tolerance;
      EXPECT_NEAR(std::sqrt(a * a + b * b + 2.0 * a * b * cosine), tolerance, 1e-12 * tolerance);
    }
    EXPECT_EQ(lacking.within(2.0 * tolerance), 0.0);
    // With a few entries the two may point the same way.
    EXPECT_NEAR(Lacking(tolerance, 9).within(0.3 * tolerance), 0.7 * tolerance, 1e-12 * tolerance);
    // Before a settling that adds more than the tolerance it is no use to sweep on.
    EXPECT_EQ(lacking.target(2.0 * tolerance), 2.0 * tolerance);
    EXPECT_EQ(lacking.target(0.1 * tolerance), lacking.within(0.1 * tolerance));
  }
}

TEST(Lacking, NearRoundingThereIsNoMargin) {
  const Lacking lacking(1e-7, width);
  EXPECT_EQ(lacking.within(5e-8), 1e-7);
  EXPECT_EQ(lacking.most(Plane(1.0, 1e-9)), lacking.negligible());
  std::vector<double> residuals{1e-7};
  lacking.add({1e-6}, 1.0, 1e-3, residuals);
  EXPECT_EQ(residuals[0], 1e-7);
}

TEST(Lacking, WhatAChangeOfAMakesOfTheRestIsNegligible) {
  const Lacking lacking(1e-6, width);
  // A settling passes on about gain = c ||E||; the change of A would, of the same rest, c ||dE||.
  for (const double change : {2.0, 1.0, 0.1, 0.02}) {
    const Plane plane(1.0, change);
    EXPECT_NEAR(lacking.most(plane) * change / plane.plane_size, lacking.negligible(), 1e-18);
  }
  // However little A changes, a column keeps most of its tolerance for itself.
  EXPECT_DOUBLE_EQ(lacking.most(Plane(1.0, 1e-9)), 0.3e-6);
  EXPECT_DOUBLE_EQ(lacking.most(Plane(1.0, 0.0)), 0.3e-6);
  EXPECT_GT(lacking.within(lacking.most(Plane(1.0, 0.0))), 0.9e-6);
}

TEST(Lacking, OnlyColumnsThatWaitLackAnything) {
  std::vector<double> residuals{3e-7, 3e-7, 3e-7};
  Lacking(1e-6, width).add({0.0, 4e-4, 5e-4}, 4e-4, 1e-3, residuals);
  EXPECT_DOUBLE_EQ(residuals[0], 3e-7);
  EXPECT_NEAR(residuals[1], 5e-7, 1e-18);  // 3, 4, 5
  EXPECT_DOUBLE_EQ(residuals[2], 3e-7);
  Lacking(1e-6, width).add({}, 0.0, 1.0, residuals);
  EXPECT_DOUBLE_EQ(residuals[0], 3e-7);
}

TEST(PlaneForecast, BeginsWithTheMostThereCanBe) {
  // ||s E dz|| <= s ||E||_F ||dz||
  const Plane plane(3.0, 0.0);
  for (const bool first : {true, false})
    EXPECT_DOUBLE_EQ(PlaneForecast().gain(first, sweep_of(plane, 0.01)), 0.03);
}

TEST(PlaneForecast, FirstAndLaterSettlingsAreJudgedByTheirOwn) {
  const Plane plane(2.0, 0.0), grown(8.0, 0.0);
  PlaneForecast forecast;
  forecast.learn(true, sweep_of(plane), 5e-4, false);
  EXPECT_DOUBLE_EQ(forecast.gain(true, sweep_of(plane)), 5e-4);
  EXPECT_DOUBLE_EQ(forecast.gain(false, sweep_of(plane)), 5e-4);  // better than nothing
  forecast.learn(false, sweep_of(plane), 2e-3, false);
  EXPECT_DOUBLE_EQ(forecast.gain(true, sweep_of(plane)), 5e-4);
  EXPECT_DOUBLE_EQ(forecast.gain(false, sweep_of(plane)), 2e-3);
  // E has become four times as large.
  EXPECT_DOUBLE_EQ(forecast.gain(true, sweep_of(grown)), 2e-3);
}

TEST(PlaneForecast, ThoseThatWaitAreNotJudgedByASmallerGainAtOnce) {
  const Plane plane(1.0, 0.0);
  PlaneForecast forecast;
  forecast.learn(true, sweep_of(plane), 1e-3, false);
  double last = 1e-3;
  for (int settling = 0; settling < 20; ++settling) {
    forecast.learn(true, sweep_of(plane), 1e-4, true);
    const double now = forecast.gain(true, sweep_of(plane));
    EXPECT_GE(now, 0.5 * last);
    EXPECT_LE(now, last);
    last = now;
  }
  EXPECT_DOUBLE_EQ(last, 1e-4);
  forecast.learn(true, sweep_of(plane), 1e-3, true);  // a larger one counts at once
  EXPECT_DOUBLE_EQ(forecast.gain(true, sweep_of(plane)), 1e-3);
  forecast.learn(true, sweep_of(plane), 1e-5, false);  // and so does one of all columns
  EXPECT_DOUBLE_EQ(forecast.gain(true, sweep_of(plane)), 1e-5);
}

TEST(PlaneForecast, NoPlaneTeachesNothing) {
  const Plane none(0.0, 0.0), plane(1.0, 0.0);
  PlaneForecast forecast;
  forecast.learn(true, sweep_of(none), 1.0, false);
  EXPECT_DOUBLE_EQ(forecast.gain(true, sweep_of(plane, 0.01)), 0.01);
}

TEST(DigitLimits, GrowWithEveryDigitAndShrinkWithTheGain) {
  const DigitLimits small = digit_limits(1e-4, 1e-9), large = digit_limits(1e-2, 1e-9);
  for (std::size_t k = 0; k < small.size(); ++k) {
    EXPECT_NEAR(small[k], 100.0 * large[k], 1e-9 * small[k]);
    if (k > 0) {
      EXPECT_LE(small[k - 1], small[k]);
    }
  }
  EXPECT_DOUBLE_EQ(small[0], 1e-5);
  // What is left out of a column at a limit drowns in rounding: e1 d0, and e1 d1.
  EXPECT_NEAR(small[1] * 1e-4 * 4.0 / 256.0, single_rounding, 1e-12);
  EXPECT_NEAR(small[2] * 1e-4 * 4.0 / 256.0 / 30.0, single_rounding, 1e-12);
}

}  // namespace
}  // namespace widedeq
