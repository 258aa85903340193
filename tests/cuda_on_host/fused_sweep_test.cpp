// Gauss-Seidel sweeps of the CUDA backend: the fused kernel against the library's products, bit for
// bit; the loop on the device against the host's; and the twin on the CPU, sweep for sweep.
#include "kernels/cuda/fused_sweep.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <tuple>
#include <vector>

#include "host/weight_operator.hpp"
#include "kernels/cuda/gauss_seidel.hpp"
#include "kernels/cuda/generate.hpp"
#include "kernels/cuda/operand.hpp"
#include "kernels/cuda/transfer.hpp"
#include "tests/cuda_on_host/cuda_on_host.hpp"
#include "tests/support.hpp"

namespace widedeq::cuda {
namespace {

/// What is left of an iteration: everything that a next one would go on from, as bytes.
struct Outcome {
  SweepStatus status;
  Index open = 0;
  std::vector<std::byte> bytes;
};

class PanelSweeps : public testing::Test {
 protected:
  Matrix gaussian(Element element, Index rows, Index columns, std::uint64_t seed) {
    Matrix matrix = context_.allocate(element, rows, columns);
    generate_gaussian(context_, matrix, seed, Tensor::W);
    return matrix;
  }

  std::unique_ptr<DigitOperand> lattice(Index m, int panels) {
    auto operand = std::make_unique<DigitOperand>();
    DigitOperand& A = *operand;
    A.precision = Precision::mixed;
    A.width = m;
    A.panels = panels;
    A.step = 1.0 / 32.0;
    A.base.plain = context_.allocate(Element::int8, m, m);
    A.base.transposed = context_.allocate(Element::int8, m, m);
    generate_lattice(context_, A.base.plain, 1, Tensor::A);
    generate_lattice(context_, A.base.transposed, 2, Tensor::A);
    A.base.plain_is_current = A.base.transposed_is_current = true;
    return operand;
  }

  SweepState state_of(Index m, Index n) {
    SweepState state;
    state.P = gaussian(Element::float32, m, n, 3);
    state.applied = context_.allocate(Element::float32, m, n);
    state.pending = context_.allocate(Element::int8, m, n);
    for (Matrix* gained : {&state.gained.P, &state.gained.Z})
      *gained = context_.allocate(Element::float32, m, n);
    state.switched = context_.allocate_row(Element::int32, n);
    for (Matrix* row : {&state.scale, &state.residual, &state.size, &state.first_step})
      *row = context_.allocate_row(Element::float64, n);
    state.pace = context_.allocate(Element::float64, 4, n);
    state.open = context_.allocate_row(Element::int32, n);
    state.count = n;
    return state;
  }

  /// What an open column's increments are is part of the outcome; what is left of others' is not.
  Outcome outcome(SweepState& state, const SweepStatus& status) {
    Outcome outcome{.status = status, .open = state.open_count, .bytes = {}};
    for (const ConstBlock& block :
         {ConstBlock(state.P), ConstBlock(state.applied), ConstBlock(state.residual),
          ConstBlock(state.size), ConstBlock(state.scale), ConstBlock(state.pace),
          ConstBlock(state.gained.P), ConstBlock(state.gained.Z),
          ConstBlock(state.open).middle_columns(0, state.open_count),
          ConstBlock(state.pending).middle_columns(0, state.open_count)}) {
      std::vector<std::byte> bytes(static_cast<std::size_t>(block.rows * block.columns) *
                                   size_of(block.element));
      save(context_, block, bytes);
      outcome.bytes.insert(outcome.bytes.end(), bytes.begin(), bytes.end());
    }
    return outcome;
  }

  static void expect_same(const Outcome& is, const Outcome& wanted) {
    EXPECT_EQ(is.status.sweeps, wanted.status.sweeps);
    EXPECT_EQ(is.status.open, wanted.status.open);
    EXPECT_EQ(is.status.worst_residual, wanted.status.worst_residual);
    EXPECT_EQ(is.status.worst_growth, wanted.status.worst_growth);
    EXPECT_EQ(is.status.finite, wanted.status.finite);
    EXPECT_EQ(is.status.operations, wanted.status.operations);
    EXPECT_EQ(is.open, wanted.open);
    EXPECT_TRUE(is.bytes == wanted.bytes);
  }

