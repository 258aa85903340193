// The recurrent weights: what is stored is what was given, and the estimate of their norm.
#include "host/weight_operator.hpp"

#include <gtest/gtest.h>

#include "host/operator_norm.hpp"
#include "tests/support.hpp"

namespace widedeq {
namespace {

using test::backend;
using test::download;
using test::Random;
using test::relative_error;
using test::rounded;

class WeightOperators : public testing::TestWithParam<Precision> {
 protected:
  Precision precision() const { return GetParam(); }
  Element real() const { return real_of(precision()); }
  void SetUp() override { SKIP_UNLESS_SUPPORTED(precision()); }
};

TEST_P(WeightOperators, DrawALatticeByTheLaw) {
  const LatticeLaw law;
  for (const Index m : {1, 5, 66}) {
    const WeightOperator A(backend(), precision(), m, WeightLaw::lattice, 77);
    EXPECT_EQ(A.width(), m);
    EXPECT_EQ(A.precision(), precision());
    const HostMatrix values = A.download_columns(0, m);
    for (Index j = 0; j < m; ++j)
      for (Index i = 0; i < m; ++i)
        ASSERT_EQ(
            values(i, j),
            law(philox_words(77, Tensor::A, i / 4, j)[static_cast<std::size_t>(i % 4)]) / 32.0);
    EXPECT_TRUE(A.view().change.empty());
    EXPECT_EQ(A.view().step, 1.0 / 32.0);
  }
}

TEST_P(WeightOperators, DrawNormalsEntryByEntry) {
  for (const Index m : {1, 5, 66}) {
    const WeightOperator A(backend(), precision(), m, WeightLaw::gaussian, 78);
    HostMatrix wanted(m, m);
    for (Index j = 0; j < m; ++j)
      for (Index i = 0; i < m; ++i)
        wanted(i, j) = standard_normal(78, Tensor::A, i, j);
    const HostMatrix is = A.download_columns(0, m), law = rounded(real(), wanted);
    for (std::size_t i = 0; i < law.values.size(); ++i)
      ASSERT_NEAR(is.values[i], law.values[i], test::normal_rounding(real(), law.values[i])) << m;
  }
}

TEST_P(WeightOperators, HoldGivenWeightsWithoutError) {
  for (const Index m : {1, 2, 33, 65})
    for (const double size : {1.0, 1e-12, 1e9}) {
      HostMatrix A = Random(1).uneven(m);
      for (double& entry : A.values)
        entry *= size;
      const WeightOperator held(backend(), precision(), A.view());
      EXPECT_EQ(held.download_columns(0, m).values, rounded(real(), A).values);
      if (m > 3) {
        const HostMatrix middle = held.download_columns(1, 2);
        EXPECT_EQ(middle(0, 1), rounded(real(), A)(0, 2));
        EXPECT_EQ(middle.columns, 2);
      }
    }
}

TEST_P(WeightOperators, KeepNoChangeForWeightsThatInt8Holds) {
  HostMatrix A = Random(2).matrix(20, 20);
  for (double& entry : A.values)
    entry = std::max(-127.0, std::min(127.0, std::rint(32.0 * entry))) / 32.0;
  const WeightOperator held(backend(), precision(), A.view());
  EXPECT_TRUE(held.view().change.empty());
  EXPECT_FALSE(held.operand().has_plane);
  EXPECT_EQ(held.download_columns(0, 20).values, A.values);
  const WeightOperator zero(backend(), precision(), HostMatrix(3, 3).view());
  EXPECT_EQ(zero.download_columns(0, 3).values, HostMatrix(3, 3).values);
}

TEST_P(WeightOperators, AddToTheChangeAlone) {
  WeightOperator A(backend(), precision(), 30, WeightLaw::lattice, 79);
  HostMatrix wanted = A.download_columns(0, 30);
  const HostMatrix base = download(A.view().base);
  const HostMatrix added = rounded(real(), Random(3).matrix(30, 30));
  // Far below one unit of a float of size 1: summed into the entries themselves it would be lost.
  const double size = 0x1p-30;
  backend().add_scaled(A.change(), size, test::upload(real(), added));
  A.refresh();
  EXPECT_EQ(download(A.view().base).values, base.values);
  const HostMatrix now = A.download_columns(0, 30);
  for (std::size_t i = 0; i < wanted.values.size(); ++i)
    EXPECT_DOUBLE_EQ(now.values[i], wanted.values[i] + size * added.values[i]);
}

TEST_P(WeightOperators, RefuseWhatIsNotFiniteOrNotSquare) {
  HostMatrix A = Random(4).matrix(4, 4);
  A(1, 2) = INFINITY;
  EXPECT_THROW(WeightOperator(backend(), precision(), A.view()), std::domain_error);
  A(1, 2) = NAN;
  EXPECT_THROW(WeightOperator(backend(), precision(), A.view()), std::domain_error);
  EXPECT_THROW(WeightOperator(backend(), precision(), HostMatrix(4, 3).view()), ShapeError);
  // Finite in double, not in the precision at hand.
  A(1, 2) = 1e300;
  if (precision() != Precision::fp64) {
    EXPECT_THROW(WeightOperator(backend(), precision(), A.view()), std::domain_error);
  }
}

// ---- the way from the start

TEST_P(WeightOperators, KnowHowFarTheyAreFromTheDraw) {
  for (const WeightLaw law : {WeightLaw::lattice, WeightLaw::gaussian})
    for (const Index m : {5, 66, 300}) {
      WeightOperator A(backend(), precision(), m, law, 90);
      const double drawing = law == WeightLaw::gaussian
                                 ? test::normal_rounding(real(), 1.0) * static_cast<double>(m)
                                 : 0.0;
      EXPECT_LE(A.distance_from({law, 90}), drawing);
      const HostMatrix start = A.download_columns(0, m);
      double moved = 0.0;
      for (int update = 0; update < 3; ++update) {
        const Index n = 4;
        const Matrix left = test::upload(real(), Random(1 + update).matrix(m, n)),
                     right = test::upload(real(), Random(9 + update).matrix(m, n));
        A.add_rank_update(-0.01, left, Random(5).vector(n), right);
        A.refresh();
        HostMatrix difference = A.download_columns(0, m);
        for (std::size_t i = 0; i < difference.values.size(); ++i)
          difference.values[i] -= start.values[i];
        const double distance = A.distance_from({law, 90});
        // Where the change is not kept apart from the draw it is rounded as A is, to eps/2 an entry
        // of size 1 or so; factors are summed anew.
        const double rounding = test::epsilon(precision()) * static_cast<double>(m);
        EXPECT_NEAR(distance, oracle::norm(difference.values), rounding) << m;
        EXPECT_GT(distance, moved);
        moved = distance;
      }
      // Of another draw, and of weights that were given: the draw is drawn once more.
      const WeightOperator given(backend(), precision(), start.view());
      EXPECT_LE(given.distance_from({law, 90}), drawing);
      const double apart = std::sqrt(2.0) * static_cast<double>(m);
      EXPECT_NEAR(given.distance_from({law, 91}), apart, 0.3 * apart);
    }
}

// ---- the operator norm

TEST_P(WeightOperators, NormEstimateIsFromBelowAndCloseAfterThirtySteps) {
  for (const auto& [m, law] :
       {std::pair{Index{40}, WeightLaw::lattice}, {150, WeightLaw::gaussian}}) {
    const WeightOperator A(backend(), precision(), m, law, 80);
    const double norm = oracle::operator_norm(A.download_columns(0, m));
    std::vector<double> start = Random(5).vector(m);
    double last = 0.0;
    for (const int steps : {1, 3, 10, 30}) {
      std::vector<double> own = start;
      const double estimate = estimate_operator_norm(backend(), A.view(), own, steps);
      EXPECT_LE(estimate, norm * (1.0 + 1e-10)) << steps << " steps";
      EXPECT_GE(estimate, last * (1.0 - 1e-12)) << steps << " steps";
      last = estimate;
    }
    EXPECT_GE(last, 0.98 * norm);
  }
}

TEST_P(WeightOperators, NormEstimateStartsWarmFromTheLastVector) {
  const Index m = 120;
  const WeightOperator A(backend(), precision(), m, WeightLaw::gaussian, 81);
  std::vector<double> start = Random(6).vector(m);
  const double first = estimate_operator_norm(backend(), A.view(), start, 40);
  ASSERT_EQ(start.size(), static_cast<std::size_t>(m));
  // The vector that comes back does what the estimate says: ||A v|| / ||v||.
  const HostMatrix values = A.download_columns(0, m);
  const double reached = oracle::norm(oracle::weighted_sum(values, start)) / oracle::norm(start);
  EXPECT_NEAR(reached, first, 0.01 * first);
  const double again = estimate_operator_norm(backend(), A.view(), start, 2);
  EXPECT_GE(again, 0.99 * first);
  EXPECT_LE(again, oracle::operator_norm(values) * (1.0 + 1e-10));
}

TEST_P(WeightOperators, ANormWhoseVectorHasChangedIsFound) {
  // The largest of the diagonal is another entry now, to whose vector the old one is orthogonal.
  const Index m = 60;
  HostMatrix A(m, m);
  for (Index i = 0; i < m; ++i)
    A(i, i) = 1.0 + 0.01 * static_cast<double>(i);
  A(3, 3) = 2.0;
  OperatorNorm norm;
  const auto norm_of = [&](const HostMatrix& values) {
    const WeightOperator held(backend(), precision(), values.view());
    return norm.estimate(backend(), held.view());
  };
  EXPECT_NEAR(norm_of(A), 2.0, 1e-6);
  A(40, 40) = 2.001;
  EXPECT_NEAR(norm_of(A), 2.001, 1e-6);
  EXPECT_NEAR(norm_of(A), 2.001, 1e-6);
}

TEST_P(WeightOperators, NormEstimateIsExactWhereTheKrylovSpaceEnds) {
  // Rank one, the identity, one entry, nothing: the bidiagonalisation breaks down early.
  const auto estimate = [&](const HostMatrix& A, int steps) {
    std::vector<double> start = Random(7).vector(A.rows);
    const WeightOperator held(backend(), precision(), A.view());
    const double result = estimate_operator_norm(backend(), held.view(), start, steps);
    EXPECT_TRUE(test::all_finite(start));
    return result;
  };
  HostMatrix outer(6, 6), identity(6, 6), one(1, 1);
  for (Index j = 0; j < 6; ++j)
    for (Index i = 0; i < 6; ++i)
      outer(i, j) = static_cast<double>((i + 1) * (j - 2));  // norms^2 91 and 19
  for (Index i = 0; i < 6; ++i)
    identity(i, i) = 2.0;
  one(0, 0) = -3.0;
  EXPECT_NEAR(estimate(outer, 10), std::sqrt(91.0 * 19.0), 1e-10);
  EXPECT_NEAR(estimate(identity, 10), 2.0, 1e-13);
  EXPECT_NEAR(estimate(one, 5), 3.0, 1e-13);
  EXPECT_EQ(estimate(HostMatrix(4, 4), 5), 0.0);
}

INSTANTIATE_TEST_SUITE_P(, WeightOperators,
                         testing::Values(Precision::fp64, Precision::fp32, Precision::mixed),
                         [](const auto& it) { return std::string(test::name_of(it.param)); });

}  // namespace
}  // namespace widedeq
