// What carries a solved state from one epoch to the next: following a rank-n update, adding a
// column, and rebuilding, each against its formula in double loops.
//
// Bounds are those of stages_test.cpp: a sum of k products in arithmetic of precision eps is off by
// at most k eps times the sum of the products' magnitudes, which is computed beside the sum.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/kernels/carried_states.hpp"

namespace widedeq {
namespace {

using test::affine;
using test::backend;
using test::column_of;
using test::difference;
using test::download;
using test::Framed;
using test::relative_error;
using test::upload;

constexpr Index widths[] = {1, 5, 33, 130};
constexpr Index counts[] = {1, 7, 65};

/// How a base and a plane come to be, in mixed: a lattice has no plane, Gaussian weights have one
/// of half a step, a change within a step makes one, and a larger change makes a base anew.
enum class Weighting { lattice, gaussian, changed, folded };

const char* name_of(Weighting weighting) {
  constexpr const char* names[] = {"lattice", "gaussian", "changed", "folded"};
  return names[static_cast<int>(weighting)];
}

class Carry : public test::CarriedStates {
 protected:
  /// The same values in a block whose stride is larger than its columns by 0 to 5, by chance.
  Framed framed(const HostMatrix& values) {
    Framed frame(real(), values.rows, values.columns, random_.integer(0, 3), random_.integer(0, 2));
    backend().upload(values.view(), frame);
    return frame;
  }
  WeightOperator weights(Weighting weighting, Index m) {
    const WeightLaw law =
        weighting == Weighting::gaussian ? WeightLaw::gaussian : WeightLaw::lattice;
    WeightOperator A(backend(), precision(), m, law, 3);
    if (weighting == Weighting::changed || weighting == Weighting::folded) {
      // The lattice's step is 1/32: changes below and above it.
      const double size = weighting == Weighting::changed ? 1e-3 : 0.1;
      backend().add_scaled(A.change(), size, upload(real(), random(m, m)));
      A.refresh();
    }
    return A;
  }
};

HostMatrix absolute(HostMatrix M) {
  for (double& entry : M.values)
    entry = std::abs(entry);
  return M;
}

/// |is - wanted| <= bound magnitude, entry by entry.
void expect_within(const HostMatrix& is, const HostMatrix& wanted, const HostMatrix& magnitude,
                   double bound) {
  ASSERT_EQ(shape(is), shape(wanted));
  for (std::size_t i = 0; i < is.values.size(); ++i)
    ASSERT_LE(std::abs(is.values[i] - wanted.values[i]), bound * magnitude.values[i])
        << "entry " << i << " of " << shape(is);
}

/// P + alpha C right with C = (left diag r) right': the documented change, by the m x m product.
HostMatrix followed(const HostMatrix& P, double alpha, const HostMatrix& left,
                    const std::vector<double>& r, const HostMatrix& right) {
  HostMatrix result = oracle::multiply(oracle::weighted_outer(alpha, left, r, right), right);
  for (std::size_t i = 0; i < P.values.size(); ++i)
    result.values[i] += P.values[i];
  return result;
}

// ---- following an update

TEST_P(Carry, FollowingIsTheChangeOfTheProduct) {
  for (const Index a : widths)
    for (const Index b : widths)
      for (const Index n : counts) {
        const HostMatrix P = random(a, n), left = random(a, n), right = random(b, n);
        const std::vector<double> r = random_.vector(n);
        const double alpha = -0.3;
        const Framed out = framed(P), left_block = framed(left), right_block = framed(right);
        backend().follow_rank_update(out, alpha, left_block, r, right_block, precision());
        // Sums of b and of n terms, and one rounding each for r, alpha, two products and the sum.
        expect_within(download(out.block()), followed(P, alpha, left, r, right),
                      followed(absolute(P), std::abs(alpha), absolute(left),
                               absolute(column_of(r)).values, absolute(right)),
                      static_cast<double>(b + n + 5) * eps());
        EXPECT_TRUE(out.frame_untouched());
        EXPECT_TRUE(left_block.frame_untouched());
        EXPECT_TRUE(right_block.frame_untouched());
        EXPECT_EQ(download(left_block.block()).values, left.values);
        EXPECT_EQ(download(right_block.block()).values, right.values);
      }
}

TEST_P(Carry, FollowingGoesWithRankUpdateBothWays) {
  // C and C' change under the backend's own rank_update; the products with right and left follow.
  const Index a = 33, b = 130, n = 7;
  const HostMatrix C = random(a, b), left = random(a, n), right = random(b, n);
  const std::vector<double> r = random_.vector(n);
  const double alpha = 0.01;
  Matrix changed = upload(real(), C);
  backend().rank_update(changed, alpha, upload(real(), left), r, upload(real(), right),
                        precision());
  const HostMatrix after = download(changed);

  Matrix forward = upload(real(), oracle::multiply(C, right));
  backend().follow_rank_update(forward, alpha, upload(real(), left), r, upload(real(), right),
                               precision());
  EXPECT_LT(relative_error(download(forward), oracle::multiply(after, right)), 10.0 * eps());

  Matrix backward = upload(real(), oracle::multiply(oracle::transpose(C), left));
  backend().follow_rank_update(backward, alpha, upload(real(), right), r, upload(real(), left),
                               precision());
  EXPECT_LT(relative_error(download(backward), oracle::multiply(oracle::transpose(after), left)),
            10.0 * eps());
}

TEST_P(Carry, FollowingNothingChangesNothing) {
  const HostMatrix P = random(33, 7), left = random(33, 7), right = random(5, 7);
  Matrix out = upload(real(), P);
  const Matrix left_block = upload(real(), left), right_block = upload(real(), right);
  backend().follow_rank_update(out, 0.0, left_block, random_.vector(7), right_block, precision());
  EXPECT_EQ(download(out).values, P.values);
  backend().follow_rank_update(out, 3.0, left_block, std::vector<double>(7), right_block,
                               precision());
  EXPECT_EQ(download(out).values, P.values);
  // One residual that is zero takes its sample out of the sum, and out of no other column.
  std::vector<double> r(7);
  r[4] = 2.0;
  backend().follow_rank_update(out, 1.0, left_block, r, right_block, precision());
  expect_within(download(out), followed(P, 1.0, left, r, right),
                followed(absolute(P), 1.0, absolute(left), r, absolute(right)), 17.0 * eps());
}

TEST_P(Carry, FollowingNoSamplesIsAllowed) {
  const Framed out(real(), 5, 0), left(real(), 5, 0), right(real(), 9, 0);
  EXPECT_NO_THROW(backend().follow_rank_update(out, 1.0, left, {}, right, precision()));
  EXPECT_TRUE(out.frame_untouched());
  Matrix none = backend().allocate(real(), 5, 0);
  EXPECT_NO_THROW(backend().follow_rank_update(none, 1.0, backend().allocate(real(), 5, 0), {},
                                               backend().allocate(real(), 9, 0), precision()));
}

TEST_P(Carry, FollowingKeepsNotANumber) {
  HostMatrix left = random(5, 3);
  left(2, 1) = NAN;
  Matrix out = backend().allocate(real(), 5, 3);
  backend().follow_rank_update(out, 1.0, upload(real(), left), random_.vector(3),
                               upload(real(), random(4, 3)), precision());
  const HostMatrix is = download(out);
  for (Index j = 0; j < 3; ++j)
    for (Index i = 0; i < 5; ++i)
      EXPECT_EQ(std::isnan(is(i, j)), i == 2);
}

TEST_P(Carry, FactorsTellOfNotANumber) {
  HostMatrix left = random(5, 3);
  left(2, 1) = NAN;
  Matrix left_factor = backend().allocate(real(), 5, 3);
  Matrix right_factor = backend().allocate(real(), 4, 3);
  EXPECT_TRUE(
      std::isnan(backend().copy_factors(1.0, upload(real(), left), random_.vector(3),
                                        upload(real(), random(4, 3)), left_factor, right_factor)));
}

TEST_P(Carry, AddColumnAddsToEveryColumn) {
  for (const Index m : widths)
    for (const Index n : counts)
      for (const double alpha : {-0.3, 1.0, 0.0}) {
        const HostMatrix P = random(m, n), column = random(m, 1);
        const Framed out = framed(P), added = framed(column);
        backend().add_column(out, alpha, added);
        HostMatrix wanted = P, magnitude = absolute(P);
        for (Index j = 0; j < n; ++j)
          for (Index i = 0; i < m; ++i) {
            wanted(i, j) += alpha * column(i, 0);
            magnitude(i, j) += std::abs(alpha * column(i, 0));
          }
        expect_within(download(out.block()), wanted, magnitude, 2.0 * eps());
        EXPECT_TRUE(out.frame_untouched());
        EXPECT_EQ(download(added.block()).values, column.values);
      }
}

// ---- rebuilding

TEST_P(Carry, RebuiltPIsTheProductAnew) {
  for (const Weighting weighting :
       {Weighting::lattice, Weighting::gaussian, Weighting::changed, Weighting::folded})
    for (const Index m : widths)
      for (const Index n : counts)
        for (const Transpose transpose : {Transpose::no, Transpose::yes}) {
          SCOPED_TRACE(std::string(name_of(weighting)) + " m=" + std::to_string(m) + " n=" +
                       std::to_string(n) + " " + std::to_string(static_cast<int>(transpose)));
          const WeightOperator A = weights(weighting, m);
          const HostMatrix values = A.download_columns(0, m);
          const HostMatrix c = random(m, n), Z = random(m, n);
          SweepState state = state_at(random(m, n), Z, 3);
          if (precision() == Precision::mixed)  // what was settled before is of no account
            backend().upload(random(m, n).view(), state.settled.columns(0, n));
          const Sweep one = sweep(A, transpose);
          const Framed start = framed(c);
          backend().rebuild(state, one, A.view(), start);

          const HostMatrix P = download(state.P.columns(0, n));
          const HostMatrix wanted = affine(values, transpose, one.s, Z, c);
          // Rounding of random signs: m products, their sum and c; in mixed the digits' sums, which
          // are rounded on their way into P, and what the last digits of A and of Z leave out. Both
          // stay below one eps of the whole; the bound is twice that.
          const double size = oracle::norm(c.values) + one.s * oracle::norm(values.values) *
                                                           oracle::norm(Z.values) /
                                                           std::sqrt(static_cast<double>(m));
          EXPECT_LE(oracle::norm(difference(P, wanted).values), 2.0 * eps() * size);
          EXPECT_EQ(download(state.applied.columns(0, n)).values, Z.values);
          EXPECT_TRUE(start.frame_untouched());
          EXPECT_EQ(download(start.block()).values, c.values);

          EXPECT_EQ(download(state.P.columns(n, 3)).values,
                    std::vector<double>(static_cast<std::size_t>(3 * m), Framed::sentinel));
          EXPECT_EQ(download(state.applied.columns(n, 3)).values,
                    std::vector<double>(static_cast<std::size_t>(3 * m), Framed::sentinel));
        }
}

TEST_P(Carry, RebuildingSettlesAllOfZ) {
  if (precision() != Precision::mixed) GTEST_SKIP() << "only mixed has something to settle";
  const Index m = 130, n = 65;
  const WeightOperator A = weights(Weighting::gaussian, m);
  const HostMatrix Z = random(m, n);
  SweepState state = state_at(random(m, n), Z);
  const Matrix c = upload(real(), random(m, n));
  backend().rebuild(state, sweep(A), A.view(), c);
  EXPECT_EQ(download(state.settled).values, Z.values);
}

TEST_P(Carry, RebuildingTwiceIsRebuildingOnce) {
  for (const Weighting weighting : {Weighting::lattice, Weighting::folded}) {
    const WeightOperator A = weights(weighting, 33);
    SweepState state = state_at(random(33, 7), random(33, 7));
    const Matrix c = upload(real(), random(33, 7));
    backend().rebuild(state, sweep(A), A.view(), c);
    const HostMatrix once = download(state.P);
    backend().rebuild(state, sweep(A), A.view(), c);
    EXPECT_EQ(download(state.P).values, once.values);
  }
}

TEST_P(Carry, RebuildingAtZeroGivesC) {
  for (const Weighting weighting : {Weighting::lattice, Weighting::changed}) {
    const WeightOperator A = weights(weighting, 33);
    const HostMatrix c = random(33, 7);
    SweepState state = state_at(random(33, 7), HostMatrix(33, 7));
    backend().rebuild(state, sweep(A), A.view(), upload(real(), c));
    EXPECT_EQ(download(state.P).values, c.values);
  }
}

TEST_P(Carry, ARebuiltStateIteratesOnToTheFixedPoint) {
  for (const Weighting weighting : {Weighting::lattice, Weighting::gaussian}) {
    // Only a lattice's sweeps multiply all of A in mixed; the plane waits for settle().
    if (precision() == Precision::mixed && weighting == Weighting::gaussian) continue;
    const Index m = 130, n = 7;
    const WeightOperator A = weights(weighting, m);
    oracle::Network net;
    net.A = A.download_columns(0, m);
    net.X = HostMatrix(1, n);
    net.gamma = 0.5;
    const HostMatrix c = random(m, n);
    const double tolerance = test::tight(precision()).tolerance;
    const Sweep one = sweep(A, Transpose::no, tolerance);
    SweepState state = state_at(random(m, n), random(m, n));
    backend().rebuild(state, one, A.view(), upload(real(), c));
    EXPECT_EQ(backend().measure(state, one, true).open, n);
    EXPECT_EQ(backend().iterate(state, one, 300).open, 0);
    const oracle::Equilibrium truth = oracle::equilibrium(net, c);
    ASSERT_TRUE(truth.converged);
    EXPECT_LT(relative_error(download(state.applied), truth.Z), 6.0 * tolerance + 4.0 * eps());
  }
}

// ---- misuse

TEST_P(Carry, ShapesThatDoNotFitAreRefusedByName) {
  Backend& on = backend();
  const auto block = [&](Index rows, Index columns) { return on.allocate(real(), rows, columns); };
  const std::vector<double> r(4);
  const HostMatrix before = random(3, 4);
  Matrix P = upload(real(), before);
  // P is 3 x 4 when left is 3 x 4 and right is anything x 4.
  EXPECT_SHAPE_ERROR(on.follow_rank_update(P, 1.0, block(5, 4), r, block(2, 4), precision()),
                     "3 x 4", "5 x 4");
  EXPECT_SHAPE_ERROR(on.follow_rank_update(P, 1.0, block(3, 4), r, block(2, 6), precision()),
                     "2 x 6", "2 x 4");
  EXPECT_SHAPE_ERROR(
      on.follow_rank_update(P, 1.0, block(3, 5), std::vector<double>(5), block(2, 5), precision()),
      "3 x 4", "3 x 5");
  EXPECT_SHAPE_ERROR(
      on.follow_rank_update(P, 1.0, block(3, 4), std::vector<double>(3), block(2, 4), precision()),
      "3", "3 x 4");
  EXPECT_SHAPE_ERROR(on.follow_rank_update(P, 1.0, block(3, 4), {}, block(2, 4), precision()), "0",
                     "3 x 4");
  EXPECT_SHAPE_ERROR(on.add_column(P, 1.0, block(2, 1)), "2 x 1", "3 x 1");
  EXPECT_SHAPE_ERROR(on.add_column(P, 1.0, block(3, 2)), "3 x 2", "3 x 1");
  EXPECT_EQ(download(P).values, before.values);

  const WeightOperator A = weights(Weighting::lattice, 3), wider = weights(Weighting::lattice, 5);
  SweepState state = state_at(before, before);
  Matrix fits = upload(real(), before), too_many = block(3, 5), too_tall = block(4, 4);
  EXPECT_SHAPE_ERROR(on.rebuild(state, sweep(A), A.view(), too_many), "3 x 5", "3 x 4");
  EXPECT_SHAPE_ERROR(on.rebuild(state, sweep(A), A.view(), too_tall), "4 x 4", "3 x 4");
  EXPECT_SHAPE_ERROR(on.rebuild(state, sweep(wider), wider.view(), fits), "5 x 5", "3 x 3");
  EXPECT_EQ(download(state.P).values, before.values);
  EXPECT_EQ(download(state.applied).values, before.values);
  EXPECT_EQ(download(fits).values, before.values);
}

TEST_P(Carry, WrongElementsAreRefused) {
  Backend& on = backend();
  const Element other = real() == Element::float64 ? Element::float32 : Element::float64;
  const HostMatrix before = random(3, 3);
  Matrix a = upload(real(), before), b = on.allocate(other, 3, 3);
  const std::vector<double> r(3);
  EXPECT_THROW(on.follow_rank_update(a, 1.0, b, r, a, precision()), ShapeError);
  EXPECT_THROW(on.follow_rank_update(a, 1.0, a, r, b, precision()), ShapeError);
  EXPECT_THROW(on.add_column(a, 1.0, on.allocate(other, 3, 1)), ShapeError);
  Matrix integers = on.allocate(Element::int8, 3, 3);
  EXPECT_THROW(on.add_column(integers, 1.0, on.allocate(Element::int8, 3, 1)), ShapeError);
  EXPECT_THROW(on.follow_rank_update(integers, 1.0, a, r, a, precision()), ShapeError);
  const WeightOperator A = weights(Weighting::lattice, 3);
  SweepState state = state_at(before, before);
  EXPECT_THROW(on.rebuild(state, sweep(A), A.view(), b), ShapeError);
  EXPECT_EQ(download(a).values, before.values);
  EXPECT_EQ(download(state.P).values, before.values);
  EXPECT_EQ(download(state.applied).values, before.values);
}

TEST_P(Carry, OpenColumnsAreRefused) {
  const HostMatrix c = random(33, 7);
  const WeightOperator A = weights(Weighting::lattice, 33);
  SweepState state = state_at(c, HostMatrix(33, 7));
  ASSERT_EQ(backend().measure(state, sweep(A), true).open, 7);
  const HostMatrix P = download(state.P), applied = download(state.applied);
  Matrix block = upload(real(), c);
  EXPECT_THROW(backend().rebuild(state, sweep(A), A.view(), block), ShapeError);
  EXPECT_EQ(download(state.P).values, P.values);
  EXPECT_EQ(download(state.applied).values, applied.values);
  EXPECT_EQ(download(block).values, c.values);
}

INSTANTIATE_TEST_SUITE_P(, Carry,
                         testing::Values(Precision::fp64, Precision::fp32, Precision::mixed),
                         [](const auto& it) { return std::string(test::name_of(it.param)); });

}  // namespace
}  // namespace widedeq
