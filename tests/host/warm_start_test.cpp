// Epochs that start where the last one ended: whatever was carried on, an answer is the one that
// the oracle finds from the weights the model holds at that moment, or it is reported as not
// converged.
#include <gtest/gtest.h>

#include <algorithm>

#include "host/gram_monitor.hpp"
#include "host/trainer.hpp"
#include "tests/host/warm_support.hpp"

namespace widedeq {
namespace {

using test::backend;
using test::held;
using test::hold;
using test::Problem;
using test::Shape;

class WarmStart : public test::WarmStarts {};

TEST_P(WarmStart, AnswersAreTheOraclesAtTheWeightsHeld) {
  std::uint64_t seed = 40;
  for (const Shape& shape :
       {Shape{40, 5, 3, 0.5}, Shape{65, 24, 4, 0.6}, Shape{128, 9, 6, 0.5}, Shape{260, 4, 8, 0.5}})
    for (const bool relu_injection : {true, false})
      for (const bool skip : {true, false})
        for (const int audit_every : {4, 25}) {
          SCOPED_TRACE("m=" + std::to_string(shape.m) + " seed=" + std::to_string(++seed));
          Problem problem = draw(shape, seed, relu_injection, skip);
          EXPECT_EQ(times_compared(problem, audit_every), 3);
        }
}

TEST_P(WarmStart, AnswersAreTheOraclesAfterHundredsOfEpochs) {
  for (const bool skip : {true, false}) {
    Problem problem = draw({.m = 130, .n = 9, .d = 5, .gamma = 0.5}, 60, true, skip);
    Trainer trainer = trainer_of(problem, {.tolerance = tight().tolerance});
    GramMonitor monitor(backend(), problem.model, 9, tight().tolerance);
    int compared = 0;
    bool due = false;
    for (int epoch = 0; epoch <= 500 || (due && epoch < 520); ++epoch) {
      due = due || epoch == 100 || epoch == 500;
      if (due) monitor.begin(epoch);
      const Evaluation is = trainer.evaluate(due ? &monitor : nullptr);
      ASSERT_TRUE(is.converged()) << "epoch " << epoch;
      if (due) monitor.submit(problem.model, trainer.X());
      const auto gram = monitor.wait();
      SCOPED_TRACE("epoch " + std::to_string(epoch));
      if (due && expect_truth(trainer, is, problem)) {
        EXPECT_LE(test::relative_error(gram->ntk, oracle::solve(held(problem)).H), bound());
        due = false;
        ++compared;
      }
      trainer.update(rate(problem, 0.02));
    }
    EXPECT_EQ(compared, 2);
  }
}

TEST_P(WarmStart, LossesAreThoseOfColdStarts) {
  for (const Shape& shape : {Shape{40, 12, 3, 0.5}, Shape{130, 24, 6, 0.6}, Shape{260, 3, 8, 0.5}})
    for (const bool skip : {true, false}) {
      Problem warm = draw(shape, 50, skip, skip), cold = draw(shape, 50, skip, skip);
      Trainer warm_trainer = trainer_of(warm, tight(), 6);
      TrainerOptions how;
      how.warm_start = false;
      Trainer cold_trainer(backend(), cold.model, cold.net.X, cold.net.y, tight(), how);
      // Predictions are right to `bound` of ||yhat||, hence each loss to 2 bound ||yhat|| / ||r||,
      // which is 1 to 4 bounds here. Descent contracts what errors of the weights add.
      const double allowed = precision() == Precision::fp64 ? 1e-10 : 1e-5;
      int sweeps = 0;  // that warm starts have saved
      for (int epoch = 0; epoch < 15; ++epoch) {
        SCOPED_TRACE("m=" + std::to_string(shape.m) + " epoch " + std::to_string(epoch));
        const Evaluation is = warm_trainer.evaluate(), wanted = cold_trainer.evaluate();
        ASSERT_TRUE(is.converged() && wanted.converged());
        EXPECT_NEAR(is.loss, wanted.loss, allowed * wanted.loss);
        if (epoch > 0) {
          EXPECT_NE(is.predictions, wanted.predictions) << "to the last bit: has it started warm?";
        }
        sweeps += wanted.forward.sweeps + wanted.adjoint.sweeps;
        sweeps -= is.forward.sweeps + is.adjoint.sweeps;
        warm_trainer.update(rate(warm, 0.1));
        cold_trainer.update(rate(cold, 0.1));
      }
      EXPECT_GT(sweeps, 0);
    }
}

TEST_P(WarmStart, AuditsComeWhenTheyAreDue) {
  for (const int audit_every : {3, 25})
    for (const double tolerance : {1e-4, precision() == Precision::fp64 ? 1e-10 : 1e-6,
                                   test::tight(precision()).tolerance}) {
      Problem problem = draw({.m = 130, .n = 11, .d = 5, .gamma = 0.5}, 72);
      Trainer trainer = trainer_of(problem, {.tolerance = tolerance}, audit_every);
      double sweeps = 0.0;  // and followings, since the last audit
      int since = 0;        // warm epochs
      for (int epoch = 0; epoch <= 51; ++epoch) {
        // Tolerances that leave no room for carried rounding are met by cold starts, which have
        // nothing to audit.
        const bool warm =
            epoch > 0 && plan_training(11, 130, precision(), tolerance, {}).starts_warm;
        const bool forced = warm && epoch == 51;
        SCOPED_TRACE("tolerance " + std::to_string(tolerance) + " epoch " + std::to_string(epoch));
        const Evaluation is = trainer.evaluate(nullptr, forced);
        ASSERT_TRUE(is.converged());
        sweeps += std::max(is.forward.sweeps, is.adjoint.sweeps) + 3.0;
        // At least so often, and earlier where the tolerance has no room for what has gathered;
        // double precision always has.
        since = warm ? since + 1 : 0;
        const bool audited = is.forward.audit.has_value();
        EXPECT_EQ(is.adjoint.audit.has_value(), audited);
        EXPECT_TRUE(audited || (!forced && since < audit_every));
        if (precision() == Precision::fp64 || tolerance > 1e-5) {
          EXPECT_EQ(audited, forced || (warm && since == audit_every));
        }
        if (audited) since = 0;
        // P is rounded once a sweep or following, see carried_solvers_test.cpp, and tolerances well
        // above that must have room made for it: then one rounding is left, that of P made anew.
        const double eps = test::epsilon(precision());
        const double allowance = tolerance < 8.0 * eps ? std::sqrt(sweeps) * eps : eps;
        if (audited) sweeps = 0.0;
        for (const SolveReport* report : {&is.forward, &is.adjoint}) {
          EXPECT_LE(report->worst_residual, tolerance);
          if (!report->audit) continue;
          // Found is what the solve had reached, not far below the tolerance: a sweep makes
          // residuals some threefold smaller.
          EXPECT_GE(*report->audit, 0.05 * tolerance);
          EXPECT_LE(*report->audit, tolerance + allowance);
        }
        trainer.update(rate(problem, 0.01));
      }
    }
}

TEST_P(WarmStart, ForgettingMakesRoomForForeignWeights) {
  for (const Shape& shape : {Shape{40, 7, 3, 0.5}, Shape{65, 20, 4, 0.6}}) {
    Problem problem = draw(shape, 80);
    Trainer trainer = trainer_of(problem, tight());
    int compared = 0;
    for (std::uint64_t seed = 81; seed < 85; ++seed) {
      for (int epoch = 0; epoch < 3; ++epoch) {
        const Evaluation is = trainer.evaluate();
        ASSERT_TRUE(is.converged());
        compared += expect_truth(trainer, is, problem) ? 1 : 0;
        trainer.update(rate(problem, 0.1));
      }
      oracle::Network foreign = held(draw(shape, seed));
      if (seed % 2 == 0) foreign.A = held(problem).A;  // else in mixed it brings a base of its own
      hold(problem.model, foreign);
      trainer.forget();
    }
    EXPECT_GE(compared, 4);
  }
}

TEST_P(WarmStart, AnswersAreTheOraclesByRowPanels) {
  // As mixed trains (prepare.cpp): guesses, settlings and audits between Gauss-Seidel sweeps.
  std::uint64_t seed = 140;
  for (const Shape& shape : {Shape{65, 24, 4, 0.6}, Shape{130, 9, 6, 0.5}, Shape{260, 4, 8, 0.5}})
    for (const bool skip : {true, false}) {
      SCOPED_TRACE("m=" + std::to_string(shape.m) + " seed=" + std::to_string(++seed));
      const Problem drawn = draw(shape, seed, skip, skip);
      const oracle::Network& net = drawn.net;
      const ModelOptions by_panels{
          .gamma = net.gamma, .injection = test::injection_of(net), .skip = net.skip, .panels = 3};
      Problem problem{
          net, drawn.truth,
          Model(backend(), precision(), by_panels, Weights{net.A, net.W, net.u, net.v})};
      EXPECT_GE(times_compared(problem, 4), 2);
    }
}

TEST_P(WarmStart, GuessesSaveSweepsWhateverTheStepsSizes) {
  const bool is_double = precision() == Precision::fp64;
  // The first warm solve has no response to guess by. In mixed settlings take their part.
  const int saved = is_double ? 3 : precision() == Precision::fp32 ? 2 : 1;
  Problem problem = draw({.m = 130, .n = 9, .d = 5, .gamma = 0.5}, 75);
  Trainer trainer = trainer_of(problem, {.tolerance = is_double ? 1e-10 : 1e-6}, 1000);
  const double steps[] = {1.0, 2.0, 1.0, 0.5};
  int first = 0;
  for (int epoch = 0; epoch < 12; ++epoch) {
    const Evaluation is = trainer.evaluate();
    ASSERT_TRUE(is.converged());
    if (epoch == 1) first = is.forward.sweeps;
    // After steps as large as that one's, and two responses: odd epochs.
    if (epoch >= 5 && epoch % 2 == 1 && !is.forward.audit) {
      EXPECT_LE(is.forward.sweeps, first - saved) << "epoch " << epoch;
    }
    trainer.update(rate(problem, 0.02 * steps[epoch % 4]));
  }
}

INSTANTIATE_TEST_SUITE_P(, WarmStart, test::every_precision_and_law(),
                         [](const auto& it) { return test::name_of(it); });

}  // namespace
}  // namespace widedeq
