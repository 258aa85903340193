// What an epoch must not show: where every guard strikes, and where it does not yet.
#include "host/run/guards.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace widedeq {
namespace {

TrainConfig config_with(double gamma) {
  TrainConfig config;
  config.gamma = gamma;
  return config;
}

TEST(Guards, ANormThatHasPassedTheContractionsEndsTraining) {
  const TrainConfig config = config_with(0.5);
  EXPECT_NO_THROW(require_well_posed(1.9, 1.9999, config, 30, 20));
  try {
    require_well_posed(1.9, 2.0001, config, 30, 20);
    FAIL();
  } catch (const Divergence& divergence) {
    EXPECT_EQ(divergence.cause(), Cause::contraction);
    EXPECT_EQ(divergence.code(), ExitCode::diverged);
    EXPECT_EQ(divergence.last_good(), 20);  // where it was last looked at
    EXPECT_NE(std::string(divergence.what()).find("0.9500 to 1.0001"), std::string::npos)
        << divergence.what();
  }
  // Who starts beyond it has chosen to.
  EXPECT_NO_THROW(require_well_posed(2.0, 2.5, config, 30, 20));
  EXPECT_NO_THROW(require_well_posed(2.1, 2.0, config, 30, 20));
}

TEST(Guards, ALossMayGrowButNotAThousandfold) {
  const TrainConfig config = config_with(0.5);
  Evaluation now;
  now.predictions = {3.0, 4.0};
  const auto strikes = [&](double first, double loss) {
    now.loss = loss;
    try {
      require_bounded_loss(first, now, config, 0.1, 7);
      return false;
    } catch (const Divergence& divergence) {
      EXPECT_EQ(divergence.cause(), Cause::loss);
      EXPECT_EQ(divergence.last_good(), 6);
      return true;
    }
  };
  EXPECT_FALSE(strikes(2.0, 1999.0));
  EXPECT_TRUE(strikes(2.0, 2001.0));
  EXPECT_TRUE(strikes(2.0, std::numeric_limits<double>::infinity()));
  EXPECT_TRUE(strikes(2.0, std::numeric_limits<double>::quiet_NaN()));
  // From nothing: solves to 1e-6 leave yhat open by 5e-6 here, a loss by 1.25e-11.
  EXPECT_FALSE(strikes(0.0, 1.2e-8));
  EXPECT_TRUE(strikes(0.0, 1.3e-8));
}

TEST(Guards, AStepMustFitAFloat) {
  EXPECT_NO_THROW(require_finite_step(1e3, 1e30, 4));
  for (const double gradient : {1e36, std::numeric_limits<double>::infinity()}) {
    try {
      require_finite_step(1e3, gradient, 4);
      FAIL() << gradient;
    } catch (const Divergence& divergence) {
      EXPECT_EQ(divergence.cause(), Cause::step);
      EXPECT_EQ(divergence.last_good(), 4);
    }
  }
}

}  // namespace
}  // namespace widedeq
