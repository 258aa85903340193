// The two solvers: what a report promises is measured again, in double, from what they hand back.
#include <gtest/gtest.h>

#include <cstdio>
#include <set>
#include <tuple>

#include "host/adjoint_solver.hpp"
#include "host/equilibrium_solver.hpp"
#include "tests/support.hpp"

namespace widedeq {
namespace {

using test::backend;
using test::download;
using test::Draw;
using test::Random;
using test::relative_error;
using test::Shape;

class Solvers : public testing::TestWithParam<Precision> {
 protected:
  Precision precision() const { return GetParam(); }
  Element real() const { return real_of(precision()); }
  void SetUp() override { SKIP_UNLESS_SUPPORTED(precision()); }

  /// Tolerances from loose to the tightest.
  std::vector<double> tolerances() const {
    if (precision() == Precision::fp64) return {1e-2, 1e-4, 1e-7, 1e-10, 1e-13};
    return {1e-2, 1e-3, 1e-4, 1e-5, 1e-6, test::tight(precision()).tolerance};
  }
  /// What the solver cannot see of its own residual: each sweep rounds P and z once, which random
  /// signs carry to some four roundings in all over the twenty or so sweeps that matter.
  double rounding() const { return 4.0 * test::epsilon(precision()); }

  Model model(Index m, Index d, double gamma, WeightLaw law, std::uint64_t seed) const {
    return {backend(), precision(), {.gamma = gamma}, m, d, law, seed};
  }
};

/// The network as the backend holds it: its weights after rounding.
oracle::Network network_of(const Model& model, const HostMatrix& X) {
  Weights weights = download_weights(backend(), model);
  oracle::Network net;
  net.A = std::move(weights.A);
  net.W = std::move(weights.W);
  net.u = std::move(weights.u);
  net.v = std::move(weights.v);
  net.X = X;
  net.y = oracle::zeros(X.columns);
  net.gamma = model.options.gamma;
  net.relu_injection = model.options.injection == Injection::relu;
  net.skip = model.options.skip;
  return net;
}

/// Every promise of both reports, sample by sample.
void expect_honest(const Model& model, const HostMatrix& X, double tolerance, double rounding) {
  const test::Answer is = test::solve(model, X, {.tolerance = tolerance, .max_sweeps = 1000});
  ASSERT_EQ(is.forward.status, SolveStatus::converged) << is.forward.worst_residual;
  ASSERT_EQ(is.adjoint.status, SolveStatus::converged) << is.adjoint.worst_residual;
  const oracle::Network net = network_of(model, X);
  const auto check = [&](const char* which, const SolveReport& report,
                         const oracle::Vector& truth) {
    ASSERT_EQ(report.residuals.size(), truth.size()) << which;
    EXPECT_DOUBLE_EQ(report.worst_residual, test::largest(report.residuals)) << which;
    EXPECT_LE(report.sweeps, 1000) << which;
    for (std::size_t j = 0; j < truth.size(); ++j) {
      EXPECT_LE(report.residuals[j], tolerance) << which << ", sample " << j;
      EXPECT_LE(truth[j], 1.05 * tolerance + rounding) << which << ", sample " << j;
      EXPECT_NEAR(report.residuals[j], truth[j], 0.05 * tolerance + rounding)
          << which << ", sample " << j;
    }
  };
  // The problem is the one the backend holds: Phi, and for the adjoint the signs of P, as they are.
  check("forward", is.forward, oracle::forward_residuals(net, is.Phi, is.Z));
  check("adjoint", is.adjoint, oracle::adjoint_residuals(net, is.P, is.L));
  // The adjoint's mask comes from P: it must belong to Z far better than Z is solved.
  EXPECT_LE(relative_error(is.P, oracle::pre_activation(net, is.Phi, is.Z)),
            0.1 * tolerance + 2.0 * rounding);
}

TEST_P(Solvers, ResidualsAreTrueForEverySampleAndTolerance) {
  Random random(1);
  for (const Shape& shape : {Shape{2, 3, 2, 0.3}, Shape{17, 40, 3, 0.5}, Shape{65, 9, 8, 0.8},
                             Shape{128, 5, 4, 0.5}, Shape{200, 33, 10, 0.8}})
    for (const WeightLaw law : {WeightLaw::lattice, WeightLaw::gaussian}) {
      const Model net = model(shape.m, shape.d, shape.gamma, law, 21);
      const HostMatrix X = random.sphere(shape.d, shape.n);
      for (const double tolerance : tolerances()) {
        SCOPED_TRACE("m=" + std::to_string(shape.m) + " gamma=" + std::to_string(shape.gamma) +
                     (law == WeightLaw::lattice ? " lattice" : " gaussian") +
                     " tolerance=" + std::to_string(tolerance));
        expect_honest(net, X, tolerance, rounding());
      }
    }
}

TEST_P(Solvers, ResidualsAreTrueForWeightsFarFromALattice) {
  // Entries over many orders of magnitude; one huge entry, beside which int8 rounds all others
  // away.
  oracle::Network uneven = test::random_network({90, 12, 5, 0.6}, true, true, 3);
  oracle::Network outlier = uneven;
  uneven.A = Random(4).uneven(90);
  outlier.gamma = 0.3;
  outlier.A(0, 1) = 60.0;
  oracle::Network tiny = test::random_network({40, 12, 5, 0.5}, true, true, 5);
  for (double& entry : tiny.A.values)
    entry *= 1e-6;
  for (const oracle::Network& net : {uneven, outlier, tiny}) {
    const Model held = test::model_of(net, precision());
    for (const double tolerance : tolerances()) {
      SCOPED_TRACE("tolerance " + std::to_string(tolerance));
      expect_honest(held, net.X, tolerance, rounding());
    }
  }
}

TEST_P(Solvers, ResidualsAreTrueAfterTrainingHasMovedTheWeights) {
  for (const double size : {1e-6, 1e-3, 0.3}) {
    Model net = model(70, 4, 0.5, WeightLaw::lattice, 22);
    const HostMatrix added = Random(6).matrix(70, 70);
    backend().add_scaled(net.A.change(), size, test::upload(real(), added));
    net.A.refresh();
    const HostMatrix X = Random(7).sphere(4, 11);
    for (const double tolerance : tolerances()) {
      SCOPED_TRACE("change " + std::to_string(size) + " tolerance " + std::to_string(tolerance));
      expect_honest(net, X, tolerance, rounding());
    }
  }
}

TEST_P(Solvers, TheSmallestToleranceIsReached) {
  const double smallest = smallest_tolerance(precision());
  EXPECT_GT(smallest, 0.0);
  EXPECT_LE(smallest, precision() == Precision::fp64 ? 1e-13 : 1e-6);
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    const Model net = model(100 + 20 * static_cast<Index>(seed), 6, 0.7,
                            seed % 2 == 0 ? WeightLaw::lattice : WeightLaw::gaussian, seed);
    expect_honest(net, Random(seed).sphere(6, 20), smallest, rounding());
  }
}

// ---- samples do not know of each other

TEST_P(Solvers, ASamplesAnswerDoesNotDependOnItsBatch) {
  const Index m = 97, n = 12;
  const double tolerance = 1e-3;  // loose, so that one sweep more or less would show
  for (const WeightLaw law : {WeightLaw::lattice, WeightLaw::gaussian}) {
    const Model net = model(m, 5, 0.7, law, 23);
    const HostMatrix X = Random(8).sphere(5, n);
    const test::Answer whole = test::solve(net, X, {.tolerance = tolerance});
    // In mixed a lattice's products are exact integers; a plane is settled when the batch is ready.
    const bool exact = precision() == Precision::mixed && law == WeightLaw::lattice;
    const bool settles = precision() == Precision::mixed && law == WeightLaw::gaussian;
    const double bound = exact     ? 0.0
                         : settles ? 5.0 * tolerance
                                   : 20.0 * test::epsilon(precision());
    for (Index first = 0; first < n; first += 5) {
      const Index count = std::min<Index>(first == 0 ? 1 : 5, n - first);
      HostMatrix part(5, count), Z(m, count), L(m, count);
      for (Index j = 0; j < count; ++j) {
        for (Index i = 0; i < 5; ++i)
          part(i, j) = X(i, first + j);
        for (Index i = 0; i < m; ++i) {
          Z(i, j) = whole.Z(i, first + j);
          L(i, j) = whole.L(i, first + j);
        }
      }
      const test::Answer alone = test::solve(net, part, {.tolerance = tolerance});
      EXPECT_LE(relative_error(alone.Z, Z), bound) << "samples from " << first;
      EXPECT_LE(relative_error(alone.L, L), bound) << "samples from " << first;
    }
  }
}

TEST_P(Solvers, RoomForMoreSamplesChangesNothing) {
  const Index m = 50, n = 7;
  const Model net = model(m, 3, 0.6, WeightLaw::gaussian, 24);
  const HostMatrix Phi = oracle::injection(network_of(net, Random(9).sphere(3, n)));
  const Matrix held = test::upload(real(), Phi);
  EquilibriumSolver tight_fit(backend(), precision(), m, n), roomy(backend(), precision(), m, 40);
  tight_fit.solve(net, held, {.tolerance = 1e-5});
  const SolveReport report = roomy.solve(net, held, {.tolerance = 1e-5});
  EXPECT_EQ(report.residuals.size(), 7U);
  EXPECT_EQ(roomy.Z().columns, n);
  EXPECT_EQ(download(roomy.Z()).values, download(tight_fit.Z()).values);

  AdjointSolver tight_adjoint(backend(), precision(), m, n),
      roomy_adjoint(backend(), precision(), m, 40);
  tight_adjoint.solve(net, tight_fit.P(), {.tolerance = 1e-5});
  EXPECT_EQ(roomy_adjoint.solve(net, roomy.P(), {.tolerance = 1e-5}).residuals.size(), 7U);
  EXPECT_EQ(download(roomy_adjoint.L()).values, download(tight_adjoint.L()).values);
}

/// A residual is measured of P as it is, which has been rounded once a sweep: what that may have
/// come to is taken off the tolerance, or P is made anew.
TEST_P(Solvers, TheToleranceIncludesWhatSweepsHaveRounded) {
  if (precision() == Precision::fp64) GTEST_SKIP() << "rounding is far below any tolerance";
  double worst = 0.0;
  for (const double gamma : {0.5, 0.8, 0.95, 1.2})
    for (const double tolerance : {1e-6, 3e-7, 1.5e-7})
      for (const std::uint64_t seed : {31, 32, 33}) {
        const Model net = model(256, 8, gamma, WeightLaw::lattice, seed);
        const HostMatrix X = Random(seed).sphere(8, 40);
        const test::Answer is = test::solve(net, X, {.tolerance = tolerance, .max_sweeps = 1000});
        if (is.forward.status != SolveStatus::converged) continue;  // gamma may be too large
        ASSERT_EQ(is.adjoint.status, SolveStatus::converged) << is.adjoint.worst_residual;
        const oracle::Network truth = network_of(net, X);
        const double forward = test::largest(oracle::forward_residuals(truth, is.Phi, is.Z));
        const double adjoint = test::largest(oracle::adjoint_residuals(truth, is.P, is.L));
        worst = std::max(worst, std::max(forward, adjoint) / tolerance);
        EXPECT_LE(std::max(forward, adjoint), 1.001 * tolerance)
            << "gamma " << gamma << ", tolerance " << tolerance;
      }
  std::printf("largest residual: %.3f tolerances\n", worst);
}

TEST_P(Solvers, ASolverForgetsItsLastProblem) {
  const Index m = 44;
  const Model net = model(m, 3, 0.6, WeightLaw::gaussian, 25);
  const Matrix first = test::upload(real(), Random(10).matrix(m, 9)),
               second = test::upload(real(), Random(11).matrix(m, 4));
  EquilibriumSolver fresh(backend(), precision(), m, 9), used(backend(), precision(), m, 9);
  const SolveReport wanted = fresh.solve(net, second, {.tolerance = 1e-5});
  used.solve(net, first, {.tolerance = 1e-5});
  used.solve(net, first, {.tolerance = 1e-5, .max_sweeps = 2});  // left unfinished
  const SolveReport report = used.solve(net, second, {.tolerance = 1e-5});
  EXPECT_EQ(report.sweeps, wanted.sweeps);
  EXPECT_EQ(report.residuals, wanted.residuals);
  EXPECT_EQ(download(used.Z()).values, download(fresh.Z()).values);
}

TEST_P(Solvers, PhiMayBeABlockOfALargerMatrix) {
  const Index m = 31;
  const Model net = model(m, 3, 0.6, WeightLaw::lattice, 26);
  const HostMatrix Phi = test::rounded(real(), Random(12).matrix(m, 6));
  const test::Framed framed(real(), Phi);
  EquilibriumSolver a(backend(), precision(), m, 6), b(backend(), precision(), m, 6);
  a.solve(net, framed, {.tolerance = 1e-6});
  b.solve(net, test::upload(real(), Phi), {.tolerance = 1e-6});
  EXPECT_EQ(download(a.Z()).values, download(b.Z()).values);
  EXPECT_TRUE(framed.frame_untouched());
}

// ---- easy and degenerate problems

TEST_P(Solvers, SamplesOfZeroConvergeToZeroWithResidualZero) {
  const Model net = model(45, 3, 0.6, WeightLaw::gaussian, 27);
  HostMatrix X = Random(13).sphere(3, 6);
  for (const Index zero : {Index{0}, Index{4}})
    for (Index i = 0; i < 3; ++i)
      X(i, zero) = 0.0;
  const test::Answer is = test::solve(net, X, {.tolerance = 1e-6});
  EXPECT_EQ(is.forward.status, SolveStatus::converged);
  EXPECT_EQ(is.adjoint.status, SolveStatus::converged);
  for (const std::size_t zero : {0U, 4U}) {
    const auto j = static_cast<Index>(zero);
    EXPECT_EQ(is.forward.residuals[zero], 0.0);
    EXPECT_EQ(is.adjoint.residuals[zero], 0.0);
    EXPECT_EQ(oracle::column_norm(is.Z, j), 0.0);
    EXPECT_EQ(oracle::column_norm(is.L, j), 0.0);  // relu'(0) = 0
    EXPECT_EQ(is.prediction[zero], 0.0);
  }
  EXPECT_GT(oracle::column_norm(is.Z, 1), 0.0);

  const test::Answer nothing = test::solve(net, HostMatrix(3, 5), {.tolerance = 1e-6});
  EXPECT_EQ(nothing.forward.status, SolveStatus::converged);
  EXPECT_EQ(nothing.forward.worst_residual, 0.0);
  EXPECT_EQ(oracle::norm(nothing.H.values), 0.0);
}

TEST_P(Solvers, WithoutRecurrenceTheEquilibriumIsTheInjection) {
  const Model still = model(33, 4, 0.0, WeightLaw::gaussian, 28);
  const test::Answer is = test::solve(still, Random(14).sphere(4, 5), {.tolerance = 1e-6});
  EXPECT_EQ(is.forward.status, SolveStatus::converged);
  EXPECT_LE(is.forward.sweeps, 6);
  EXPECT_LE(relative_error(is.Z, is.Phi), precision() == Precision::mixed ? 1e-6 : 0.0);

  oracle::Network zero = test::random_network({20, 4, 3, 0.5}, true, true, 29);
  zero.A = HostMatrix(20, 20);
  const test::Answer none =
      test::solve(test::model_of(zero, precision()), zero.X, {.tolerance = 1e-6});
  EXPECT_EQ(none.forward.status, SolveStatus::converged);
  EXPECT_LE(relative_error(none.Z, none.Phi), precision() == Precision::mixed ? 1e-6 : 0.0);
}

TEST_P(Solvers, GammaHalfTakesAboutTwentySweeps) {
  // The iteration contracts at about gamma sqrt(active fraction): 0.5^k = 1e-6 at k = 20 at most.
  for (const WeightLaw law : {WeightLaw::lattice, WeightLaw::gaussian}) {
    const Model net = model(200, 10, 0.5, law, 30);
    const test::Answer is = test::solve(net, Random(15).sphere(10, 30), {.tolerance = 1e-6});
    EXPECT_EQ(is.forward.status, SolveStatus::converged);
    EXPECT_LE(is.forward.sweeps, 26);
    EXPECT_LE(is.adjoint.sweeps, 26);
    EXPECT_GE(is.forward.sweeps, 8);
  }
}

// ---- problems without an answer

TEST_P(Solvers, TheLimitOfSweepsIsKeptAndReported) {
  for (const WeightLaw law : {WeightLaw::lattice, WeightLaw::gaussian}) {
    const Model net = model(60, 4, 0.6, law, 31);
    const test::Answer is =
        test::solve(net, Random(16).sphere(4, 9), {.tolerance = 1e-6, .max_sweeps = 3});
    EXPECT_EQ(is.forward.status, SolveStatus::max_sweeps);
    EXPECT_LE(is.forward.sweeps, 3);
    EXPECT_GT(is.forward.worst_residual, 1e-6);
    EXPECT_EQ(is.forward.residuals.size(), 9U);
    EXPECT_TRUE(test::all_finite(is.Z.values));
  }
}

TEST_P(Solvers, AToleranceOfZeroEndsAtTheLimitOrStandsStill) {
  const Model net = model(40, 4, 0.5, WeightLaw::gaussian, 32);
  const test::Answer is =
      test::solve(net, Random(17).sphere(4, 5), {.tolerance = 0.0, .max_sweeps = 200});
  EXPECT_LE(is.forward.sweeps, 200);
  if (is.forward.status == SolveStatus::converged) {
    EXPECT_EQ(is.forward.worst_residual, 0.0);
  } else {
    EXPECT_EQ(is.forward.status, SolveStatus::max_sweeps);
  }
  EXPECT_LE(relative_error(is.Z, oracle::solve(network_of(net, Random(17).sphere(4, 5))).Z),
            20.0 * test::epsilon(precision()));
}

TEST_P(Solvers, IllPosedWeightsNeverPassForConverged) {
  for (const Index m : {1, 2, 10, 65, 150})
    for (const double gamma : {1.2, 1.6, 2.0, 4.0, 1e3, 1e9})
      for (const WeightLaw law : {WeightLaw::lattice, WeightLaw::gaussian}) {
        SCOPED_TRACE("m=" + std::to_string(m) + " gamma=" + std::to_string(gamma));
        const Model net = model(m, 3, gamma, law, 33);
        const HostMatrix X = Random(18).sphere(3, 5);
        const SolveOptions options{.tolerance = 1e-5, .max_sweeps = 300};
        const Matrix inputs = test::upload(real(), X);
        Matrix Phi = backend().allocate(real(), m, 5);
        backend().inject(net.W, inputs, net.options.injection, Sums::native, Phi);
        EquilibriumSolver equilibrium(backend(), precision(), m, 5);
        const SolveReport report = equilibrium.solve(net, Phi, options);
        EXPECT_LE(report.sweeps, 300);
        if (report.status == SolveStatus::converged) {
          // Some are well-posed all the same; then the promise holds as ever. P has grown to
          // gamma ||A|| ||Z|| / sqrt(m) and is rounded at that size.
          const HostMatrix Z = download(equilibrium.Z());
          ASSERT_TRUE(test::all_finite(Z.values));
          const oracle::Network held = network_of(net, X);
          const double size = 1.0 + held.s() * oracle::norm(held.A.values);
          EXPECT_LE(test::largest(oracle::forward_residuals(held, download(Phi), Z)),
                    1.05e-5 + size * rounding());
          EXPECT_LE(report.worst_residual, 1e-5);
        } else {
          // The least that diverging must not do is to look like an answer.
          EXPECT_FALSE(report.worst_residual <= 1e-5);
        }
        if (gamma >= 4.0 && m >= 65) {
          EXPECT_NE(report.status, SolveStatus::converged);
          EXPECT_NE(report.status, SolveStatus::max_sweeps);  // growth is seen long before
        }
      }
}

TEST_P(Solvers, NotANumberIsNonFiniteWhereverItEnters) {
  const oracle::Network good = test::random_network({30, 5, 3, 0.5}, true, true, 34);
  for (const double bad : {double{NAN}, double{INFINITY}}) {
    oracle::Network net = good;
    net.A(3, 4) = bad;
    EXPECT_THROW(test::model_of(net, precision()), std::domain_error);

    net = good;
    net.W(2, 1) = bad;
    const Model in_W = test::model_of(net, precision());
    Matrix Phi = backend().allocate(real(), 30, 5);
    backend().inject(in_W.W, test::upload(real(), net.X), Injection::linear, Sums::native, Phi);
    EquilibriumSolver equilibrium(backend(), precision(), 30, 5);
    EXPECT_EQ(equilibrium.solve(in_W, Phi, {}).status, SolveStatus::non_finite);

    net = good;
    net.u[7] = bad;
    const Model in_u = test::model_of(net, precision());
    const Model fine = test::model_of(good, precision());
    backend().inject(fine.W, test::upload(real(), net.X), Injection::relu, Sums::native, Phi);
    ASSERT_EQ(equilibrium.solve(fine, Phi, {}).status, SolveStatus::converged);
    AdjointSolver adjoint(backend(), precision(), 30, 5);
    EXPECT_EQ(adjoint.solve(in_u, equilibrium.P(), {}).status, SolveStatus::non_finite);

    Model in_change = test::model_of(good, precision());
    HostMatrix change(30, 30);
    change(3, 4) = bad;
    backend().upload(change.view(), in_change.A.change());
    in_change.A.refresh();
    EXPECT_EQ(equilibrium.solve(in_change, Phi, {}).status, SolveStatus::non_finite);
  }
}

TEST_P(Solvers, OneBadSampleDoesNotPassBecauseTheOthersAreGood) {
  const Model net = model(30, 3, 0.5, WeightLaw::lattice, 35);
  HostMatrix Phi = Random(19).matrix(30, 6);
  Phi(11, 3) = NAN;
  EquilibriumSolver equilibrium(backend(), precision(), 30, 6);
  EXPECT_EQ(equilibrium.solve(net, test::upload(real(), Phi), {}).status, SolveStatus::non_finite);
}

TEST_P(Solvers, OverflowIsAStatus) {
  oracle::Network net = test::random_network({20, 4, 3, 0.5}, true, true, 36);
  for (double& entry : net.A.values)
    entry *= precision() == Precision::fp64 ? 1e200 : 1e30;
  const Model huge = test::model_of(net, precision());
  EquilibriumSolver equilibrium(backend(), precision(), 20, 4);
  const SolveReport report =
      equilibrium.solve(huge, test::upload(real(), Random(20).matrix(20, 4)), {});
  EXPECT_TRUE(report.status == SolveStatus::diverged || report.status == SolveStatus::non_finite)
      << describe(report.status);
}

TEST_P(Solvers, StatusesHaveNamesOfTheirOwn) {
  std::set<std::string> names;
  for (const SolveStatus status : {SolveStatus::converged, SolveStatus::max_sweeps,
                                   SolveStatus::diverged, SolveStatus::non_finite})
    names.insert(describe(status));
  EXPECT_EQ(names.size(), 4U);
  EXPECT_EQ(names.count(""), 0U);
}

// ---- misuse

TEST_P(Solvers, ShapesThatDoNotFitAreRefused) {
  const Model net = model(12, 3, 0.5, WeightLaw::lattice, 37);
  EquilibriumSolver equilibrium(backend(), precision(), 12, 4);
  AdjointSolver adjoint(backend(), precision(), 12, 4);
  const Matrix too_tall = backend().allocate(real(), 13, 4),
               too_many = backend().allocate(real(), 12, 5);
  EXPECT_SHAPE_ERROR(equilibrium.solve(net, too_tall, {}), "13 x 4", "12");
  EXPECT_SHAPE_ERROR(equilibrium.solve(net, too_many, {}), "12 x 5", "4");
  EXPECT_SHAPE_ERROR(adjoint.solve(net, too_tall, {}), "13 x 4", "12");
  EXPECT_SHAPE_ERROR(adjoint.solve(net, too_many, {}), "12 x 5", "4");

  const Model wider = model(14, 3, 0.5, WeightLaw::lattice, 37);
  EXPECT_SHAPE_ERROR(equilibrium.solve(wider, backend().allocate(real(), 12, 4), {}), "14", "12");

  oracle::Network bad = test::random_network({6, 2, 3, 0.5}, true, true, 38);
  bad.u.resize(5);
  EXPECT_SHAPE_ERROR(test::model_of(bad, precision()), "5", "6");
  bad.u.resize(6);
  bad.W = HostMatrix(7, 3);
  EXPECT_SHAPE_ERROR(test::model_of(bad, precision()), "7 x 3", "6");
  bad.W = HostMatrix(6, 3);
  bad.A = HostMatrix(6, 5);
  EXPECT_SHAPE_ERROR(test::model_of(bad, precision()), "6 x 5", "6");
}

TEST_P(Solvers, ResidualsAreTrueForWideNetworksAndTheirOwnPanels) {
  const HostMatrix X = Random(41).sphere(4, 3);
  for (const int panels : {1, 0})
    for (const WeightLaw law : {WeightLaw::lattice, WeightLaw::gaussian}) {
      const Model net(backend(), precision(), {.gamma = 0.5, .panels = panels}, 1100, 4, law, 39);
      for (const double tolerance : {1e-3, precision() == Precision::fp64 ? 1e-12 : 1e-6}) {
        SCOPED_TRACE(std::to_string(panels) + " panels, tolerance " + std::to_string(tolerance));
        expect_honest(net, X, tolerance, rounding());
      }
    }
}

INSTANTIATE_TEST_SUITE_P(, Solvers,
                         testing::Values(Precision::fp64, Precision::fp32, Precision::mixed),
                         [](const auto& it) { return std::string(test::name_of(it.param)); });

}  // namespace
}  // namespace widedeq
