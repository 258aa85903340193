// Gradient descent: chunks, updates, whole training runs against the oracle's loop, and the three
// precisions against each other on the digits.
#include <gtest/gtest.h>

#include <tuple>

#include "host/data/dataset.hpp"
#include "host/spectrum.hpp"
#include "host/trainer.hpp"
#include "tests/support.hpp"

namespace widedeq {
namespace {

using test::backend;
using test::Draw;
using test::relative_error;
using test::Shape;

class Training : public testing::TestWithParam<std::tuple<Precision, bool>> {
 protected:
  Precision precision() const { return std::get<0>(GetParam()); }
  bool relu_injection() const { return std::get<1>(GetParam()); }
  void SetUp() override { SKIP_UNLESS_SUPPORTED(precision()); }
  double bound() const {
    return precision() == Precision::fp64 ? 1e-12 : precision() == Precision::fp32 ? 2e-6 : 1e-5;
  }
};

/// Weights, one after the other, as one vector.
std::vector<double> flat(const Weights& weights) {
  std::vector<double> all = weights.A.values;
  for (const std::vector<double>* part : {&weights.W.values, &weights.u, &weights.v})
    all.insert(all.end(), part->begin(), part->end());
  return all;
}

TEST(Trainer, ChoosesHowManySamplesAtATime) {
  const auto chosen = [](Index samples, Index width, bool warm = true, Index batch = 0,
                         double tolerance = 1e-6) {
    TrainerOptions how;
    how.warm_start = warm;
    how.batch = batch;
    return plan_training(samples, width, Precision::fp32, tolerance, how).chunk;
  };
  EXPECT_EQ(chosen(1, 1), 1);
  EXPECT_EQ(chosen(1024, 1), 1024);
  EXPECT_EQ(chosen(1025, 8), 513);  // not one of 1024 and one of 1
  EXPECT_EQ(chosen(1500, 1000), 1500);
  EXPECT_EQ(chosen(1501, 1000), 751);                 // warm starts would not pay
  EXPECT_EQ(chosen(1500, 1000, false), 750);          // there are none
  EXPECT_EQ(chosen(1500, 1000, true, 0, 1e-7), 750);  // nor have they room
  EXPECT_EQ(chosen(4096, 8192), 4096);                // 32 Mi entries
  EXPECT_EQ(chosen(4097, 8192), 820);
  EXPECT_EQ(chosen(60000, 131072), 1017);
  // A batch that fits is solved in one piece, a large one in equal pieces.
  EXPECT_EQ(chosen(60000, 4096, false, 32), 1017);
  EXPECT_EQ(chosen(60000, 4096, false, 1024), 1024);
  EXPECT_EQ(chosen(60000, 4096, false, 1100), 550);
  EXPECT_EQ(chosen(1000, 4096, false, 32), 1000);
  EXPECT_EQ(plan_training(5000, 9000, Precision::fp32, 1e-6, {7}).chunk, 7);
  EXPECT_EQ(plan_training(5, 9000, Precision::fp32, 1e-6, {7}).chunk, 5);
}

TEST_P(Training, GradientDoesNotDependOnTheChunk) {
  for (const bool skip : {true, false}) {
    const Shape shape{.m = 65, .n = 23, .d = 6, .gamma = 0.6};
    test::Problem problem =
        test::draw_problem(shape, precision(), Draw::lattice, relu_injection(), skip, 3);
    Evaluation first_evaluation;
    Weights first;
    for (const Index chunk : {Index{23}, Index{100}, Index{22}, Index{8}, Index{1}, Index{0}}) {
      Trainer trainer(backend(), problem.model, problem.net.X, problem.net.y,
                      test::tight(precision()), chunk);
      EXPECT_EQ(trainer.samples(), 23);
      if (chunk > 0) {
        EXPECT_EQ(trainer.chunk(), std::min<Index>(chunk, 23));
      }
      const Evaluation evaluation = trainer.evaluate();
      ASSERT_TRUE(evaluation.converged());
      const Weights gradient = trainer.gradient();
      if (chunk == 23) {
        first_evaluation = evaluation;
        first = gradient;
      }
      EXPECT_LE(relative_error(evaluation.predictions, first_evaluation.predictions), bound());
      EXPECT_NEAR(evaluation.loss, first_evaluation.loss, bound() * first_evaluation.loss);
      EXPECT_EQ(evaluation.forward.residuals.size(), 23U);
      EXPECT_EQ(evaluation.adjoint.residuals.size(), 23U);
      EXPECT_DOUBLE_EQ(evaluation.forward.worst_residual,
                       test::largest(evaluation.forward.residuals));
      EXPECT_LE(relative_error(gradient.A, first.A), bound()) << "chunk " << chunk;
      EXPECT_LE(relative_error(gradient.W, first.W), bound()) << "chunk " << chunk;
      EXPECT_LE(relative_error(gradient.u, first.u), bound()) << "chunk " << chunk;
      EXPECT_LE(relative_error(gradient.v, first.v), bound()) << "chunk " << chunk;
      // And against the truth, so that all chunks are not wrong alike.
      EXPECT_LE(relative_error(gradient.A, problem.truth.dA), bound()) << "chunk " << chunk;
      EXPECT_LE(relative_error(gradient.W, problem.truth.dW), bound()) << "chunk " << chunk;
    }
  }
}

TEST_P(Training, UpdateSubtractsEtaTimesTheGradientAndReturnsItsNorm) {
  for (const bool skip : {true, false})
    for (const Index chunk : {Index{9}, Index{4}}) {
      const Shape shape{.m = 66, .n = 9, .d = 5, .gamma = 0.5};
      for (const Draw kind : {Draw::lattice, Draw::gaussian}) {
        test::Problem problem =
            test::draw_problem(shape, precision(), kind, relu_injection(), skip, 5);
        Trainer trainer(backend(), problem.model, problem.net.X, problem.net.y,
                        test::tight(precision()), chunk);
        ASSERT_TRUE(trainer.evaluate().converged());
        const double eta = 0.01;
        const double norm = trainer.update(eta);
        EXPECT_NEAR(norm, problem.truth.gradient_norm(), bound() * problem.truth.gradient_norm());

        oracle::Network expected = problem.net;
        oracle::descend(expected, eta);
        const Weights now = download_weights(backend(), problem.model);
        // What was added, which is small beside the weights: to their rounding, and the gradient's.
        const auto check = [&](const char* name, const std::vector<double>& is,
                               const std::vector<double>& wanted,
                               const std::vector<double>& before) {
          ASSERT_EQ(is.size(), wanted.size()) << name;
          std::vector<double> step = wanted;
          for (std::size_t i = 0; i < step.size(); ++i)
            step[i] -= before[i];
          const double allowed =
              bound() * oracle::norm(step) + test::epsilon(precision()) * oracle::norm(before);
          EXPECT_LE(relative_error(is, wanted) * oracle::norm(wanted), allowed) << name;
          EXPECT_GT(relative_error(is, before), 0.0) << name;
        };
        check("A", now.A.values, expected.A.values, problem.net.A.values);
        check("W", now.W.values, expected.W.values, problem.net.W.values);
        check("u", now.u, expected.u, problem.net.u);
        if (skip) check("v", now.v, expected.v, problem.net.v);
      }
    }
}

TEST_P(Training, GradientStaysReadableAndUpdatesDoNotMoveTheBase) {
  test::Problem problem = test::draw_problem({.m = 34, .n = 6, .d = 3, .gamma = 0.5}, precision(),
                                             Draw::lattice, relu_injection(), true, 7);
  const HostMatrix base = test::download(problem.model.A.view().base);
  Trainer trainer(backend(), problem.model, problem.net.X, problem.net.y, test::tight(precision()));
  trainer.evaluate();
  const std::vector<double> once = flat(trainer.gradient());
  EXPECT_EQ(flat(trainer.gradient()), once);
  trainer.update(0.001);
  EXPECT_EQ(test::download(problem.model.A.view().base).values, base.values);
  trainer.evaluate();
  EXPECT_NE(flat(trainer.gradient()), once);
}

TEST_P(Training, EpochsFollowTheOraclesLoop) {
  for (const Index chunk : {Index{0}, Index{5}}) {
    const Shape shape{.m = 48, .n = 12, .d = 4, .gamma = 0.5};
    test::Problem problem =
        test::draw_problem(shape, precision(), Draw::gaussian, relu_injection(), true, 11);
    oracle::Network net = problem.net;
    const double eta = 0.5 / oracle::eigenvalues(problem.truth.H).back();
    Trainer trainer(backend(), problem.model, net.X, net.y, test::tight(precision()), chunk);
    // Errors of one epoch's rounding add up, and so does a mask entry that flips an epoch early.
    const double tolerance = precision() == Precision::fp64 ? 1e-10 : 1e-4;
    double first_loss = 0.0;
    for (int epoch = 0; epoch < 25; ++epoch) {
      const Evaluation evaluation = trainer.evaluate();
      ASSERT_TRUE(evaluation.converged());
      const double norm = trainer.update(eta);
      const oracle::Solution truth = oracle::descend(net, eta);
      if (epoch == 0) first_loss = truth.loss;
      ASSERT_NEAR(evaluation.loss, truth.loss, tolerance * truth.loss) << "epoch " << epoch;
      ASSERT_NEAR(norm, truth.gradient_norm(), tolerance * truth.gradient_norm());
      if (epoch == 24) {
        EXPECT_LT(truth.loss, 0.5 * first_loss);
      }
    }
    const Weights now = download_weights(backend(), problem.model);
    EXPECT_LE(relative_error(now.A, net.A), tolerance);
    EXPECT_LE(relative_error(now.W, net.W), tolerance);
    EXPECT_LE(relative_error(now.u, net.u), tolerance);
    EXPECT_LE(relative_error(now.v, net.v), tolerance);
  }
}

TEST_P(Training, AChunkThatDoesNotConvergeIsReported) {
  test::Problem problem = test::draw_problem({.m = 40, .n = 8, .d = 3, .gamma = 0.6}, precision(),
                                             Draw::lattice, relu_injection(), true, 13);
  for (const Index chunk : {Index{8}, Index{3}}) {
    Trainer trainer(backend(), problem.model, problem.net.X, problem.net.y,
                    {.tolerance = 1e-6, .max_sweeps = 2}, chunk);
    const Evaluation evaluation = trainer.evaluate();
    EXPECT_FALSE(evaluation.converged());
    EXPECT_EQ(evaluation.forward.status, SolveStatus::max_sweeps);
  }
}

TEST_P(Training, TheSameRunGivesTheSameBits) {
  const auto run = [&] {
    Model model(backend(), precision(),
                {.gamma = 0.5, .injection = relu_injection() ? Injection::relu : Injection::linear},
                70, 5, WeightLaw::gaussian, 17);
    test::Random random(18);
    const HostMatrix X = random.sphere(5, 20);
    Trainer trainer(backend(), model, X, random.vector(20), {.tolerance = 1e-5}, 7);
    std::vector<double> record;
    for (int epoch = 0; epoch < 4; ++epoch) {
      record.push_back(trainer.evaluate().loss);
      record.push_back(trainer.update(1e-3));
    }
    const std::vector<double> weights = flat(download_weights(backend(), model));
    record.insert(record.end(), weights.begin(), weights.end());
    return record;
  };
  EXPECT_EQ(run(), run());
}

TEST_P(Training, DataThatDoNotFitAreRefused) {
  Model model(backend(), precision(), {}, 8, 3, WeightLaw::lattice, 1);
  const auto make = [&](const HostMatrix& X, std::size_t targets) {
    return Trainer(backend(), model, X, std::vector<double>(targets), SolveOptions());
  };
  EXPECT_SHAPE_ERROR(make(HostMatrix(4, 5), 5), "4", "3");
  EXPECT_SHAPE_ERROR(make(HostMatrix(3, 5), 6), "5", "6");
}

INSTANTIATE_TEST_SUITE_P(, Training,
                         testing::Combine(testing::Values(Precision::fp64, Precision::fp32,
                                                          Precision::mixed),
                                          testing::Bool()),
                         [](const auto& it) {
                           return std::string(test::name_of(std::get<0>(it.param))) +
                                  (std::get<1>(it.param) ? "_relu" : "_linear");
                         });

// ---- the digits

/// Losses of 50 epochs on the digits 0 and 1 at width 256, eta = 1 / lambda_max(H(0)) as in fp64.
std::vector<double> digits_losses(Precision precision, WeightLaw law, double eta) {
  const Dataset digits =
      load_dataset({.source = "digits", .classes = {0, 1}, .samples = Index{120}});
  Model model(backend(), precision, {.gamma = 0.5}, 256, digits.inputs.rows, law, 1);
  Trainer trainer(backend(), model, digits.inputs, digits.targets, {.tolerance = 1e-6});
  std::vector<double> losses;
  for (int epoch = 0; epoch < 50; ++epoch) {
    const Evaluation evaluation = trainer.evaluate();
    EXPECT_TRUE(evaluation.converged()) << "epoch " << epoch;
    if (!evaluation.converged()) break;
    losses.push_back(evaluation.loss);
    trainer.update(eta);
  }
  return losses;
}

class DigitsTraining : public testing::TestWithParam<WeightLaw> {};

TEST_P(DigitsTraining, GivesTheSameLossesInEveryPrecision) {
  const Dataset digits =
      load_dataset({.source = "digits", .classes = {0, 1}, .samples = Index{120}});
  const Model start(backend(), Precision::fp64, {.gamma = 0.5}, 256, digits.inputs.rows, GetParam(),
                    1);
  const test::Answer initial = test::solve(start, digits.inputs, {.tolerance = 1e-8});
  const double eta = 1.0 / symmetric_eigenvalues(initial.H).back();

  const std::vector<double> wanted = digits_losses(Precision::fp64, GetParam(), eta);
  ASSERT_EQ(wanted.size(), 50U);
  EXPECT_LT(wanted.back(), 0.1 * wanted.front());  // it learns
  for (std::size_t epoch = 1; epoch < wanted.size(); ++epoch)
    EXPECT_LT(wanted[epoch], wanted[epoch - 1]) << "epoch " << epoch;

  std::vector<Precision> others{Precision::fp32};
  if (backend().why_not_mixed().empty()) others.push_back(Precision::mixed);
  for (const Precision precision : others) {
    const std::vector<double> losses = digits_losses(precision, GetParam(), eta);
    ASSERT_EQ(losses.size(), 50U) << test::name_of(precision);
    for (std::size_t epoch = 0; epoch < wanted.size(); ++epoch)
      EXPECT_NEAR(losses[epoch], wanted[epoch], 1e-4 * wanted[epoch])
          << test::name_of(precision) << " epoch " << epoch;
  }
  if (others.size() < 2) GTEST_SKIP() << "mixed left out: " << backend().why_not_mixed();
}

INSTANTIATE_TEST_SUITE_P(, DigitsTraining, testing::Values(WeightLaw::lattice, WeightLaw::gaussian),
                         [](const auto& it) {
                           return std::string(it.param == WeightLaw::lattice ? "lattice"
                                                                             : "gaussian");
                         });

TEST(Trainer, MergedReportsAreTheWorstOfTheirParts) {
  SolveReport all;
  SolveReport first{SolveStatus::converged, 12, 9e-7, {9e-7, 1e-7}};
  first.audit = 5e-7;
  SolveReport second{SolveStatus::converged, 7, 2e-7, {2e-7}};
  second.audit = 3e-7;
  merge(all, first);
  merge(all, second);
  EXPECT_EQ(all.status, SolveStatus::converged);
  EXPECT_EQ(all.sweeps, 12);
  EXPECT_EQ(all.worst_residual, 9e-7);
  EXPECT_EQ(all.residuals, (std::vector<double>{9e-7, 1e-7, 2e-7}));
  EXPECT_EQ(all.audit, 5e-7);
  merge(all, {SolveStatus::max_sweeps, 20, 0.5, {0.5}});
  merge(all, second);
  EXPECT_EQ(all.status, SolveStatus::max_sweeps);
  EXPECT_EQ(all.sweeps, 20);
  EXPECT_EQ(all.worst_residual, 0.5);
}

}  // namespace
}  // namespace widedeq