  Context context_{0};
};

TEST_F(PanelSweeps, TheFusedKernelPassesItsOwnTest) {
  EXPECT_EQ(why_not_fused(context_), "");
}

TEST_F(PanelSweeps, TheFusedKernelMakesDoWithTheSharedMemoryThereIs) {
  // 99 KB, as of compute capability 8.6: enough for narrow tiles.
  const cuda_on_host::Settings before = cuda_on_host::settings();
  cuda_on_host::Settings small = before;
  small.shared_memory = 99 << 10;
  cuda_on_host::set_settings(small);
  {
    Context context(0);
    EXPECT_EQ(why_not_fused(context), "");
    // As many rows and columns as would make wide tiles worth it.
    const Index m = 640, n = 260;
    const auto A = lattice(m, 2);
    const auto sweep_by = [&](Multiplier multiplier) {
      SweepState state = state_of(m, n);
      const Sweep sweep{.A = *A,
                        .transpose = Transpose::no,
                        .s = 0.25 / std::sqrt(static_cast<double>(m)),
                        .epilogue = Epilogue::relu,
                        .gate = {},
                        .tolerance = 1e-6};
      const SweepAlgorithm algorithm{.panels = 2, .multiplier = multiplier};
      context_.synchronize();
      Loop loop(LoopKind::host);
      measure_panels(context, algorithm, state, sweep, true);
      iterate_panels(context, loop, algorithm, state, sweep, 3);
      HostMatrix P(m, n);
      download(context, state.P, P.view());
      return P.values;
    };
    EXPECT_EQ(sweep_by(Multiplier::fused), sweep_by(Multiplier::library));
  }
  cuda_on_host::set_settings(before);
}

/// m, n, panels, the epilogue; every column has a gate of its own density, so that columns stop at
/// different times.
class FusedSweeps : public PanelSweeps,
                    public testing::WithParamInterface<std::tuple<Index, Index, int, Epilogue>> {
 protected:
  Outcome run(LoopKind kind, const SweepAlgorithm& algorithm, int most, int times) {
    const auto [m, n, panels, epilogue] = GetParam();
    const auto A = lattice(m, panels);
    Matrix gate = gaussian(Element::float32, m, n, 4);
    for (Index j = 0; j < n; ++j)
      if (j % 3 == 0) fill(context_, gate.columns(j, 1), j % 2 == 0 ? 1.0 : -1.0);
    SweepState state = state_of(m, n);
    const Sweep sweep{.A = *A,
                      .transpose = m % 2 == 0 ? Transpose::no : Transpose::yes,
                      .s = 0.4 / std::sqrt(static_cast<double>(m)),
                      .epilogue = epilogue,
                      .gate = gate,
                      .tolerance = 1e-4};
    Loop loop(kind);
    SweepStatus status = measure_panels(context_, algorithm, state, sweep, true);
    EXPECT_GT(2 * status.open, n);  // all but those whose gate lets nothing through
    for (int k = 0; k < times; ++k)
      status = iterate_panels(context_, loop, algorithm, state, sweep, most);
    return outcome(state, status);
  }
};

TEST_P(FusedSweeps, AreTheLibrarysBitForBit) {
  const int panels = std::get<2>(GetParam());
  const SweepAlgorithm library{.panels = panels};
  for (const int most : {1, 2, 5, 100}) {
    const Outcome wanted = run(LoopKind::host, library, most, 1);
    for (const int tile_columns : {64, 128})
      expect_same(
          run(LoopKind::host,
              {.panels = panels, .multiplier = Multiplier::fused, .tile_columns = tile_columns},
              most, 1),
          wanted);
    if (most == 100) {
      EXPECT_EQ(wanted.open, 0);
    }
  }
}

TEST_P(FusedSweeps, AreTheSameByGraphAndInSmallHelpings) {
  const int panels = std::get<2>(GetParam());
  for (const Multiplier multiplier : {Multiplier::library, Multiplier::fused}) {
    const SweepAlgorithm algorithm{.panels = panels, .multiplier = multiplier};
    expect_same(run(LoopKind::graph, algorithm, 6, 1), run(LoopKind::host, algorithm, 6, 1));
    const Outcome helpings = run(LoopKind::host, algorithm, 2, 3);
    EXPECT_TRUE(run(LoopKind::host, algorithm, 6, 1).bytes == helpings.bytes);
  }
}

INSTANTIATE_TEST_SUITE_P(, FusedSweeps,
                         testing::Values(std::tuple(Index{128}, Index{1}, 2, Epilogue::relu),
                                         std::tuple(Index{201}, Index{70}, 2, Epilogue::mask),
                                         std::tuple(Index{300}, Index{130}, 3, Epilogue::mask),
                                         std::tuple(Index{333}, Index{17}, 2, Epilogue::relu),
                                         std::tuple(Index{528}, Index{33}, 2, Epilogue::none),
                                         std::tuple(Index{100}, Index{9}, 3,
                                                    Epilogue::mask)));  // too narrow to fuse

/// The backend and its twin on the CPU, of the same panels, do the same sweeps. In double, where
/// rounding does not decide when a column closes.
class Twins : public testing::TestWithParam<std::tuple<int, bool, Epilogue>> {
 protected:
  struct Run {
    std::vector<SweepStatus> statuses;
    HostMatrix P, applied, gained;
  };

