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

TEST(UnsettledShare, ResidualAndLackTogetherAreWithinTheTolerance) {
  for (const double tolerance : {1e-6, 1e-5, 3e-2}) {
    const UnsettledShare lacking(tolerance, width);
    for (const double share : {0.0, 0.01, 0.3, 0.9}) {
      // ||a + b||^2 = ||a||^2 + ||b||^2 + 2 ||a|| ||b|| cos
      const double a = lacking.within(share * tolerance), b = share * tolerance;
      EXPECT_NEAR(std::sqrt(a * a + b * b + 2.0 * a * b * cosine), tolerance, 1e-12 * tolerance);
    }
    EXPECT_EQ(lacking.within(2.0 * tolerance), 0.0);
    // With a few entries the two may point the same way.
    EXPECT_NEAR(UnsettledShare(tolerance, 9).within(0.3 * tolerance), 0.7 * tolerance,
                1e-12 * tolerance);
    // Before a settling that adds more than the tolerance it is no use to sweep on.
    EXPECT_EQ(lacking.target(2.0 * tolerance), 2.0 * tolerance);
    EXPECT_EQ(lacking.target(0.1 * tolerance), lacking.within(0.1 * tolerance));
  }
}

TEST(UnsettledShare, NearRoundingThereIsNoMargin) {
  const UnsettledShare lacking(1e-7, width);
  EXPECT_EQ(lacking.within(5e-8), 1e-7);
  const Plane plane(1.0, 1e-9);
  EXPECT_EQ(lacking.most(1e-3, sweep_of(plane)), lacking.negligible());
  std::vector<double> residuals{1e-7};
  lacking.add({1e-6}, 1.0, 1e-3, residuals);
  EXPECT_EQ(residuals[0], 1e-7);
}

TEST(UnsettledShare, WhatAChangeOfAMakesOfTheRestIsNegligible) {
  const UnsettledShare lacking(1e-6, width);
  const double s = 0.5 / 64.0, gain = 1e-3;
  for (const double change : {0.02, 0.04, 0.1, 0.2}) {
    const Plane plane(1.0, change);
    const double moved = lacking.most(gain, sweep_of(plane, s)) / gain;
    // A random dE passes on s ||dE||_F / sqrt(m) of it, one that is worse 8 times as much.
    EXPECT_NEAR(8.0 * s * change / 64.0 * moved, lacking.negligible(), 1e-18);
  }
  // Where that would be less than is not worth a settling, it still is not.
  EXPECT_EQ(lacking.most(gain, sweep_of(Plane(1.0, 1e3), s)), lacking.negligible());
  // However little A changes, a column keeps most of its tolerance for itself.
  EXPECT_DOUBLE_EQ(lacking.most(gain, sweep_of(Plane(1.0, 1e-9), s)), 0.3e-6);
  EXPECT_GT(lacking.within(0.3e-6), 0.9e-6);
  // Nothing is known of the change.
  EXPECT_EQ(lacking.most(gain, sweep_of(Plane(1.0, 0.0), s)), lacking.negligible());
}

TEST(UnsettledShare, OnlyColumnsThatWaitLackAnything) {
  std::vector<double> residuals{3e-7, 3e-7, 3e-7};
  UnsettledShare(1e-6, width).add({0.0, 4e-4, 5e-4}, 4e-4, 1e-3, residuals);
  EXPECT_DOUBLE_EQ(residuals[0], 3e-7);
  EXPECT_NEAR(residuals[1], 5e-7, 1e-18);  // 3, 4, 5
  EXPECT_DOUBLE_EQ(residuals[2], 3e-7);
  UnsettledShare(1e-6, width).add({}, 0.0, 1.0, residuals);
  EXPECT_DOUBLE_EQ(residuals[0], 3e-7);
}

TEST(PlaneForecast, BeginsWithTheMostThereCanBe) {
  // ||s E dz|| <= s ||E||_F ||dz||
  const Plane plane(3.0, 0.0);
  for (const Settling kind : {Settling::first, Settling::later})
    EXPECT_DOUBLE_EQ(PlaneForecast().gain(kind, sweep_of(plane, 0.01)), 0.03);
}

TEST(PlaneForecast, FirstAndLaterSettlingsAreJudgedByTheirOwn) {
  const Plane plane(2.0, 0.0), grown(8.0, 0.0);
  PlaneForecast forecast;
  forecast.learn(Settling::first, sweep_of(plane), 5e-4, true);
  EXPECT_DOUBLE_EQ(forecast.gain(Settling::first, sweep_of(plane)), 5e-4);
  EXPECT_DOUBLE_EQ(forecast.gain(Settling::later, sweep_of(plane)), 5e-4);  // better than nothing
  forecast.learn(Settling::later, sweep_of(plane), 2e-3, true);
  EXPECT_DOUBLE_EQ(forecast.gain(Settling::first, sweep_of(plane)), 5e-4);
  EXPECT_DOUBLE_EQ(forecast.gain(Settling::later, sweep_of(plane)), 2e-3);
  // E has become four times as large.
  EXPECT_DOUBLE_EQ(forecast.gain(Settling::first, sweep_of(grown)), 2e-3);
}

TEST(PlaneForecast, ThoseThatWaitAreNotJudgedByASmallerGainAtOnce) {
  const Plane plane(1.0, 0.0);
  PlaneForecast forecast;
  forecast.learn(Settling::first, sweep_of(plane), 1e-3, true);
  double last = 1e-3;
  for (int settling = 0; settling < 20; ++settling) {
    forecast.learn(Settling::first, sweep_of(plane), 1e-4, false);
    const double now = forecast.gain(Settling::first, sweep_of(plane));
    EXPECT_GE(now, 0.5 * last);
    EXPECT_LE(now, last);
    last = now;
  }
  EXPECT_DOUBLE_EQ(last, 1e-4);
  forecast.learn(Settling::first, sweep_of(plane), 1e-3, false);  // a larger one counts at once
  EXPECT_DOUBLE_EQ(forecast.gain(Settling::first, sweep_of(plane)), 1e-3);
  forecast.learn(Settling::first, sweep_of(plane), 1e-5, true);  // and so does one of all columns
  EXPECT_DOUBLE_EQ(forecast.gain(Settling::first, sweep_of(plane)), 1e-5);
}

TEST(PlaneForecast, NoPlaneTeachesNothing) {
  const Plane none(0.0, 0.0), plane(1.0, 0.0);
  PlaneForecast forecast;
  forecast.learn(Settling::first, sweep_of(none), 1.0, true);
  EXPECT_DOUBLE_EQ(forecast.gain(Settling::first, sweep_of(plane, 0.01)), 0.01);
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
