// Held-out samples: what the network says of them, and that training does not notice the question.
#include "host/held_out.hpp"

#include <gtest/gtest.h>

#include "host/trainer.hpp"
#include "tests/support.hpp"

namespace widedeq {
namespace {

using test::backend;
using test::relative_error;

TEST(ClassificationError, CountsPredictionsNearerToAnotherClass) {
  const std::vector<double> two{-1.0, 1.0};
  EXPECT_EQ(classification_error(std::vector{-0.2, 0.2, -3.0, 5.0},
                                 std::vector{-1.0, 1.0, -1.0, 1.0}, two),
            0.0);
  EXPECT_EQ(
      classification_error(std::vector{0.2, 0.2, -3.0, 5.0}, std::vector{-1.0, 1.0, 1.0, 1.0}, two),
      0.5);
  // Exactly between two classes is no error; a NaN is one.
  EXPECT_EQ(classification_error(std::vector<double>{0.0, NAN}, std::vector{1.0, 1.0}, two), 0.5);
  const std::vector<double> three{-1.0, 0.0, 1.0};
  EXPECT_EQ(classification_error(std::vector{-0.4, -0.6, 0.6, 0.4}, std::vector{0.0, 0.0, 1.0, 1.0},
                                 three),
            0.5);
  EXPECT_EQ(classification_error(std::vector{17.0}, std::vector{1.0}, std::vector{1.0}), 0.0);
  EXPECT_SHAPE_ERROR(classification_error(std::vector{1.0}, std::vector{1.0, 1.0}, two), "1 pred",
                     "2 targets");
}

class HeldOutSamples : public testing::TestWithParam<Precision> {
 protected:
  Precision precision() const { return GetParam(); }
  void SetUp() override { SKIP_UNLESS_SUPPORTED(precision()); }
  double bound() const { return precision() == Precision::fp64 ? 1e-12 : 2e-6; }
};

TEST_P(HeldOutSamples, AreAnsweredAsTheOracleDoesWithAnyChunk) {
  for (const bool skip : {true, false})
    for (const Index chunk : {Index{17}, Index{5}, Index{100}}) {
      const test::Problem it = test::draw_problem({.m = 64, .n = 17, .d = 5, .gamma = 0.5},
                                                  precision(), test::Draw::gaussian, true, skip, 4);
      HeldOut held_out(backend(), it.model, it.net.X, it.net.y, test::tight(precision()), chunk);
      for (int again = 0; again < 2; ++again) {
        const HeldOutScore score = held_out.evaluate(it.model);
        ASSERT_EQ(score.forward.status, SolveStatus::converged);
        EXPECT_EQ(score.forward.residuals.size(), 17U);
        EXPECT_LE(relative_error(score.predictions, it.truth.prediction), bound());
        EXPECT_NEAR(score.loss, it.truth.loss, 4.0 * bound() * it.truth.loss);
      }
    }
}

TEST_P(HeldOutSamples, DoNotChangeTraining) {
  const auto train = [&](bool asked) {
    test::Problem it = test::draw_problem({.m = 66, .n = 9, .d = 5, .gamma = 0.5}, precision(),
                                          test::Draw::lattice, true, true, 5);
    const HostMatrix others = test::Random(9).sphere(5, 12);
    Trainer trainer(backend(), it.model, it.net.X, it.net.y, {.tolerance = 1e-6});
    HeldOut held_out(backend(), it.model, others, std::vector<double>(12, 1.0), {.tolerance = 1e-6},
                     7);
    std::vector<double> losses;
    for (int epoch = 0; epoch < 8; ++epoch) {
      losses.push_back(trainer.evaluate().loss);
      if (asked) {
        EXPECT_EQ(held_out.evaluate(it.model).predictions.size(), 12U);
      }
      losses.push_back(trainer.update(0.01));
    }
    return losses;
  };
  EXPECT_EQ(train(true), train(false));
}

TEST_P(HeldOutSamples, AnswersDoNotDependOnWhatHasBeenAskedBefore) {
  test::Problem it = test::draw_problem({.m = 66, .n = 9, .d = 5, .gamma = 0.5}, precision(),
                                        test::Draw::lattice, true, true, 8);
  Trainer trainer(backend(), it.model, it.net.X, it.net.y, {.tolerance = 1e-6});
  const auto ask = [&](HeldOut& held_out) {
    const HeldOutScore score = held_out.evaluate(it.model);
    EXPECT_EQ(score.forward.status, SolveStatus::converged);
    return std::pair(score.predictions, score.forward.residuals);
  };
  const auto fresh = [&] {
    return HeldOut(backend(), it.model, it.net.X, it.net.y, {.tolerance = 1e-6}, 4);
  };
  HeldOut asked_often = fresh();
  for (int epoch = 0; epoch < 8; ++epoch) {
    HeldOut asked_once = fresh();
    EXPECT_EQ(ask(asked_often), ask(asked_once)) << "epoch " << epoch;
    trainer.evaluate();
    trainer.update(0.01);
  }
}

TEST_P(HeldOutSamples, OnesThatDoNotConvergeAreReported) {
  const test::Problem it = test::draw_problem({.m = 64, .n = 9, .d = 5, .gamma = 0.5}, precision(),
                                              test::Draw::gaussian, true, true, 6);
  HeldOut held_out(backend(), it.model, it.net.X, it.net.y, {.tolerance = 1e-6, .max_sweeps = 2},
                   4);
  const HeldOutScore score = held_out.evaluate(it.model);
  EXPECT_EQ(score.forward.status, SolveStatus::max_sweeps);
  EXPECT_EQ(score.forward.residuals.size(), 4U);
  EXPECT_TRUE(score.predictions.empty());
}

TEST_P(HeldOutSamples, ShapesThatDoNotFitAreRefused) {
  const test::Problem it = test::draw_problem({.m = 16, .n = 9, .d = 5, .gamma = 0.5}, precision(),
                                              test::Draw::gaussian, true, true, 7);
  const SolveOptions options;
  EXPECT_SHAPE_ERROR(
      HeldOut(backend(), it.model, HostMatrix(4, 2), std::vector<double>(2), options, 2), "4 x 2",
      "16 x 5");
  EXPECT_SHAPE_ERROR(
      HeldOut(backend(), it.model, HostMatrix(5, 2), std::vector<double>(3), options, 2), "5 x 2",
      "are 3");
}

INSTANTIATE_TEST_SUITE_P(, HeldOutSamples,
                         testing::Values(Precision::fp64, Precision::fp32, Precision::mixed),
                         [](const auto& it) { return std::string(test::name_of(it.param)); });

}  // namespace
}  // namespace widedeq
