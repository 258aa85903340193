// Gauss-Seidel by row panels: the same fixed points as all rows at once, honest residuals, and
// fewer sweeps; for every way of dividing the rows.
#include <gtest/gtest.h>

#include <tuple>

#include "host/adjoint_solver.hpp"
#include "host/equilibrium_solver.hpp"
#include "kernels/panels.hpp"
#include "tests/support.hpp"

namespace widedeq {
namespace {

using test::backend;

TEST(Panels, CoverEveryRowOnce) {
  for (const Index m : {1, 5, 63, 64, 100, 512, 1000, 1024, 4096, 4100, 9999})
    for (int panels = 1; panels <= std::min<Index>(m, 9); ++panels) {
      EXPECT_EQ(panel_start(m, panels, 0), 0);
      EXPECT_EQ(panel_start(m, panels, panels), m);
      for (int p = 0; p < panels; ++p)
        EXPECT_LT(panel_start(m, panels, p), panel_start(m, panels, p + 1))
            << m << " rows, " << panels << " panels";
    }
}

TEST(Panels, NarrowOperandsStayWhole) {
  EXPECT_EQ(choose_panels(1), 1);
  EXPECT_EQ(choose_panels(2 * smallest_panel - 1), 1);
  EXPECT_EQ(choose_panels(2 * smallest_panel), 2);
  EXPECT_EQ(choose_panels(100000), most_panels);
}

class PanelSolves : public testing::TestWithParam<std::tuple<Precision, int, bool>> {
 protected:
  Precision precision() const { return std::get<0>(GetParam()); }
  int panels() const { return std::get<1>(GetParam()); }
  bool lattice() const { return std::get<2>(GetParam()); }
  void SetUp() override { SKIP_UNLESS_SUPPORTED(precision()); }
};

/// Both solves' residuals in double against what they report, and how many sweeps they took.
int expect_honest(Precision precision, int panels, WeightLaw law, const HostMatrix& X, Index m,
                  double tolerance) {
  const Model model(backend(), precision, {.gamma = 0.5, .panels = panels}, m, X.rows, law, 7);
  const test::Answer is = test::solve(model, X, {.tolerance = tolerance, .max_sweeps = 200});
  EXPECT_EQ(is.forward.status, SolveStatus::converged) << is.forward.worst_residual;
  EXPECT_EQ(is.adjoint.status, SolveStatus::converged) << is.adjoint.worst_residual;

  Weights weights = download_weights(backend(), model);
  oracle::Network net;
  net.A = std::move(weights.A);
  net.W = std::move(weights.W);
  net.u = std::move(weights.u);
  net.v = std::move(weights.v);
  net.X = X;
  net.y = oracle::zeros(X.columns);
  net.gamma = 0.5;
  net.relu_injection = true;
  net.skip = true;
  // A closing sweep leaves nothing pending, so the report is of the vector handed back: what is
  // left between the two is the rounding of P and z, as in solver_test.cpp.
  const double rounding = 4.0 * test::epsilon(precision);
  const auto check = [&](const char* which, const SolveReport& report,
                         const oracle::Vector& truth) {
    for (std::size_t j = 0; j < truth.size(); ++j) {
      EXPECT_LE(report.residuals[j], tolerance) << which << ", sample " << j;
      EXPECT_NEAR(report.residuals[j], truth[j], 0.05 * tolerance + rounding)
          << which << ", sample " << j << ", " << panels << " panels";
    }
  };
  check("forward", is.forward, oracle::forward_residuals(net, is.Phi, is.Z));
  check("adjoint", is.adjoint, oracle::adjoint_residuals(net, is.P, is.L));
  return is.forward.sweeps + is.adjoint.sweeps;
}

TEST_P(PanelSolves, ReportTheResidualOfWhatTheyHandBack) {
  const WeightLaw law = lattice() ? WeightLaw::lattice : WeightLaw::gaussian;
  const double tight = precision() == Precision::fp64 ? 1e-12 : 1e-6;
  test::Random random(5);
  for (const Index m : {9, 67, 130})
    for (const Index n : {1, 7, 66})
      for (const double tolerance : {1e-2, 1e-4, tight})
        expect_honest(precision(), panels(), law, random.matrix(5, n), m, tolerance);
}

TEST_P(PanelSolves, TakeFewerSweepsThanAllRowsAtOnce) {
  // With a residual plane a solve stops exactly two or three times over, once a settling; the
  // closing sweeps that takes, cheap as they are, count like any other.
  if (precision() == Precision::mixed && !lattice()) GTEST_SKIP() << "A has a residual plane";
  const WeightLaw law = lattice() ? WeightLaw::lattice : WeightLaw::gaussian;
  test::Random random(6);
  const HostMatrix X = random.matrix(5, 12);
  const int jacobi = expect_honest(precision(), 1, law, X, 256, 1e-6);
  const int gauss_seidel = expect_honest(precision(), panels(), law, X, 256, 1e-6);
  EXPECT_LT(gauss_seidel, jacobi);
}

TEST_P(PanelSolves, SolveContractionsThatGrowByPanels) {
  // s A turns two halves of z into one another by 120 degrees and shrinks them by 0.8: it
  // contracts, but by panels the spectral radius of a sweep is above one. W >= 0 and X >= 0 keep P
  // > 0 on one half at least.
  const Index m = 128, half = m / 2;
  test::Random random(12);
  Weights weights;
  weights.A = HostMatrix(m, m);
  const double size = 0.8 * std::sqrt(static_cast<double>(m)) / 0.5, angle = 2.0 * std::acos(-0.5);
  for (Index i = 0; i < half; ++i) {
    weights.A(i, i) = weights.A(half + i, half + i) = size * std::cos(angle / 2.0);
    weights.A(i, half + i) = -size * std::sin(angle / 2.0);
    weights.A(half + i, i) = size * std::sin(angle / 2.0);
  }
  weights.W = random.matrix(m, 3);
  for (double& entry : weights.W.values)
    entry = std::abs(entry) + 2.0;
  HostMatrix X = random.matrix(3, 5);
  for (double& entry : X.values)
    entry = std::abs(entry);
  weights.u.assign(static_cast<std::size_t>(m), 1.0);
  weights.v = weights.u;
  const Model model(backend(), precision(), {.gamma = 0.5, .panels = panels()}, weights);
  const test::Answer is = test::solve(model, X, {.tolerance = 1e-6, .max_sweeps = 300});
  EXPECT_EQ(is.forward.status, SolveStatus::converged);
  EXPECT_EQ(is.adjoint.status, SolveStatus::converged);
  oracle::Network net;
  const Weights held = download_weights(backend(), model);
  net.A = held.A;
  net.X = X;
  net.gamma = 0.5;
  EXPECT_LT(test::relative_error(is.Z, oracle::equilibrium(net, is.Phi).Z), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(All, PanelSolves,
                         testing::Combine(testing::Values(Precision::fp64, Precision::fp32,
                                                          Precision::mixed),
                                          testing::Values(2, 3, 8), testing::Bool()));

}  // namespace
}  // namespace widedeq