  static Run run(Backend& backend) {
    const auto [panels, jacobi, epilogue] = GetParam();
    const Index m = 150, n = 11;
    const WeightOperator A(backend, Precision::fp64, m, WeightLaw::lattice, 8, panels);
    test::Random random(9);
    const auto upload = [&](const HostMatrix& host) {
      Matrix matrix = backend.allocate(Element::float64, host.rows, host.columns);
      backend.upload(host.view(), matrix);
      return matrix;
    };
    const HostMatrix c = random.matrix(m, n);
    HostMatrix gate(m, n);
    for (Index j = 0; j < n; ++j)
      for (Index i = 0; i < m; ++i)
        gate(i, j) = random.uniform(0.0, 12.0) < static_cast<double>(j) ? 1.0 : -1.0;
    const Matrix gate_there = upload(gate);
    SweepState state = backend.make_sweep_state(Precision::fp64, m, n);
    backend.upload(c.view(), state.P);
    state.count = n;
    Sweep sweep{.A = A.operand(),
                .transpose = Transpose::no,
                .s = 0.5 / std::sqrt(static_cast<double>(m)),
                .epilogue = epilogue,
                .gate = gate_there,
                .tolerance = 1e-5,
                .jacobi = jacobi};
    Run run;
    run.statuses.push_back(backend.measure(state, sweep, true));
    for (const int most : {1, 3, 100})
      run.statuses.push_back(backend.iterate(state, sweep, most));
    sweep.tolerance = 1e-9;
    run.statuses.push_back(backend.measure_and_iterate(state, sweep, false, 3));
    run.statuses.push_back(backend.iterate(state, sweep, 100));
    run.statuses.push_back(backend.measure_and_iterate(state, sweep, false, 100));  // none is open
    sweep.tolerance = 1e-10;
    run.statuses.push_back(backend.measure_and_iterate(state, sweep, true, 100));
    // A guess, by which increments are pending in all rows.
    if (epilogue == Epilogue::relu) {
      state.gained.P = upload(random.matrix(m, n));
      state.gained_before.P = upload(random.matrix(m, n));
      backend.fill(state.known, 2.0);
      EXPECT_TRUE(backend.predict(state, sweep, {.alone = 0.0, .newer = 0.02, .older = -0.01}));
      for (const int most : {1, 2, 100})
        run.statuses.push_back(backend.iterate(state, sweep, most));
      run.gained = HostMatrix(m, n);
      backend.download(state.gained.P, run.gained.view());
    }
    run.P = HostMatrix(m, n);
    run.applied = HostMatrix(m, n);
    backend.download(state.P, run.P.view());
    backend.download(state.applied, run.applied.view());
    return run;
  }
};

TEST_P(Twins, DoTheSameSweeps) {
  const std::unique_ptr<Backend> cpu = make_cpu_backend(1);
  const Run wanted = run(*cpu), is = run(test::backend());
  ASSERT_EQ(is.statuses.size(), wanted.statuses.size());
  for (std::size_t k = 0; k < is.statuses.size(); ++k) {
    const SweepStatus &a = is.statuses[k], &b = wanted.statuses[k];
    EXPECT_EQ(a.sweeps, b.sweeps) << k;
    EXPECT_EQ(a.open, b.open) << k;
    EXPECT_EQ(a.operations, b.operations) << k;
    EXPECT_NEAR(a.worst_residual, b.worst_residual, 1e-4 * b.worst_residual) << k;
    EXPECT_NEAR(a.worst_growth, b.worst_growth, 1e-4 * b.worst_growth) << k;
    if (b.first_residual > 0.0) {  // of measure_and_iterate
      EXPECT_NEAR(a.first_residual, b.first_residual, 1e-4 * b.first_residual) << k;
    }
    EXPECT_EQ(a.finite, b.finite) << k;
  }
  EXPECT_LT(test::relative_error(is.P, wanted.P), 1e-12);
  EXPECT_LT(test::relative_error(is.applied, wanted.applied), 1e-12);
  for (std::size_t i = 0; i < wanted.gained.values.size(); ++i)  // as P, of which it is a part
    EXPECT_NEAR(is.gained.values[i], wanted.gained.values[i], 1e-13) << i;
}

INSTANTIATE_TEST_SUITE_P(, Twins,
                         testing::Combine(testing::Values(2, 3), testing::Bool(),
                                          testing::Values(Epilogue::relu, Epilogue::mask,
                                                          Epilogue::none)));

}  // namespace
}  // namespace widedeq::cuda
