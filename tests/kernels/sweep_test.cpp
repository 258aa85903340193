// The sweep: its invariant, what it says of every column, when columns stop, and the fixed points
// of its three epilogues against Gaussian elimination.
#include <gtest/gtest.h>

#include <tuple>

#include "host/fixed_point.hpp"
#include "host/weight_operator.hpp"
#include "tests/support.hpp"

namespace widedeq {
namespace {

using test::backend;
using test::download;
using test::Random;
using test::relative_error;

class Sweeps : public testing::TestWithParam<std::tuple<Precision, Transpose>> {
 protected:
  Precision precision() const { return std::get<0>(GetParam()); }
  Transpose transpose() const { return std::get<1>(GetParam()); }
  Element real() const { return real_of(precision()); }
  void SetUp() override { SKIP_UNLESS_SUPPORTED(precision()); }

  /// A lattice: in every precision sweeps multiply all of it.
  WeightOperator lattice(Index m, std::uint64_t seed) const {
    return {backend(), precision(), m, WeightLaw::lattice, seed};
  }
  HostMatrix op(const HostMatrix& A) const {
    return transpose() == Transpose::yes ? oracle::transpose(A) : A;
  }
  HostMatrix random(Index rows, Index columns, std::uint64_t seed) const {
    return test::rounded(real(), Random(seed).matrix(rows, columns));
  }
  Sweep sweep(const WeightOperator& A, Epilogue epilogue, ConstBlock gate, double tolerance,
              double gamma = 0.5) const {
    return {.A = A.operand(),
            .transpose = transpose(),
            .s = gamma / std::sqrt(static_cast<double>(A.width())),
            .epilogue = epilogue,
            .gate = gate,
            .tolerance = tolerance};
  }
  SweepState start(const HostMatrix& c) const {
    SweepState state = backend().make_sweep_state(precision(), c.rows, c.columns);
    backend().upload(c.view(), state.P);
    state.count = c.columns;
    return state;
  }
  double tolerance() const { return test::tight(precision()).tolerance; }
};

/// f(P): relu, mask by the gate, or nothing.
HostMatrix activated(Epilogue epilogue, HostMatrix P, const HostMatrix& gate) {
  for (std::size_t i = 0; i < P.values.size(); ++i) {
    if (epilogue == Epilogue::relu && P.values[i] <= 0.0) P.values[i] = 0.0;
    if (epilogue == Epilogue::mask && !(gate.values[i] > 0.0)) P.values[i] = 0.0;
  }
  return P;
}

/// z = f(s op(A) z + c) for the linear epilogues: (I - s D op(A)) z = D c.
HostMatrix linear_fixed_point(const HostMatrix& A, double s, Epilogue epilogue,
                              const HostMatrix& gate, const HostMatrix& c) {
  HostMatrix Z(c.rows, c.columns);
  for (Index j = 0; j < c.columns; ++j) {
    HostMatrix M(c.rows, c.rows);
    oracle::Vector b = oracle::zeros(c.rows);
    for (Index i = 0; i < c.rows; ++i) {
      const double D = epilogue == Epilogue::mask && !(gate(i, j) > 0.0) ? 0.0 : 1.0;
      for (Index k = 0; k < c.rows; ++k)
        M(i, k) = (i == k ? 1.0 : 0.0) - s * D * A(i, k);
      oracle::at(b, i) = D * c(i, j);
    }
    const oracle::Vector z = oracle::solve_linear(M, b);
    for (Index i = 0; i < c.rows; ++i)
      Z(i, j) = oracle::at(z, i);
  }
  return Z;
}

TEST_P(Sweeps, KeepTheInvariantAndMeasureTheResidual) {
  for (const auto& [m, n] : {std::pair<Index, Index>{1, 1}, {3, 5}, {65, 7}, {128, 33}})
    for (const Epilogue epilogue : {Epilogue::relu, Epilogue::mask, Epilogue::none}) {
      const WeightOperator A = lattice(m, 3);
      const HostMatrix values = op(A.download_columns(0, m));
      HostMatrix c = random(m, n, 4);
      // Every column keeps a nonzero iterate, whatever the epilogue.
      HostMatrix gate_values = random(m, n, 5);
      for (Index j = 0; j < n; ++j) {
        c(0, j) = std::abs(c(0, j)) + 4.0;
        gate_values(0, j) = 1.0;
      }
      const test::Framed gate(real(), gate_values);
      SweepState state = start(c);
      // No column stops at tolerance 0 in the first few sweeps, unless it stands still exactly.
      const Sweep one = sweep(A, epilogue, gate, 0.0);
      SweepStatus status = backend().measure(state, one, true);
      EXPECT_EQ(status.sweeps, 0);
      EXPECT_EQ(status.open, n);
      const int sweeps = m == 1 ? 1 : 4;
      status = backend().iterate(state, one, sweeps);
      EXPECT_EQ(status.sweeps, sweeps);
      if (m == 1) continue;  // a lone neuron may stand still exactly
      ASSERT_EQ(status.open, n);
      ASSERT_EQ(state.open_count, n);
      EXPECT_TRUE(status.finite);

      // P = c + s op(A) (applied - pending)
      const HostMatrix P = download(state.P), applied = download(state.applied);
      const HostMatrix pending = download(state.pending), scale = download(state.scale);
      HostMatrix counted = applied;
      for (Index j = 0; j < n; ++j)
        for (Index i = 0; i < m; ++i)
          counted(i, j) -= pending(i, j) * scale(0, j);
      HostMatrix wanted = oracle::multiply(values, counted);
      for (std::size_t i = 0; i < wanted.values.size(); ++i)
        wanted.values[i] = c.values[i] + one.s * wanted.values[i];
      EXPECT_LT(relative_error(P, wanted), 20.0 * test::epsilon(precision()));

      // applied = f(P), to the rounding of the last increment: half a unit of it in mixed.
      const HostMatrix f = activated(epilogue, P, gate_values);
      if (precision() == Precision::mixed) {
        for (Index j = 0; j < n; ++j)
          for (Index i = 0; i < m; ++i)
            ASSERT_LE(std::abs(applied(i, j) - f(i, j)), 0.51 * scale(0, j) + 1e-6);
      } else {
        EXPECT_LT(relative_error(applied, f), 4.0 * test::epsilon(precision()));
      }

      // residual = ||f(P) - applied|| / ||applied|| before the last increment
      const std::vector<double> residuals = backend().residuals(state);
      const oracle::Vector measured = oracle::relative_steps(f, counted);
      ASSERT_EQ(residuals.size(), static_cast<std::size_t>(n));
      for (std::size_t j = 0; j < residuals.size(); ++j)
        EXPECT_NEAR(residuals[j], measured[j],
                    1e-4 * measured[j] + 4.0 * test::epsilon(precision()))
            << "sample " << j;
      EXPECT_DOUBLE_EQ(status.worst_residual, test::largest(residuals));
      EXPECT_TRUE(gate.frame_untouched());
    }
}

TEST_P(Sweeps, LinearEpiloguesReachTheSolutionOfTheLinearSystem) {
  for (const auto& [m, n] : {std::pair<Index, Index>{1, 3}, {2, 1}, {31, 40}, {65, 3}, {128, 9}})
    for (const Epilogue epilogue : {Epilogue::mask, Epilogue::none}) {
      const WeightOperator A = lattice(m, 6);
      const HostMatrix values = op(A.download_columns(0, m));
      const HostMatrix c = random(m, n, 7), gate_values = random(m, n, 8);
      const test::Framed gate(real(), gate_values);
      SweepState state = start(c);
      const Sweep one = sweep(A, epilogue, gate, tolerance(), 0.4);
      backend().measure(state, one, true);
      const SweepStatus status = backend().iterate(state, one, 300);
      ASSERT_EQ(status.open, 0) << "m = " << m;
      EXPECT_LE(status.worst_residual, tolerance());
      const HostMatrix Z = linear_fixed_point(values, one.s, epilogue, gate_values, c);
      // gamma 0.4 contracts by 0.4 (a lone neuron of weight up to 2: by 0.8).
      EXPECT_LT(relative_error(download(state.applied), Z), 6.0 * tolerance())
          << "m = " << m << " n = " << n;
    }
}

TEST_P(Sweeps, ReluReachesTheOraclesEquilibrium) {
  for (const auto& [m, n] : {std::pair<Index, Index>{17, 30}, {33, 2}, {127, 9}}) {
    const WeightOperator A = lattice(m, 9);
    oracle::Network net;
    net.A = op(A.download_columns(0, m));
    net.X = HostMatrix(1, n);
    net.gamma = 0.5;
    const HostMatrix c = random(m, n, 10);
    SweepState state = start(c);
    const Sweep one = sweep(A, Epilogue::relu, {}, tolerance());
    backend().measure(state, one, true);
    EXPECT_EQ(backend().iterate(state, one, 300).open, 0);
    const oracle::Equilibrium truth = oracle::equilibrium(net, c);
    ASSERT_TRUE(truth.converged);
    EXPECT_LT(relative_error(download(state.applied), truth.Z),
              6.0 * tolerance() + 4.0 * test::epsilon(precision()));
    EXPECT_LT(relative_error(download(state.P), truth.P),
              6.0 * tolerance() + 4.0 * test::epsilon(precision()));
  }
}

/// Columns of very different speed: column j of the gate lets through about j rows in 12.
HostMatrix staircase_gate(Index m, Index n, std::uint64_t seed) {
  Random random(seed);
  HostMatrix gate(m, n);
  for (Index j = 0; j < n; ++j)
    for (Index i = 0; i < m; ++i)
      gate(i, j) = random.uniform(0.0, 12.0) < static_cast<double>(j) ? 1.0 : -1.0;
  return gate;
}

TEST_P(Sweeps, AColumnThatStoppedIsNeverTouchedAgain) {
  const Index m = 90, n = 13;
  const WeightOperator A = lattice(m, 11);
  const HostMatrix values = op(A.download_columns(0, m));
  const HostMatrix c = random(m, n, 12), gate_values = staircase_gate(m, n, 13);
  const Matrix gate = test::upload(real(), gate_values);
  SweepState state = start(c);
  const double stop = 1e-5;
  const Sweep one = sweep(A, Epilogue::mask, gate, stop);
  SweepStatus status = backend().measure(state, one, true);
  // Column 0 of the gate is shut: f = 0 = applied, nothing to do.
  EXPECT_EQ(status.open, n - 1);
  EXPECT_EQ(backend().residuals(state)[0], 0.0);

  std::vector<bool> stopped(static_cast<std::size_t>(n), false);
  HostMatrix P_then(m, n), applied_then(m, n);
  int times = 0;
  while (status.open > 0 && times < 100) {
    status = backend().iterate(state, one, 1);
    ++times;
    EXPECT_EQ(status.sweeps, 1);
    EXPECT_EQ(state.open_count, status.open);
    const HostMatrix open = download(state.open), P = download(state.P),
                     applied = download(state.applied);
    const std::vector<double> residuals = backend().residuals(state);
    std::vector<bool> is_open(static_cast<std::size_t>(n), false);
    for (Index k = 0; k < state.open_count; ++k) {
      if (k > 0) {
        EXPECT_LT(open(0, k - 1), open(0, k));
      }
      is_open[static_cast<std::size_t>(open(0, k))] = true;
    }
    for (Index j = 0; j < n; ++j) {
      const auto sample = static_cast<std::size_t>(j);
      if (is_open[sample]) {
        EXPECT_FALSE(stopped[sample]) << "sample " << j << " opened again";
        EXPECT_GT(residuals[sample], stop);
        continue;
      }
      EXPECT_LE(residuals[sample], stop);
      for (Index i = 0; i < m; ++i) {
        if (stopped[sample]) {
          ASSERT_EQ(P(i, j), P_then(i, j)) << "sample " << j;
          ASSERT_EQ(applied(i, j), applied_then(i, j)) << "sample " << j;
        }
        P_then(i, j) = P(i, j);
        applied_then(i, j) = applied(i, j);
      }
      stopped[sample] = true;
    }
  }
  EXPECT_EQ(status.open, 0);
  EXPECT_GT(times, 5);

  // With nothing pending, P belongs to `applied` as it stands, and so does the residual.
  HostMatrix P = oracle::multiply(values, applied_then);
  for (std::size_t i = 0; i < P.values.size(); ++i)
    P.values[i] = c.values[i] + one.s * P.values[i];
  EXPECT_LT(relative_error(P_then, P), 20.0 * test::epsilon(precision()));
  const oracle::Vector truly =
      oracle::relative_steps(activated(Epilogue::mask, P, gate_values), applied_then);
  const std::vector<double> residuals = backend().residuals(state);
  for (std::size_t j = 0; j < truly.size(); ++j)
    EXPECT_NEAR(residuals[j], truly[j], 0.05 * stop);
}

TEST_P(Sweeps, IterateStopsWhenEveryColumnHas) {
  const WeightOperator A = lattice(40, 14);
  SweepState state = start(random(40, 6, 15));
  const Sweep one = sweep(A, Epilogue::relu, {}, 1e-4);
  backend().measure(state, one, true);
  const SweepStatus status = backend().iterate(state, one, 1000);
  EXPECT_EQ(status.open, 0);
  EXPECT_LT(status.sweeps, 40);
  EXPECT_GT(status.sweeps, 3);
  EXPECT_LE(status.worst_residual, 1e-4);
  EXPECT_EQ(backend().iterate(state, one, 10).sweeps, 0);
}

TEST_P(Sweeps, OneCallOfManySweepsIsManyCallsOfOne) {
  const WeightOperator A = lattice(65, 16);
  const HostMatrix c = random(65, 9, 17);
  const Sweep one = sweep(A, Epilogue::relu, {}, 1e-5);
  SweepState together = start(c), apart = start(c);
  backend().measure(together, one, true);
  backend().measure(apart, one, true);
  const SweepStatus status = backend().iterate(together, one, 12);
  int sweeps = 0;
  for (int k = 0; k < 12; ++k)
    sweeps += backend().iterate(apart, one, 1).sweeps;
  EXPECT_EQ(sweeps, status.sweeps);
  EXPECT_EQ(download(together.P).values, download(apart.P).values);
  EXPECT_EQ(download(together.applied).values, download(apart.applied).values);
}

TEST_P(Sweeps, MeasureContinuesAStoppedIterationToATighterTolerance) {
  const Index m = 77, n = 8;
  const WeightOperator A = lattice(m, 18);
  const HostMatrix c = random(m, n, 19);
  SweepState state = start(c);
  backend().measure(state, sweep(A, Epilogue::none, {}, 1e-2, 0.4), true);
  EXPECT_EQ(backend().iterate(state, sweep(A, Epilogue::none, {}, 1e-2, 0.4), 100).open, 0);

  const Sweep tight = sweep(A, Epilogue::none, {}, tolerance(), 0.4);
  const SweepStatus reopened = backend().measure(state, tight, false);
  EXPECT_EQ(reopened.open, n);
  EXPECT_LE(reopened.worst_residual, 1e-2);
  EXPECT_EQ(backend().iterate(state, tight, 200).open, 0);
  const HostMatrix Z = linear_fixed_point(op(A.download_columns(0, m)), tight.s, Epilogue::none,
                                          HostMatrix(m, n), c);
  EXPECT_LT(relative_error(download(state.applied), Z), 5.0 * tolerance());
  EXPECT_EQ(backend().measure(state, tight, false).open, 0);
}

TEST_P(Sweeps, AStateServesOneIterationAfterAnother) {
  const Index m = 34, n = 5;
  const WeightOperator A = lattice(m, 20);
  const Sweep one = sweep(A, Epilogue::relu, {}, tolerance());
  const HostMatrix c = random(m, n, 21);
  SweepState fresh = start(c);
  backend().measure(fresh, one, true);
  backend().iterate(fresh, one, 200);

  SweepState used = start(random(m, n, 22));
  backend().measure(used, one, true);
  backend().iterate(used, one, 7);  // left with columns open
  backend().upload(c.view(), used.P);
  backend().fill(used.applied, 0.0);
  backend().measure(used, one, true);
  backend().iterate(used, one, 200);
  EXPECT_EQ(download(used.applied).values, download(fresh.applied).values);
}

TEST_P(Sweeps, OnlyTheColumnsInUseAreIterated) {
  const Index m = 37, n = 5;
  const WeightOperator A = lattice(m, 30);
  const HostMatrix c = random(m, n, 31);
  const Sweep one = sweep(A, Epilogue::relu, {}, tolerance());
  SweepState exact = start(c);
  backend().measure(exact, one, true);
  backend().iterate(exact, one, 200);

  SweepState roomy = backend().make_sweep_state(precision(), m, 11);
  backend().fill(roomy.P, 7.0);
  backend().fill(roomy.applied, 9.0);
  backend().upload(c.view(), roomy.P.columns(0, n));
  backend().fill(roomy.applied.columns(0, n), 0.0);
  roomy.count = n;
  EXPECT_EQ(backend().measure(roomy, one, true).open, n);
  EXPECT_EQ(backend().iterate(roomy, one, 200).open, 0);
  EXPECT_EQ(backend().residuals(roomy).size(), static_cast<std::size_t>(n));
  EXPECT_EQ(download(roomy.applied.columns(0, n)).values, download(exact.applied).values);
  EXPECT_EQ(download(roomy.P.columns(n, 6)).values, std::vector<double>(37 * 6, 7.0));
  EXPECT_EQ(download(roomy.applied.columns(n, 6)).values, std::vector<double>(37 * 6, 9.0));
}

TEST_P(Sweeps, GrowthIsCountedFromTheFirstIncrement) {
  // z = 2 z + c: increments c, 2 c, 4 c, ...
  HostMatrix twice(3, 3);
  for (Index i = 0; i < 3; ++i)
    twice(i, i) = 2.0;
  const WeightOperator A(backend(), precision(), twice.view());
  HostMatrix c(3, 2);
  c.values = {1, -2, 3, 0, 8, 0};
  SweepState state = start(c);
  const Sweep one{.A = A.operand(),
                  .transpose = transpose(),
                  .s = 1.0,
                  .epilogue = Epilogue::none,
                  .gate = {},
                  .tolerance = 1e-6};
  backend().measure(state, one, true);
  const SweepStatus status = backend().iterate(state, one, 5);
  EXPECT_EQ(status.sweeps, 5);
  EXPECT_EQ(status.open, 2);
  EXPECT_NEAR(status.worst_growth, 32.0, 1e-6);
  EXPECT_TRUE(status.finite);
  // (1 + 2 + ... + 32) c, and the residual is the sixth increment over the first five: 32/31.
  EXPECT_NEAR(download(state.applied)(2, 0), 189.0, 1e-4);
  EXPECT_NEAR(status.worst_residual, 32.0 / 31.0, 1e-6);
}

TEST_P(Sweeps, NotANumberIsReportedAndNeverMasked) {
  const WeightOperator A = lattice(12, 23);
  HostMatrix c = random(12, 4, 24), gate_values(12, 4);
  c(5, 2) = NAN;
  std::fill(gate_values.values.begin(), gate_values.values.end(), -1.0);
  const Matrix gate = test::upload(real(), gate_values);
  for (const Epilogue epilogue : {Epilogue::relu, Epilogue::mask, Epilogue::none}) {
    SweepState state = start(c);
    const Sweep one = sweep(A, epilogue, gate, 1e-6);
    SweepStatus status = backend().measure(state, one, true);
    if (status.finite) status = backend().iterate(state, one, 50);
    EXPECT_FALSE(status.finite) << "epilogue " << static_cast<int>(epilogue);
    EXPECT_LT(status.sweeps, 50);
  }
}

TEST_P(Sweeps, OverflowEndsTheIteration) {
  HostMatrix huge(4, 4);
  for (Index i = 0; i < 4; ++i)
    huge(i, i) = precision() == Precision::fp64 ? 1e200 : 1e30;
  const WeightOperator A(backend(), precision(), huge.view());
  SweepState state = start(random(4, 3, 25));
  const Sweep one = sweep(A, Epilogue::none, {}, 1e-6);
  backend().measure(state, one, true);
  const SweepStatus status = backend().iterate(state, one, 200);
  EXPECT_FALSE(status.finite);
  EXPECT_LT(status.sweeps, 200);
}

TEST_P(Sweeps, ZeroIsAFixedPointWithResidualZero) {
  const WeightOperator A = lattice(9, 26);
  SweepState state = start(HostMatrix(9, 4));
  const Sweep one = sweep(A, Epilogue::relu, {}, tolerance());
  const SweepStatus status = backend().measure(state, one, true);
  EXPECT_EQ(status.open, 0);
  EXPECT_TRUE(status.finite);
  EXPECT_EQ(status.worst_residual, 0.0);
  EXPECT_EQ(backend().residuals(state), std::vector<double>(4, 0.0));
}

TEST_P(Sweeps, ColumnsOfAllSizesConvergeAlike) {
  // The iteration is positively homogeneous: columns scaled by powers of two do the same steps.
  const Index m = 50, n = 7;
  const WeightOperator A = lattice(m, 27);
  HostMatrix c = random(m, n, 28);
  const double factors[] = {1.0, 0x1p-40, 0x1p-20, 0x1p-3, 0x1p5, 0x1p20, 0x1p40};
  for (Index j = 0; j < n; ++j)
    for (Index i = 0; i < m; ++i)
      c(i, j) = c(i, 0) * (j == 0 ? 1.0 : factors[j]);
  SweepState state = start(c);
  const Sweep one = sweep(A, Epilogue::relu, {}, tolerance());
  backend().measure(state, one, true);
  EXPECT_EQ(backend().iterate(state, one, 300).open, 0);
  const HostMatrix Z = download(state.applied);
  for (Index j = 1; j < n; ++j) {
    double difference = 0.0;
    for (Index i = 0; i < m; ++i)
      difference += std::pow(Z(i, j) / factors[j] - Z(i, 0), 2);
    EXPECT_LE(std::sqrt(difference), 1e-6 * oracle::column_norm(Z, 0)) << "factor " << factors[j];
    if (precision() == Precision::mixed) {
      EXPECT_EQ(difference, 0.0);
    }
  }
}

TEST_P(Sweeps, ShapesThatDoNotFitAreRefused) {
  const WeightOperator A = lattice(5, 29);
  SweepState state = backend().make_sweep_state(precision(), 6, 3);
  state.count = 3;
  EXPECT_SHAPE_ERROR(backend().measure(state, sweep(A, Epilogue::relu, {}, 1e-6), true), "6", "5");
  SweepState fits = backend().make_sweep_state(precision(), 5, 3);
  fits.count = 3;
  const Matrix gate = backend().allocate(real(), 5, 4);
  EXPECT_SHAPE_ERROR(backend().measure(fits, sweep(A, Epilogue::mask, gate, 1e-6), true), "5 x 4",
                     "5 x 3");
  fits.count = 4;
  EXPECT_SHAPE_ERROR(backend().measure(fits, sweep(A, Epilogue::relu, {}, 1e-6), true), "columns",
                     "5 x 3");
  const Precision other =
      std::get<0>(GetParam()) == Precision::fp64 ? Precision::fp32 : Precision::fp64;
  SweepState of_another = backend().make_sweep_state(other, 5, 3);
  EXPECT_THROW(backend().iterate(of_another, sweep(A, Epilogue::relu, {}, 1e-6), 3), ShapeError);
}

INSTANTIATE_TEST_SUITE_P(, Sweeps,
                         testing::Combine(testing::Values(Precision::fp64, Precision::fp32,
                                                          Precision::mixed),
                                          testing::Values(Transpose::no, Transpose::yes)),
                         [](const auto& it) {
                           return std::string(test::name_of(std::get<0>(it.param))) +
                                  (std::get<1>(it.param) == Transpose::yes ? "_transposed" : "");
                         });

}  // namespace
}  // namespace widedeq
