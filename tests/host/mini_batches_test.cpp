// Mini-batches: the order they are drawn in, their gradients, and an epoch against the oracle's.
#include "host/mini_batches.hpp"

#include <gtest/gtest.h>

#include <map>

#include "tests/support.hpp"

namespace widedeq::test {
namespace {

// ---- order

TEST(SampleOrder, IsAPermutationThatDependsOnSeedAndEpochAlone) {
  for (const Index n : {Index{1}, Index{2}, Index{7}, Index{1000}}) {
    const std::vector<Index> order = sample_order(5, 3, n);
    EXPECT_EQ(order, sample_order(5, 3, n));
    std::vector<Index> sorted = order;
    std::ranges::sort(sorted);
    for (Index j = 0; j < n; ++j)
      ASSERT_EQ(sorted[static_cast<std::size_t>(j)], j);
  }
  const std::vector<Index> order = sample_order(5, 3, 1000);
  EXPECT_NE(order, sample_order(5, 4, 1000));
  EXPECT_NE(order, sample_order(6, 3, 1000));
  EXPECT_NE(order, sample_order(5 + (std::uint64_t{1} << 40), 3, 1000));
}

TEST(SampleOrder, TakesAllOrdersEquallyOften) {
  // Pearson's statistic over the 24 orders of four: 23 degrees of freedom, above 56 with
  // probability 1e-4.
  std::map<std::vector<Index>, int> seen;
  const int epochs = 24000;
  for (int epoch = 0; epoch < epochs; ++epoch)
    ++seen[sample_order(1, epoch, 4)];
  ASSERT_EQ(seen.size(), 24U);
  double statistic = 0.0;
  for (const auto& [order, count] : seen)
    statistic += (count - 1000.0) * (count - 1000.0) / 1000.0;
  EXPECT_LT(statistic, 56.0);
  EXPECT_GT(statistic, 4.5);  // as even as that is as unlikely

  // And of twenty samples every one is everywhere: 20 x 20 counts whose rows and columns add up,
  // 361 degrees of freedom, within five standard deviations (of sqrt(2 x 361)).
  std::vector<double> counts(400);
  for (int epoch = 0; epoch < 20000; ++epoch) {
    const std::vector<Index> order = sample_order(2, epoch, 20);
    for (std::size_t place = 0; place < 20; ++place)
      ++counts[place * 20 + static_cast<std::size_t>(order[place])];
  }
  statistic = 0.0;
  for (const double count : counts)
    statistic += (count - 1000.0) * (count - 1000.0) / 1000.0;
  EXPECT_NEAR(statistic, 361.0, 5.0 * std::sqrt(2.0 * 361.0));
}

// ---- gradients

/// Some of a network's samples.
oracle::Network part_of(const oracle::Network& net, const std::vector<Index>& samples) {
  oracle::Network part = net;
  part.X = HostMatrix(net.d(), static_cast<Index>(samples.size()));
  part.y.clear();
  for (std::size_t j = 0; j < samples.size(); ++j) {
    for (Index i = 0; i < net.d(); ++i)
      part.X(i, static_cast<Index>(j)) = net.X(i, samples[j]);
    part.y.push_back(oracle::at(net.y, samples[j]));
  }
  return part;
}

std::vector<std::vector<Index>> batches_of(const std::vector<Index>& order, std::size_t size) {
  std::vector<std::vector<Index>> batches;
  for (std::size_t first = 0; first < order.size(); first += size)
    batches.emplace_back(
        order.begin() + static_cast<std::ptrdiff_t>(first),
        order.begin() + static_cast<std::ptrdiff_t>(std::min(first + size, order.size())));
  return batches;
}

class Batches : public testing::TestWithParam<Precision> {
 protected:
  Precision precision() const { return GetParam(); }
  void SetUp() override { SKIP_UNLESS_SUPPORTED(precision()); }
  double bound() const {
    return precision() == Precision::fp64 ? 1e-12 : precision() == Precision::fp32 ? 2e-6 : 1e-5;
  }
};

TEST_P(Batches, GradientsAddUpToTheWholeOne) {
  const Shape shape{.m = 65, .n = 23, .d = 6, .gamma = 0.5};
  Problem problem = draw_problem(shape, precision(), Draw::lattice, true, true, 3);
  for (const Index chunk : {Index{0}, Index{4}}) {
    Trainer trainer(backend(), problem.model, problem.net.X, problem.net.y, tight(precision()),
                    chunk);
    for (const std::size_t size : {1U, 5U, 22U, 23U}) {
      std::vector<double> A(problem.truth.dA.values.size()), W(problem.truth.dW.values.size());
      double loss = 0.0;
      for (const auto& batch : batches_of(sample_order(1, 0, shape.n), size)) {
        const oracle::Network part = part_of(problem.net, batch);
        const Evaluation now = trainer.evaluate_batch(part.X, part.y);
        ASSERT_TRUE(now.converged());
        ASSERT_EQ(now.predictions.size(), batch.size());
        const Weights gradient = trainer.gradient();
        for (std::size_t i = 0; i < A.size(); ++i)
          A[i] += gradient.A.values[i];
        for (std::size_t i = 0; i < W.size(); ++i)
          W[i] += gradient.W.values[i];
        loss += now.loss;
      }
      EXPECT_NEAR(loss, problem.truth.loss, bound() * problem.truth.loss);
      EXPECT_LE(relative_error(A, problem.truth.dA.values), bound()) << size << " " << chunk;
      EXPECT_LE(relative_error(W, problem.truth.dW.values), bound()) << size << " " << chunk;
    }
    // And all of them in view again.
    const Evaluation all = trainer.evaluate();
    EXPECT_EQ(all.predictions.size(), 23U);
    EXPECT_LE(relative_error(trainer.gradient().A, problem.truth.dA), bound());
  }
}

TEST_P(Batches, AnEpochIsTheOracles) {
  for (const bool skip : {true, false})
    for (const Index chunk : {Index{0}, Index{3}}) {
      const Shape shape{.m = 48, .n = 13, .d = 4, .gamma = 0.5};
      Problem problem = draw_problem(shape, precision(), Draw::gaussian, true, skip, 11);
      oracle::Network net = problem.net;
      const double eta = 0.2 / oracle::eigenvalues(problem.truth.H).back();
      Trainer trainer(backend(), problem.model, net.X, net.y, tight(precision()), chunk);
      constexpr Index size = 5;  // 5, 5, 3
      for (int epoch = 0; epoch < 3; ++epoch) {
        const BatchesReport is = descend_in_batches(trainer, net.X, net.y, size, 7, epoch, eta);
        double loss = 0.0, squares = 0.0;
        std::vector<double> predictions(13);
        for (const auto& batch : batches_of(sample_order(7, epoch, 13), size)) {
          oracle::Network part = part_of(net, batch);
          const double scale = 13.0 / static_cast<double>(batch.size());
          const oracle::Solution before = oracle::descend(part, eta * scale);
          loss += before.loss;
          squares += std::pow(scale * before.gradient_norm(), 2);
          for (std::size_t j = 0; j < batch.size(); ++j)
            predictions[static_cast<std::size_t>(batch[j])] = before.prediction[j];
          net.A = part.A;
          net.W = part.W;
          net.u = part.u;
          net.v = part.v;
        }
        // Errors of nine steps add up, and a mask may flip a step early (trainer_test.cpp).
        const double allowed = precision() == Precision::fp64 ? 1e-11 : 1e-4;
        ASSERT_TRUE(is.seen.converged());
        EXPECT_EQ(is.steps, 3);
        EXPECT_NEAR(is.seen.loss, loss, allowed * loss);
        EXPECT_NEAR(is.gradient_norm, std::sqrt(squares / 3.0), allowed * is.gradient_norm);
        EXPECT_LE(relative_error(is.seen.predictions, predictions), allowed);
        EXPECT_EQ(is.seen.forward.residuals.size(), 13U);
        EXPECT_EQ(is.seen.forward.worst_residual, largest(is.seen.forward.residuals));
        const Weights now = download_weights(backend(), problem.model);
        EXPECT_LE(relative_error(now.A, net.A), allowed);
        EXPECT_LE(relative_error(now.W, net.W), allowed);
        EXPECT_LE(relative_error(now.u, net.u), allowed);
        EXPECT_LE(relative_error(now.v, net.v), allowed);
      }
    }
}

TEST_P(Batches, AWarmTrainerIsColdAfterThem) {
  const Shape shape{.m = 50, .n = 9, .d = 4, .gamma = 0.5};
  Problem problem = draw_problem(shape, precision(), Draw::lattice, true, true, 5);
  const SolveOptions options{.tolerance = 1e-6};
  Trainer trainer(backend(), problem.model, problem.net.X, problem.net.y, options);
  const double eta = 0.1 / oracle::eigenvalues(problem.truth.H).back();
  for (int k = 0; k < 3; ++k) {
    ASSERT_TRUE(trainer.evaluate().converged());
    trainer.update(eta);
  }
  const oracle::Network part = part_of(problem.net, {2, 5, 7});
  ASSERT_TRUE(trainer.evaluate_batch(part.X, part.y).converged());
  const std::vector<double> after = trainer.evaluate().predictions;
  Trainer fresh(backend(), problem.model, problem.net.X, problem.net.y, options);
  // What a solve tells the next about the plane is the one thing that is not forgotten (mixed):
  // where it settles, not what it ends at.
  EXPECT_LE(relative_error(after, fresh.evaluate().predictions),
            precision() == Precision::mixed ? 1e-5 : 0.0);
}

TEST_P(Batches, ResidualsAreTheSamplesOwn) {
  const Shape shape{.m = 48, .n = 13, .d = 4, .gamma = 0.5};
  Problem problem = draw_problem(shape, precision(), Draw::lattice, true, true, 21);
  const SolveOptions options{.tolerance = 1e-4};
  const std::vector<Index> batch = batches_of(sample_order(7, 0, 13), 5).front();
  const oracle::Network part = part_of(problem.net, batch);
  // The first batch is solved at the weights as they are, by a trainer of no history.
  const Evaluation alone = Trainer(backend(), problem.model, problem.net.X, problem.net.y, options)
                               .evaluate_batch(part.X, part.y);
  Trainer trainer(backend(), problem.model, problem.net.X, problem.net.y, options);
  const BatchesReport is = descend_in_batches(trainer, problem.net.X, problem.net.y, 5, 7, 0, 1e-6);
  ASSERT_TRUE(is.seen.converged());
  ASSERT_EQ(is.seen.adjoint.residuals.size(), 13U);
  for (std::size_t j = 0; j < batch.size(); ++j) {
    const auto sample = static_cast<std::size_t>(batch[j]);
    EXPECT_EQ(is.seen.forward.residuals[sample], alone.forward.residuals[j]) << sample;
    EXPECT_EQ(is.seen.adjoint.residuals[sample], alone.adjoint.residuals[j]) << sample;
  }
}

INSTANTIATE_TEST_SUITE_P(, Batches,
                         testing::Values(Precision::fp64, Precision::fp32, Precision::mixed),
                         [](const auto& it) { return std::string(name_of(it.param)); });

TEST(MiniBatches, EndWhereABatchIsNotSolvedOrNotFinite) {
  Problem problem = draw_problem({.m = 40, .n = 8, .d = 3, .gamma = 0.5}, Precision::fp64,
                                 Draw::lattice, true, true, 13);
  const auto epoch = [&](const SolveOptions& options, const std::vector<double>& y, double eta) {
    Model model = model_of(problem.net, Precision::fp64);
    Trainer trainer(backend(), model, problem.net.X, y, options);
    return descend_in_batches(trainer, problem.net.X, y, 3, 1, 0, eta);
  };
  const BatchesReport failed = epoch({.tolerance = 1e-9, .max_sweeps = 2}, problem.net.y, 1e-3);
  EXPECT_EQ(failed.seen.forward.status, SolveStatus::max_sweeps);
  EXPECT_EQ(failed.steps, 0);
  // The first step throws A so far that nothing converges.
  const BatchesReport thrown = epoch({.tolerance = 1e-9}, problem.net.y, 1e6);
  EXPECT_FALSE(thrown.seen.converged());
  EXPECT_EQ(thrown.steps, 1);
  const BatchesReport beyond = epoch({.tolerance = 1e-9}, problem.net.y, 1e200);
  EXPECT_EQ(beyond.steps, 1);
  EXPECT_TRUE(beyond.seen.converged());
  EXPECT_TRUE(std::isfinite(beyond.gradient_norm));
  EXPECT_FALSE(std::isfinite(static_cast<float>(1e200 * beyond.gradient_norm)));
}

TEST(MiniBatches, OtherThanTheTrainersAreRefused) {
  Problem problem = draw_problem({.m = 20, .n = 6, .d = 3, .gamma = 0.5}, Precision::fp64,
                                 Draw::lattice, true, true, 1);
  Trainer trainer(backend(), problem.model, problem.net.X, problem.net.y, SolveOptions());
  const auto evaluate = [&](Index d, Index n, std::size_t targets) {
    trainer.evaluate_batch(HostMatrix(d, n), std::vector<double>(targets));
  };
  EXPECT_SHAPE_ERROR(evaluate(3, 7, 7), "7", "6");
  EXPECT_SHAPE_ERROR(evaluate(4, 2, 2), "4", "3");
  EXPECT_SHAPE_ERROR(evaluate(3, 2, 3), "2", "3");
  EXPECT_SHAPE_ERROR(evaluate(3, 0, 0), "0", "3");
}

TEST(MiniBatches, CurvatureIsTheLargestOfTheBlocks) {
  const oracle::Network net =
      random_network({.m = 20, .n = 10, .d = 3, .gamma = 0.5}, true, true, 2);
  const HostMatrix H = oracle::solve(net).H;
  const auto block_of = [&](const std::vector<Index>& batch) {
    const auto count = static_cast<Index>(batch.size());
    HostMatrix block(count, count);
    for (Index j = 0; j < count; ++j)
      for (Index i = 0; i < count; ++i)
        block(i, j) = H(batch[static_cast<std::size_t>(i)], batch[static_cast<std::size_t>(j)]);
    return block;
  };
  double wanted = 0.0;
  for (const auto& batch : batches_of(sample_order(3, 2, 10), 4))
    wanted = std::max(wanted, 10.0 / static_cast<double>(batch.size()) *
                                  oracle::eigenvalues(block_of(batch)).back());
  EXPECT_NEAR(batch_curvature(H, 4, 3, 2), wanted, 1e-12 * wanted);
  EXPECT_NEAR(batch_curvature(H, 10, 3, 2), oracle::eigenvalues(H).back(), 1e-12 * wanted);
  double diagonal = 0.0;
  for (Index j = 0; j < 10; ++j)
    diagonal = std::max(diagonal, H(j, j));
  EXPECT_NEAR(batch_curvature(H, 1, 3, 2), 10.0 * diagonal, 1e-12 * wanted);
}

}  // namespace
}  // namespace widedeq::test
