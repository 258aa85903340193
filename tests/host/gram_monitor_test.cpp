// The Gram monitor: the right matrix, computed from copies, one at a time, with its errors handed
// on.
#include "host/gram_monitor.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "host/activation_pattern.hpp"
#include "host/failure.hpp"
#include "host/spectrum.hpp"
#include "host/trainer.hpp"
#include "tests/support.hpp"

namespace widedeq {
namespace {

using test::backend;
using test::Draw;
using test::relative_error;

/// The share of entries whose signs, + or not, differ.
double share_of_flips(const HostMatrix& now, const HostMatrix& before) {
  double flips = 0.0;
  for (Index j = 0; j < now.columns; ++j)
    for (Index i = 0; i < now.rows; ++i)
      flips += (now(i, j) > 0.0) != (before(i, j) > 0.0) ? 1.0 : 0.0;
  return flips / static_cast<double>(now.rows * now.columns);
}

class Monitor : public testing::TestWithParam<Precision> {
 protected:
  Precision precision() const { return GetParam(); }
  Element real() const { return real_of(precision()); }
  void SetUp() override { SKIP_UNLESS_SUPPORTED(precision()); }
  double bound() const { return precision() == Precision::fp64 ? 1e-12 : 2e-6; }

  test::Problem problem(std::uint64_t seed, bool skip = true, Index n = 17) const {
    return test::draw_problem({.m = 64, .n = n, .d = 5, .gamma = 0.5}, precision(), Draw::gaussian,
                              true, skip, seed);
  }
};

TEST_P(Monitor, GivesTheOraclesKernelForAnyChunks) {
  for (const bool skip : {true, false})
    for (const Index chunk : {Index{17}, Index{6}, Index{1}}) {
      test::Problem it = problem(1, skip);
      Trainer trainer(backend(), it.model, it.net.X, it.net.y, test::tight(precision()), chunk);
      GramMonitor monitor(backend(), it.model, 17, test::tight(precision()).tolerance);
      EXPECT_FALSE(monitor.busy());
      EXPECT_FALSE(monitor.poll().has_value());
      EXPECT_FALSE(monitor.wait().has_value());

      monitor.begin(42);
      ASSERT_TRUE(trainer.evaluate(&monitor).converged());
      const bool is_awaited = chunk == 6;
      monitor.submit(it.model, trainer.X(), {1.5, 0.25}, is_awaited);
      if (is_awaited) {
        EXPECT_FALSE(monitor.poll().has_value());  // wait() is to make it
      }
      const std::optional<GramStatistics> is = monitor.wait();
      ASSERT_TRUE(is.has_value());
      EXPECT_EQ(is->epoch, 42);
      EXPECT_EQ(is->weights.operator_norm, 1.5);
      EXPECT_EQ(is->weights.distance, 0.25);
      EXPECT_EQ(is->flipped, 0.0);
      EXPECT_LE(relative_error(is->states, oracle::inner_products(it.truth.Z)), bound());
      HostMatrix adjoints = oracle::inner_products(it.truth.L);
      for (double& entry : adjoints.values)
        entry /= 64.0;
      EXPECT_LE(relative_error(is->adjoints, adjoints), bound());
      EXPECT_LE(relative_error(is->ntk, it.truth.H), bound());
      const oracle::Vector eigenvalues = oracle::eigenvalues(it.truth.H);
      EXPECT_LE(relative_error(is->eigenvalues, eigenvalues), bound());
      EXPECT_NEAR(is->lambda_max, eigenvalues.back(), bound() * eigenvalues.back());
      EXPECT_NEAR(is->lambda_min, eigenvalues.front(), bound() * eigenvalues.back());
      EXPECT_EQ(is->lambda_min, is->eigenvalues.front());
      EXPECT_EQ(is->lambda_max, is->eigenvalues.back());
      EXPECT_NEAR(is->trace, trace(it.truth.H), bound() * is->trace);
      EXPECT_EQ(is->drift, 0.0);
      const oracle::Vector features = oracle::eigenvalues(it.truth.G);
      EXPECT_NEAR(is->feature_lambda_min, features.front(), bound() * features.back());

      // Handed out once.
      EXPECT_FALSE(monitor.busy());
      EXPECT_FALSE(monitor.poll().has_value());
      EXPECT_FALSE(monitor.wait().has_value());
    }
}

TEST_P(Monitor, DriftIsMeasuredFromTheFirstGram) {
  test::Problem it = problem(2);
  Trainer trainer(backend(), it.model, it.net.X, it.net.y, test::tight(precision()));
  GramMonitor monitor(backend(), it.model, 17, test::tight(precision()).tolerance);
  oracle::Network net = it.net;
  const double eta = 0.3 / oracle::eigenvalues(it.truth.H).back();
  HostMatrix first;
  for (int epoch = 0; epoch < 4; ++epoch) {
    monitor.begin(epoch);
    ASSERT_TRUE(trainer.evaluate(&monitor).converged());
    monitor.submit(it.model, trainer.X());
    trainer.update(eta);  // while the Gram is in flight
    const std::optional<GramStatistics> is = monitor.wait();
    const oracle::Solution truth = oracle::descend(net, eta);
    ASSERT_TRUE(is.has_value());
    EXPECT_EQ(is->epoch, epoch);
    // A mask entry that flips a step early moves H by a few in 10^4 at most; fp64 flips with the
    // oracle.
    EXPECT_LE(relative_error(is->ntk, truth.H), precision() == Precision::fp64 ? 1e-10 : 1e-3);
    // Entries of P within rounding of zero may be on either side: none of 64 x 17 in fp64.
    const double flips = share_of_flips(truth.P, it.truth.P);
    EXPECT_NEAR(is->flipped, flips, precision() == Precision::fp64 ? 0.0 : 2.5 / (64 * 17));
    EXPECT_EQ(is->states.values.empty(), epoch > 0);
    const double drift = relative_distance(truth.H, it.truth.H);
    EXPECT_NEAR(is->drift, drift, precision() == Precision::fp64 ? 1e-10 : 1e-3);
    if (epoch == 0) first = is->ntk;
    EXPECT_NEAR(is->drift, relative_distance(is->ntk, first), 1e-12);
    if (epoch > 0) {
      EXPECT_GT(is->drift, 1e-4);
    }
    if (epoch == 3) {
      EXPECT_GT(is->flipped, 0.0);
    }
  }
}

TEST_P(Monitor, ComputesFromCopies) {
  test::Problem it = problem(3);
  const test::Answer solved = test::solve(it.model, it.net.X, test::tight(precision()));
  Matrix Z = test::upload(real(), solved.Z), L = test::upload(real(), solved.L),
         Phi = test::upload(real(), solved.Phi);
  const Matrix X = test::upload(real(), it.net.X);
  GramMonitor monitor(backend(), it.model, 17, test::tight(precision()).tolerance);
  monitor.begin(0);
  monitor.take(0, Z.columns(0, 10), L.columns(0, 10), Phi.columns(0, 10));
  monitor.take(10, Z.columns(10, 7), L.columns(10, 7), Phi.columns(10, 7));
  monitor.submit(it.model, X);
  for (Matrix* matrix : {&Z, &L, &Phi, &it.model.v, &it.model.W, &it.model.u})
    backend().fill(*matrix, 99.0);
  backend().fill(it.model.A.change(), 99.0);
  const std::optional<GramStatistics> is = monitor.wait();
  ASSERT_TRUE(is.has_value());
  EXPECT_LE(relative_error(is->ntk, it.truth.H), bound());
}

TEST_P(Monitor, PollYieldsExactlyOnceAndNeverWhileBusy) {
  test::Problem it = problem(4, true, 16);
  // Many samples, so that the Gram takes a while.
  const Index n = 400;
  const HostMatrix X = test::Random(5).sphere(5, n);
  const test::Answer solved = test::solve(it.model, X, {.tolerance = 1e-5});
  const Matrix Z = test::upload(real(), solved.Z), L = test::upload(real(), solved.L),
               Phi = test::upload(real(), solved.Phi), inputs = test::upload(real(), X);
  GramMonitor monitor(backend(), it.model, n, test::tight(precision()).tolerance);
  for (int epoch = 0; epoch < 2; ++epoch) {
    monitor.begin(epoch);
    monitor.take(0, Z, L, Phi);
    monitor.submit(it.model, inputs);
    std::optional<GramStatistics> is;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!is && std::chrono::steady_clock::now() < deadline) {
      const bool was_done = !monitor.busy();
      is = monitor.poll();
      if (was_done) {
        EXPECT_TRUE(is.has_value());
      }
      std::this_thread::yield();
    }
    ASSERT_TRUE(is.has_value());
    EXPECT_EQ(is->epoch, epoch);
    EXPECT_FALSE(monitor.busy());
    EXPECT_FALSE(monitor.poll().has_value());
    EXPECT_LE(relative_error(is->ntk, solved.H), 1e-13);
  }
}

TEST_P(Monitor, HandsOnWhatWentWrongOnItsThreadAndGoesOn) {
  test::Problem it = problem(6);
  const test::Answer solved = test::solve(it.model, it.net.X, test::tight(precision()));
  HostMatrix bad = solved.Z;
  bad(3, 2) = NAN;
  const Matrix Z = test::upload(real(), solved.Z), L = test::upload(real(), solved.L),
               Phi = test::upload(real(), solved.Phi), X = test::upload(real(), it.net.X),
               broken = test::upload(real(), bad);
  GramMonitor monitor(backend(), it.model, 17, test::tight(precision()).tolerance);
  const auto start = [&](const Matrix& states) {
    monitor.begin(1);
    monitor.take(0, states, L, Phi);
    monitor.submit(it.model, X);
  };
  start(broken);
  EXPECT_THROW(monitor.wait(), Failure);
  EXPECT_FALSE(monitor.busy());
  EXPECT_FALSE(monitor.wait().has_value());  // once

  start(broken);
  while (monitor.busy())
    std::this_thread::yield();
  EXPECT_THROW(monitor.poll(), Failure);

  start(Z);
  const std::optional<GramStatistics> is = monitor.wait();
  ASSERT_TRUE(is.has_value());
  EXPECT_LE(relative_error(is->ntk, it.truth.H), bound());
}

TEST_P(Monitor, MayBeDestroyedWithAGramInFlightOrUnread) {
  test::Problem it = problem(7);
  Trainer trainer(backend(), it.model, it.net.X, it.net.y, test::tight(precision()));
  { GramMonitor idle(backend(), it.model, 17, test::tight(precision()).tolerance); }
  {
    GramMonitor begun(backend(), it.model, 17, test::tight(precision()).tolerance);
    begun.begin(0);
  }
  {
    GramMonitor in_flight(backend(), it.model, 17, test::tight(precision()).tolerance);
    in_flight.begin(0);
    trainer.evaluate(&in_flight);
    in_flight.submit(it.model, trainer.X());
  }
  {
    GramMonitor unread(backend(), it.model, 17, test::tight(precision()).tolerance);
    unread.begin(0);
    trainer.evaluate(&unread);
    unread.submit(it.model, trainer.X());
    while (unread.busy())
      std::this_thread::yield();
  }
}

TEST_P(Monitor, DoesNotChangeWhatTrainingComputes) {
  const auto run = [&](bool watched) {
    test::Problem it = problem(8);
    Trainer trainer(backend(), it.model, it.net.X, it.net.y, {.tolerance = 1e-6}, 6);
    GramMonitor monitor(backend(), it.model, 17, test::tight(precision()).tolerance);
    std::vector<double> losses;
    for (int epoch = 0; epoch < 5; ++epoch) {
      const bool now = watched && !monitor.busy();
      if (now) monitor.begin(epoch);
      losses.push_back(trainer.evaluate(now ? &monitor : nullptr).loss);
      if (now) monitor.submit(it.model, trainer.X());
      trainer.update(1e-3);
      monitor.poll();
    }
    return losses;
  };
  EXPECT_EQ(run(true), run(false));
}

TEST_P(Monitor, ShapesThatDoNotFitAreRefused) {
  test::Problem it = problem(9);
  GramMonitor monitor(backend(), it.model, 17, test::tight(precision()).tolerance);
  const Matrix good = backend().allocate(real(), 64, 17), tall = backend().allocate(real(), 65, 17),
               narrow = backend().allocate(real(), 64, 16),
               many = backend().allocate(real(), 64, 18);
  monitor.begin(0);
  EXPECT_THROW(monitor.take(0, tall, good, good), ShapeError);
  EXPECT_THROW(monitor.take(0, good, narrow, good), ShapeError);
  EXPECT_THROW(monitor.take(0, many, many, many), ShapeError);
  EXPECT_THROW(monitor.take(5, good, good, good), ShapeError);
}

INSTANTIATE_TEST_SUITE_P(, Monitor,
                         testing::Values(Precision::fp64, Precision::fp32, Precision::mixed),
                         [](const auto& it) { return std::string(test::name_of(it.param)); });

TEST(ActivationPatterns, CountFlipsInMatricesTooLargeToFetchAtOnce) {
  // 2048 columns of 4096 entries are fetched at a time: three columns of ones in the first part,
  // ten at the end of the second.
  constexpr Index m = 4096, n = 2100;
  Matrix Z = backend().allocate(Element::float32, m, n);
  const ActivationPattern none(backend(), Z, 1e-6);
  backend().fill(Z.columns(0, 3), 1.0);
  backend().fill(Z.columns(n - 10, 10), 1.0);
  const ActivationPattern some(backend(), Z, 1e-6);
  EXPECT_DOUBLE_EQ(some.flipped_since(none), 13.0 / static_cast<double>(n));
  EXPECT_EQ(some.flipped_since(some), 0.0);
}

}  // namespace
}  // namespace widedeq
