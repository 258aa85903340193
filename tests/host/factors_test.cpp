// Updates of A that are kept as factors: the matrix they make, products with it, the solves, and
// when they are kept at all.
#include <gtest/gtest.h>

#include "host/update_cost.hpp"
#include "host/weight_operator.hpp"
#include "tests/support.hpp"

namespace widedeq {
namespace {

using test::backend;

constexpr Index m = 200, n = 4;

/// Three rank-n updates of a model's A, and A in double with the same three added.
struct Updated {
  Model model;
  HostMatrix A;

  explicit Updated(WeightLaw law)
      : model(backend(), Precision::mixed, {.gamma = 0.5, .panels = 0}, m, 5, law, 3),
        A(model.A.download_columns(0, m)) {
    test::Random random(8);
    for (int update = 0; update < 3; ++update) {
      const HostMatrix left = test::rounded(Element::float32, random.matrix(m, n));
      const HostMatrix right = test::rounded(Element::float32, random.matrix(m, n));
      const std::vector<double> r{0.5, -2.0, 1.0, 0.25};
      const double alpha = 1e-3;
      const HostMatrix G = oracle::weighted_outer(1.0, left, r, right);
      double squares = 0.0;
      for (std::size_t i = 0; i < G.values.size(); ++i) {
        A.values[i] += alpha * G.values[i];
        squares += G.values[i] * G.values[i];
      }
      const double said = model.A.add_rank_update(alpha, test::upload(Element::float32, left), r,
                                                  test::upload(Element::float32, right));
      // A sum of n^2 products of Gram entries in single precision.
      EXPECT_NEAR(said / squares, 1.0, 1e-5);
    }
    model.A.refresh();
  }
};

class Factors : public testing::TestWithParam<WeightLaw> {
 protected:
  void SetUp() override { SKIP_UNLESS_SUPPORTED(Precision::mixed); }
};

TEST_P(Factors, AreKeptAndMakeTheSameMatrix) {
  ASSERT_GT(updates_to_keep(m, n), 3);
  const Updated it(GetParam());
  EXPECT_EQ(it.model.A.view().left.columns, 3 * n);
  EXPECT_TRUE(it.model.A.operand().has_plane);
  // The norm of a sum of matrices is at most the sum of their norms.
  EXPECT_GT(it.model.A.operand().plane_size, 0.0);
  const HostMatrix A = it.model.A.download_columns(0, m);
  EXPECT_LT(test::relative_error(A, it.A), 1e-7);
  // A few columns are what they are in the whole, but for the order in which the library sums up a
  // product of another shape (some processors' kernels differ there).
  HostMatrix part(m, 3);
  part.values.assign(A.values.begin() + 17 * m, A.values.begin() + 20 * m);
  EXPECT_LT(test::relative_error(it.model.A.download_columns(17, 3), part), 1e-7);
}

TEST_P(Factors, TakePartInProductsWithVectors) {
  const Updated it(GetParam());
  test::Random random(9);
  const HostMatrix x = random.matrix(m, 1);
  for (const Transpose transpose : {Transpose::no, Transpose::yes}) {
    HostMatrix y(m, 1);
    backend().apply(it.model.A.view(), transpose, x.values, y.values);
    const HostMatrix op = transpose == Transpose::yes ? oracle::transpose(it.A) : it.A;
    EXPECT_LT(test::relative_error(y, oracle::multiply(op, x)), 1e-7);
  }
}

TEST_P(Factors, TakePartInSolves) {
  const Updated it(GetParam());
  test::Random random(10);
  const HostMatrix X = random.sphere(5, 7);
  const test::Answer is = test::solve(it.model, X, {.tolerance = 1e-7, .max_sweeps = 200});
  ASSERT_EQ(is.forward.status, SolveStatus::converged);
  ASSERT_EQ(is.adjoint.status, SolveStatus::converged);
  oracle::Network net;
  Weights weights = download_weights(backend(), it.model);
  net.A = it.A;
  net.W = std::move(weights.W);
  net.u = std::move(weights.u);
  net.v = std::move(weights.v);
  net.X = X;
  net.y = oracle::zeros(X.columns);
  net.gamma = 0.5;
  net.relu_injection = net.skip = true;
  EXPECT_LT(test::relative_error(is.Z, oracle::equilibrium(net, is.Phi).Z), 2e-6);
  EXPECT_LT(test::relative_error(is.L, oracle::adjoint(net, is.P)), 2e-6);
}

TEST_P(Factors, AreFoldedWhenThereAreEnough) {
  Updated it(GetParam());
  const Index keep = updates_to_keep(m, n);
  const Matrix zeros = backend().allocate(Element::float32, m, n);
  for (Index update = 3; update < keep; ++update)
    it.model.A.add_rank_update(1.0, zeros, std::vector<double>(n, 1.0), zeros);
  EXPECT_EQ(it.model.A.view().left.columns, keep * n);
  it.model.A.add_rank_update(1.0, zeros, std::vector<double>(n, 1.0), zeros);
  EXPECT_EQ(it.model.A.view().left.columns, n);
  it.model.A.refresh();
  EXPECT_LT(test::relative_error(it.model.A.download_columns(0, m), it.A), 1e-7);
  test::Random random(11);
  const HostMatrix x = random.matrix(m, 1);
  HostMatrix y(m, 1);
  backend().apply(it.model.A.view(), Transpose::no, x.values, y.values);
  EXPECT_LT(test::relative_error(y, oracle::multiply(it.A, x)), 1e-7);
}

TEST_P(Factors, TheirNormSurvivesCancellation) {
  // Two nearly equal samples with opposite r: G is 1e-5 of its two terms.
  Updated it(GetParam());
  test::Random random(13);
  HostMatrix left = random.matrix(m, 2), right = random.matrix(m, 2);
  for (Index i = 0; i < m; ++i) {
    left(i, 1) = left(i, 0) * (1.0 + 1e-5 * random.uniform(-1.0, 1.0));
    right(i, 1) = right(i, 0) * (1.0 + 1e-5 * random.uniform(-1.0, 1.0));
  }
  left = test::rounded(Element::float32, left);
  right = test::rounded(Element::float32, right);
  const std::vector<double> r{3.0, -3.0};
  double squares = 0.0;
  for (const double entry : oracle::weighted_outer(1.0, left, r, right).values)
    squares += entry * entry;
  const double said = it.model.A.add_rank_update(1.0, test::upload(Element::float32, left), r,
                                                 test::upload(Element::float32, right));
  EXPECT_NEAR(said / squares, 1.0, 1e-4);
}

TEST_P(Factors, PlanesOfNextToNothingDoNoHarm) {
  // Factors of zero norm, and a base whose zeros are not quite zero.
  test::Random random(14);
  Model model(backend(), Precision::mixed, {.gamma = 0.5, .panels = 0}, m, 5, GetParam(), 3);
  Weights weights = download_weights(backend(), model);
  const HostMatrix X = random.sphere(5, 7);
  for (const double size : {0.0, 1e-15, 1e-23, 1e-30}) {
    Weights tiny = weights;
    for (double& entry : tiny.A.values)
      entry = entry == 0.0 ? size : entry;
    Model held(backend(), Precision::mixed, {.gamma = 0.5, .panels = 0}, tiny);
    const Matrix zeros = backend().allocate(Element::float32, m, n);
    held.A.add_rank_update(1.0, zeros, std::vector<double>(n, 0.0), zeros);
    held.A.refresh();
    const test::Answer is = test::solve(held, X, {.tolerance = 1e-6, .max_sweeps = 200});
    EXPECT_EQ(is.forward.status, SolveStatus::converged) << size;
    EXPECT_EQ(is.adjoint.status, SolveStatus::converged) << size;
    oracle::Network net;
    net.A = tiny.A;
    net.gamma = 0.5;
    const double allowed = 1e-6 + 4.0 * test::epsilon(Precision::mixed);
    EXPECT_LE(test::largest(oracle::forward_residuals(net, is.Phi, is.Z)), allowed) << size;
  }
}

TEST_P(Factors, TheOperandKnowsHowLargeThePlaneAndItsLastChangeAre) {
  Model model(backend(), Precision::mixed, {.gamma = 0.5, .panels = 0}, m, 5, GetParam(), 3);
  const Operand& operand = model.A.operand();
  /// ||A - step base||_F
  const auto plane_norm = [&] {
    HostMatrix plane = model.A.download_columns(0, m);
    const HostMatrix base = test::download(model.A.view().base);
    for (std::size_t i = 0; i < plane.values.size(); ++i)
      plane.values[i] -= model.A.view().step * base.values[i];
    return oracle::norm(plane.values);
  };
  double most = plane_norm();  // a sum's norm is at most the sum of the norms
  test::Random random(15);
  for (const double alpha : {1e-3, -5e-4, 1e-3}) {
    const HostMatrix left = test::rounded(Element::float32, random.matrix(m, n));
    const HostMatrix right = test::rounded(Element::float32, random.matrix(m, n));
    const std::vector<double> r{0.5, -2.0, 1.0, 0.25};
    model.A.add_rank_update(alpha, test::upload(Element::float32, left), r,
                            test::upload(Element::float32, right));
    model.A.refresh();
    const double update =
        std::abs(alpha) * oracle::norm(oracle::weighted_outer(1.0, left, r, right).values);
    most += update;
    // Norms of single-precision products: some roundings, of sums of n^2 Gram entries.
    EXPECT_NEAR(operand.plane_change, update, 1e-5 * update);
    EXPECT_GE(operand.plane_size, plane_norm() * (1.0 - 1e-5));
    EXPECT_LE(operand.plane_size, most * (1.0 + 1e-5));
  }
  ASSERT_TRUE(operand.own_base.empty());

  // Folded there is one matrix, whose norm is known, and factors of nothing.
  const Matrix zeros = backend().allocate(Element::float32, m, n);
  for (Index update = 3; update <= updates_to_keep(m, n); ++update)
    model.A.add_rank_update(1.0, zeros, std::vector<double>(n, 1.0), zeros);
  ASSERT_EQ(model.A.view().left.columns, n);
  model.A.refresh();
  EXPECT_NEAR(operand.plane_size, plane_norm(), 1e-5 * plane_norm());
  EXPECT_EQ(operand.plane_change, 0.0);
}

INSTANTIATE_TEST_SUITE_P(, Factors, testing::Values(WeightLaw::lattice, WeightLaw::gaussian),
                         [](const auto& it) {
                           return it.param == WeightLaw::lattice ? "lattice" : "gaussian";
                         });

TEST(UpdateCost, FactorsAreForFewSamplesAndWideNetworks) {
  EXPECT_EQ(updates_to_keep(4096, 1000), 0);
  EXPECT_EQ(updates_to_keep(1024, 360), 0);
  EXPECT_EQ(updates_to_keep(16384, 64), 12);  // sqrt(40 m) / n
  for (const Index width : {64, 1000, 20000})
    for (Index samples = 1; samples < 2000; samples *= 3)
      EXPECT_GE(updates_to_keep(width, samples), updates_to_keep(width, samples + 1));
}

TEST(UpdateCost, OtherPrecisionsAddUpdatesAtOnce) {
  for (const Precision precision : {Precision::fp64, Precision::fp32}) {
    WeightOperator A(backend(), precision, m, WeightLaw::lattice, 1);
    const Matrix factor = backend().allocate(real_of(precision), m, n);
    A.add_rank_update(1.0, factor, std::vector<double>(n, 1.0), factor);
    EXPECT_TRUE(A.view().left.empty());
  }
}

}  // namespace
}  // namespace widedeq
