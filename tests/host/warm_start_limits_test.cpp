// Warm starts at their limits: jumps, standstill, unfinished solves, degenerate shapes and samples.
// An answer must be right or reported as not converged, and what a cold start solves, a warm one
// must not fail at.
#include <gtest/gtest.h>

#include "host/trainer.hpp"
#include "tests/host/warm_support.hpp"

namespace widedeq {
namespace {

using test::backend;
using test::held;
using test::hold;
using test::Problem;
using test::relative_error;
using test::Shape;

class WarmStartLimits : public test::WarmStarts {};

TEST_P(WarmStartLimits, JumpsOfTheLearningRateAreSurvived) {
  // Gradient descent diverges above a share of 2; a jump to 50 leaves nothing that could be solved.
  for (const double share : {0.01, 0.02, 0.05, 0.5}) {
    Problem problem = draw({.m = 65, .n = 9, .d = 4, .gamma = 0.5}, 90);
    const oracle::Network start = held(problem);
    Trainer trainer = trainer_of(problem, tight(), 5);
    int compared = 0, unconverged = 0;
    for (int epoch = 0; epoch < 16; ++epoch) {
      SCOPED_TRACE("share " + std::to_string(share) + " epoch " + std::to_string(epoch));
      const Evaluation is = trainer.evaluate();
      if (is.converged()) {
        compared += expect_truth(trainer, is, problem) ? 1 : 0;
        trainer.update(rate(problem, epoch % 4 == 3 ? 100.0 * share : share));
      } else {
        ++unconverged;
        EXPECT_FALSE(trainer.evaluate().converged()) << "a false alarm";
        hold(problem.model, start);
        trainer.forget();
      }
    }
    EXPECT_GE(compared, 4);
    EXPECT_EQ(unconverged > 0, share == 0.5);
  }
}

TEST_P(WarmStartLimits, SlowDescentGathersNoRounding) {
  // An epoch moves P by a few units in its last place, and always the same way. Rounded off each
  // time, half a unit in the mean square of each epoch would have added up to 5e-6 in the end.
  const double tolerance = precision() == Precision::fp64 ? 1e-12 : 3e-6;
  const int epochs = 200;
  Problem problem = draw({.m = 260, .n = 5, .d = 6, .gamma = 0.5}, 97);
  Trainer trainer = trainer_of(problem, {.tolerance = tolerance}, 2 * epochs);
  int audits = 0;
  for (int epoch = 0; epoch < epochs; ++epoch) {
    const Evaluation is = trainer.evaluate();
    ASSERT_TRUE(is.converged());
    audits += is.forward.audit.has_value();
    trainer.update(rate(problem, 1e-5));
  }
  const Evaluation last = trainer.evaluate(nullptr, true);
  for (const SolveReport* report : {&last.forward, &last.adjoint}) {
    ASSERT_TRUE(report->audit.has_value());
    EXPECT_LE(*report->audit, tolerance + test::epsilon(precision()));
  }
  if (precision() == Precision::fp32) {
    EXPECT_EQ(audits, 0) << "nothing that would call for one";
  }
}

TEST_P(WarmStartLimits, AColdStartHasGatheredNothing) {
  // Warm epochs to the first audit, which comes early: at the start, and again after forget().
  if (precision() == Precision::fp64) GTEST_SKIP() << "there is always room";
  Problem problem = draw({.m = 130, .n = 6, .d = 5, .gamma = 0.5}, 98);
  Trainer trainer = trainer_of(problem, {.tolerance = 1e-6}, 1000);
  const auto warm_epochs = [&] {
    for (int epoch = 0; epoch < 100; ++epoch) {
      const Evaluation is = trainer.evaluate();
      EXPECT_TRUE(is.converged());
      if (is.forward.audit) return epoch;
      trainer.update(rate(problem, 1e-4));
    }
    return 100;
  };
  const int first = warm_epochs();
  EXPECT_GT(first, 2);
  EXPECT_LT(first, 100);
  trainer.evaluate();  // without an update, and a few more epochs
  for (int epoch = 0; epoch < first / 2; ++epoch) {
    EXPECT_FALSE(trainer.evaluate().forward.audit.has_value());
    trainer.update(rate(problem, 1e-4));
  }
  trainer.forget();
  EXPECT_NEAR(warm_epochs(), first, 1.0 + first / 4.0);
}

TEST_P(WarmStartLimits, AnUpdateOfNothingChangesNothing) {
  for (const bool skip : {true, false}) {
    Problem problem = draw({.m = 70, .n = 8, .d = 4, .gamma = 0.6}, 91, true, skip);
    problem.net.y = trainer_of(problem, tight()).evaluate().predictions;
    const oracle::Network start = held(problem);
    Trainer trainer = trainer_of(problem, tight(), 4);
    for (int epoch = 0; epoch < 10; ++epoch) {
      SCOPED_TRACE("epoch " + std::to_string(epoch));
      const Evaluation is = trainer.evaluate();
      ASSERT_TRUE(is.converged());
      if (epoch == 0) {
        EXPECT_EQ(is.loss, 0.0);
      }
      EXPECT_LE(relative_error(is.predictions, problem.net.y), bound());
      trainer.update(rate(problem, 1.0));
    }
    // Ten updates by residuals that are the predictions' errors, each at most `bound` of them.
    EXPECT_LE(relative_error(held(problem).A, start.A), 10.0 * bound());
  }
}

TEST_P(WarmStartLimits, UnfinishedSolvesAreReportedAndLeaveNothingBehind) {
  int unfinished = 0;  // that had started warm
  for (const std::uint64_t seed : {110U, 111U, 112U}) {
    Problem problem = draw({.m = 41, .n = 6, .d = 3, .gamma = 0.5}, seed);
    const oracle::Network start = held(problem);
    for (int limit = 1; limit < 60; ++limit) {
      hold(problem.model, start);
      Trainer trainer = trainer_of(problem, {tight().tolerance, limit}, 3);
      bool warm = false;
      for (int epoch = 0; epoch < 8; ++epoch) {
        SCOPED_TRACE("limit " + std::to_string(limit) + " epoch " + std::to_string(epoch));
        const Evaluation is = trainer.evaluate();
        if (is.converged()) {
          expect_truth(trainer, is, problem);
          trainer.update(rate(problem, 4.0));  // which makes the network harder, then easier
        } else {
          unfinished += warm ? 1 : 0;
          if (epoch % 2 == 0) {  // else evaluated again as it is
            hold(problem.model, start);
            trainer.forget();
          }
        }
        warm = is.converged();
      }
    }
  }
  EXPECT_GT(unfinished, 0);
}

TEST_P(WarmStartLimits, SmallestShapesAndNearlyEqualSamples) {
  std::uint64_t seed = 93;
  for (const Shape& shape : {Shape{1, 1, 1, 0.5}, Shape{1, 5, 2, 0.8}, Shape{2, 1, 2, 0.5},
                             Shape{97, 1, 4, 0.6}, Shape{130, 12, 4, 0.6}}) {
    Problem problem = draw(shape, ++seed);
    // A column of zero; columns in pairs that differ by 1e-7 or not at all; their targets differ as
    // ever.
    if (shape.n == 12) {
      for (Index j = 1; j < shape.n; j += 2)
        for (Index i = 0; i < shape.d; ++i)
          problem.net.X(i, j) =
              problem.net.X(i, j - 1) * (1.0 + 1e-7 * static_cast<double>((i + j) % 3));
      for (Index i = 0; i < shape.d; ++i)
        problem.net.X(i, 11) = 0.0;
    }
    // Where the smallest tolerance is below what one rounding of so few entries leaves, five times
    // as much still gives 3.3 * 5e-7 (see ill_conditioned()), which is within the bound. Carried
    // roundings come to it, also 3.3 times, and those of so few entries do not average out: hence
    // an audit every third epoch.
    const double tolerance = precision() == Precision::fp64 ? tight().tolerance : 5e-7;
    Trainer trainer = trainer_of(problem, {.tolerance = tolerance}, 3);
    for (int epoch = 0; epoch < 15; ++epoch) {
      SCOPED_TRACE("m=" + std::to_string(shape.m) + " epoch " + std::to_string(epoch));
      const Evaluation is = trainer.evaluate();
      ASSERT_TRUE(is.converged());
      // Gradients of few entries cancel: they are sums over samples whose errors have both signs.
      expect_truth(trainer, is, problem, shape.m > 2);
      trainer.update(rate(problem, 0.1));
    }
  }
}

TEST_P(WarmStartLimits, NoFalseAlarmsAtTheSmallestTolerance) {
  // Where a cold solve reaches the tolerance, a warm one has no reason to fail.
  TrainerOptions how;
  how.warm_start = false;
  for (const Shape& shape : {Shape{3, 4, 2, 0.5}, Shape{8, 8, 2, 0.5}, Shape{20, 8, 2, 0.5}})
    for (std::uint64_t seed = 94; seed < 114; ++seed) {
      Problem problem = draw(shape, seed);
      Trainer trainer = trainer_of(problem, tight());
      Trainer cold(backend(), problem.model, problem.net.X, problem.net.y, tight(), how);
      for (int epoch = 0; epoch < 12; ++epoch) {
        const Evaluation is = trainer.evaluate();
        if (!is.converged()) {
          EXPECT_FALSE(cold.evaluate().converged())
              << "m=" << shape.m << " seed " << seed << " epoch " << epoch << ": "
              << describe(is.forward.status) << " at " << is.forward.worst_residual << ", "
              << describe(is.adjoint.status) << " at " << is.adjoint.worst_residual;
          break;
        }
        trainer.update(rate(problem, 0.1));
      }
    }
}

TEST_P(WarmStartLimits, ShrinkingSamplesKeepToTheTolerance) {
  for (const Index m : {1, 2, 40, 130})
    for (const double stride : {0.3, 0.45, 0.6, 1.5}) {
      SCOPED_TRACE("m=" + std::to_string(m) + " stride " + std::to_string(stride));
      // Inputs 1 and -1, W all ones: the first sample is alive, the second dead, Z = 0. W strides
      // towards 0, or below it, whereupon the first sample is dead and the second alive.
      oracle::Network net = test::random_network({m, 2, 1, 0.3}, true, true, 120);
      net.W.values.assign(net.W.values.size(), 1.0);
      net.u.assign(net.u.size(), 1.0);
      net.v = net.u;
      net.X.values = {1.0, -1.0};
      net.y = {-1.0, 1.0};
      Problem problem{net, oracle::solve(net), test::model_of(net, precision())};
      const double tolerance = precision() == Precision::fp64 ? 1e-12 : 1e-6;
      Trainer trainer = trainer_of(problem, {.tolerance = tolerance});
      for (int epoch = 0; epoch <= 8; ++epoch) {
        ASSERT_TRUE(trainer.evaluate().converged());
        // An audit at the same weights finds the true residual of what that has left (whatever it
        // has found and mended itself): P made anew is rounded once.
        if (epoch % 3 == 2) {
          const Evaluation is = trainer.evaluate(nullptr, true);
          ASSERT_TRUE(is.converged());
          EXPECT_LE(is.forward.audit.value_or(INFINITY), tolerance + test::epsilon(precision()))
              << "W is " << held(problem).W.values.front();
        }
        trainer.update(stride / problem.truth.dW.values.front());
      }
    }
}

TEST_P(WarmStartLimits, DeadAndRevivingSamplesAreNoFailures) {
  // On lattice weights, in epoch 35, the sixth of eleven samples leaves Z = 0 for a norm of 0.02.
  // On Gaussian weights, in epoch 20, it has died not long before and mixed gets a new base.
  const Shape shape{.m = 6, .n = 11, .d = 4, .gamma = 0.5};
  Problem problem = draw(shape, 614404, true, false);
  Trainer trainer = trainer_of(problem, {.tolerance = 1e-6});
  TrainerOptions how;
  how.warm_start = false;
  Trainer cold(backend(), problem.model, problem.net.X, problem.net.y, {.tolerance = 1e-6}, how);
  for (int epoch = 0; epoch < 40; ++epoch) {
    const Evaluation is = trainer.evaluate(), wanted = cold.evaluate();
    ASSERT_TRUE(wanted.converged());
    ASSERT_TRUE(is.converged()) << "epoch " << epoch << ": " << describe(is.forward.status)
                                << " at " << is.forward.worst_residual << " after "
                                << is.forward.sweeps << " sweeps, cold " << wanted.forward.sweeps;
    trainer.update(rate(problem, epoch % 5 == 4 ? 0.5 : 0.005));
  }
}

TEST_P(WarmStartLimits, WhatHasShrunkOnceIsNotTakenForShrunkForEver) {
  Problem problem = draw({.m = 130, .n = 7, .d = 5, .gamma = 0.5}, 99);
  const SolveOptions options{.tolerance = precision() == Precision::fp64 ? 1e-10 : 1e-6};
  Trainer trainer = trainer_of(problem, options, 1000);
  TrainerOptions how;
  how.warm_start = false;
  Trainer cold(backend(), problem.model, problem.net.X, problem.net.y, options, how);
  const HostMatrix W = held(problem).W;
  ASSERT_TRUE(trainer.evaluate().converged());
  // Z goes with W, whose changes are followed whatever made them: to a half, then by hundredths.
  for (const double size : {0.5, 0.495, 0.49, 0.485}) {
    SCOPED_TRACE("W times " + std::to_string(size));
    trainer.update(rate(problem, 1e-6));
    HostMatrix scaled = W;
    for (double& entry : scaled.values)
      entry *= size;
    backend().upload(scaled.view(), problem.model.W);
    const Evaluation is = trainer.evaluate(), wanted = cold.evaluate();
    ASSERT_TRUE(is.converged() && wanted.converged());
    if (size == 0.5) {  // warm in vain, and cold
      EXPECT_GT(is.forward.sweeps, wanted.forward.sweeps);
    } else {
      EXPECT_LT(is.forward.sweeps, wanted.forward.sweeps);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, WarmStartLimits, test::every_precision_and_law(),
                         [](const auto& it) { return test::name_of(it); });

TEST(WarmStartDoubts, EpochsThatAreAllAlikeKeepTheTolerance) {
  // One sample, small steps: epochs of a sweep or none, whose roundings all go one way.
  SKIP_UNLESS_SUPPORTED(Precision::mixed);
  constexpr double tolerance = 7e-7;
  for (const std::uint64_t seed : {1, 2, 3}) {
    const HostMatrix X = test::Random(seed).sphere(10, 1);
    Model model(backend(), Precision::mixed,
                {.gamma = 0.5, .injection = Injection::linear, .panels = 0}, 64, 10,
                WeightLaw::lattice, seed);
    Trainer trainer(backend(), model, X, {1.0}, {.tolerance = tolerance});
    double worst = 0.0;
    for (int epoch = 0; epoch < 150; ++epoch) {
      ASSERT_TRUE(trainer.evaluate().converged());
      if (epoch % 5 == 0) {
        const Weights now = download_weights(backend(), model);
        oracle::Network net;
        net.A = now.A;
        net.W = now.W;
        net.X = X;
        net.gamma = 0.5;
        net.relu_injection = false;
        const HostMatrix Phi = oracle::injection(net), Z = test::download(trainer.Z());
        worst = std::max(worst, test::largest(oracle::forward_residuals(net, Phi, Z)));
      }
      trainer.update(0.002);
    }
    EXPECT_LE(worst, tolerance) << "seed " << seed;
  }
}

TEST(WarmStartDoubts, APlaneThatWeighsMuchMoreThanItDidIsAudited) {
  SKIP_UNLESS_SUPPORTED(Precision::mixed);
  constexpr Index m = 64, few = 8, switching = 16;
  const auto sign = [](Index i) { return i % 2 == 0 ? 1.0 : -1.0; };
  // A is 0.075 a b', b = +-1 in the first rows, a = +-1 in the others: z of the first is theirs
  // alone, and moves the others by s 0.075 a (b'z); of l it is the reverse.
  oracle::Network net;
  net.A = HostMatrix(m, m);
  net.W = HostMatrix(m, 1);
  net.u = oracle::zeros(m);
  net.v = oracle::zeros(m);
  net.X = HostMatrix(1, 2);
  net.X.values = {1.0, 0.5};
  net.y = {3.0, -3.0};
  net.gamma = 0.5;
  net.relu_injection = false;
  net.skip = false;
  HostMatrix E(m, m);
  for (Index i = 0; i < m; ++i) {
    // b'z and a'l are 2 % of what they could be, but not zero: gains are small numbers.
    net.W(i, 0) = i < few ? 1.0 + 0.02 * sign(i) : 1.0;
    oracle::at(net.u, i) = i < few ? 1.0 : 1.0 + 0.02 * sign(i);
    for (Index k = 0; i >= few && k < few; ++k)
      E(i, k) = 0.075 * sign(i) * sign(k);
  }
  Problem problem{net, oracle::Solution(), test::model_of(net, Precision::mixed)};
  backend().add_scaled(problem.model.A.change(), 1.0, test::upload(Element::float32, E));
  problem.model.A.refresh();
  ASSERT_TRUE(problem.model.A.operand().has_plane);
  ASSERT_TRUE(problem.model.A.operand().own_base.empty());  // the base is zero, all of A the plane

  const double tolerance = 1e-5;
  TrainerOptions rarely;
  rarely.audit_every = 1000;
  Trainer trainer(backend(), problem.model, net.X, net.y, {.tolerance = tolerance}, rarely);
  ASSERT_TRUE(trainer.evaluate().converged());
  trainer.update(1e-9);
  // Phi's change is followed whatever made it. z moves along b; 16 units of one sign go off.
  HostMatrix W = net.W;
  for (Index k = 0; k < few; ++k)
    W(k, 0) += 0.8 * sign(k);
  for (Index i = few; i < few + 2 * switching; i += 2)
    W(i, 0) = -1.0;
  backend().upload(W.view(), problem.model.W);
  const Evaluation is = trainer.evaluate();
  ASSERT_TRUE(is.converged());
  EXPECT_TRUE(is.forward.audit.has_value())
      << "no audit was due, but the plane's gain grew 88-fold";
  EXPECT_TRUE(is.adjoint.audit.has_value()) << "the same, 36-fold";

  // And what has been audited is right: P made anew is rounded once.
  const oracle::Network now = held(problem);
  const HostMatrix Z = test::download(trainer.Z()), Phi = oracle::injection(now);
  const double allowed = tolerance + 4.0 * test::epsilon(Precision::mixed);
  EXPECT_LE(test::largest(oracle::forward_residuals(now, Phi, Z)), allowed);
  EXPECT_LE(test::largest(oracle::adjoint_residuals(now, oracle::pre_activation(now, Phi, Z),
                                                    test::download(trainer.L()))),
            allowed);
}

}  // namespace
}  // namespace widedeq
