// Sweeps on the device, as no backend-independent test sees them: columns of every length that the
// pass treats in its own way, packing in the middle of an iteration, the two ways of repeating
// sweeps, and how often the host waits.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string_view>

#include "host/fixed_point.hpp"
#include "host/weight_operator.hpp"
#include "tests/cuda_on_host/cuda_on_host.hpp"
#include "tests/support.hpp"

namespace widedeq {
namespace {

using test::Random;

/// An environment variable while this lives.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Environment() { unsetenv(name_); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
};

std::unique_ptr<Backend> backend_with_loop(const char* kind) {
  const Environment wish("WIDEDEQ_CUDA_LOOP", kind);
  return make_cuda_backend();
}

/// How often the host waits in call().
template <class Call>
long waits(Call call) {
  const long before = cuda_on_host::counters().synchronizations;
  call();
  return cuda_on_host::counters().synchronizations - before;
}

class SweepLoop : public testing::TestWithParam<Precision> {
 protected:
  Precision precision() const { return GetParam(); }
  Element real() const { return real_of(precision()); }

  SweepState start(Backend& backend, const HostMatrix& c) const {
    SweepState state = backend.make_sweep_state(precision(), c.rows, c.columns);
    backend.upload(c.view(), state.P);
    return state;
  }
};

TEST_P(SweepLoop, ThePassIsTheCpusAtEveryLengthOfColumns) {
  const auto cpu = make_cpu_backend(1), cuda = make_cuda_backend();
  for (const Index m : {1, 64, 67, 2048, 3001, 3004, 6000, 12000, 16384, 16388, 20003})
    for (const Epilogue epilogue : {Epilogue::relu, Epilogue::mask, Epilogue::none}) {
      const HostMatrix c = test::rounded(real(), Random(1).matrix(m, 3));
      const HostMatrix gate_values = test::rounded(real(), Random(2).matrix(m, 3));
      SweepState states[2];
      int place = 0;
      for (Backend* backend : {cpu.get(), cuda.get()}) {
        const auto A = backend->make_operand(precision(), m, 1);  // never multiplied here
        Matrix gate = backend->allocate(real(), m, 3);
        backend->upload(gate_values.view(), gate);
        const Sweep sweep{.A = *A,
                          .transpose = Transpose::no,
                          .s = 1.0,
                          .epilogue = epilogue,
                          .gate = gate,
                          .tolerance = 0.0};
        states[place] = start(*backend, c);
        backend->measure(states[place], sweep, true);
        backend->measure(states[place], sweep, false);  // from applied near f(P)
        ++place;
      }
      const auto same = [&](Matrix SweepState::*part) {
        EXPECT_EQ(download(*cpu, states[0].*part).values, download(*cuda, states[1].*part).values)
            << "m = " << m;
      };
      same(&SweepState::applied);
      same(&SweepState::scale);
      EXPECT_EQ(states[0].open_count, states[1].open_count);
      if (precision() == Precision::mixed) {
        const Index open = states[0].open_count;
        EXPECT_EQ(download(*cpu, states[0].pending.columns(0, open)).values,
                  download(*cuda, states[1].pending.columns(0, open)).values);
      }
      const std::vector<double> is = cuda->residuals(states[1]), wanted = cpu->residuals(states[0]);
      for (std::size_t j = 0; j < is.size(); ++j)
        EXPECT_NEAR(is[j], wanted[j], 1e-12 * wanted[j]);
    }
}

/// Column j of the gate lets through about j rows in n: columns stop one after another, in all size
/// classes.
HostMatrix staircase(Index m, Index n) {
  Random random(3);
  HostMatrix gate(m, n);
  for (Index j = 0; j < n; ++j)
    for (Index i = 0; i < m; ++i)
      gate(i, j) =
          random.uniform(0.0, static_cast<double>(n)) < static_cast<double>(j) ? 1.0 : -1.0;
  return gate;
}

TEST_P(SweepLoop, GraphHostAndSingleSweepsDoTheSame) {
  const Index m = 96, n = 150;
  const HostMatrix gate_values = staircase(m, n);
  const HostMatrix c = test::rounded(real(), Random(4).matrix(m, n));
  const double tolerance = test::tight(precision()).tolerance;
  std::vector<HostMatrix> applied, P, residuals;
  std::vector<SweepStatus> ends;
  for (const auto& [kind, most] :
       {std::pair{"graph", 1000}, {"host", 1000}, {"graph", 7}, {"host", 1}}) {
    const auto backend = backend_with_loop(kind);
    const WeightOperator A(*backend, precision(), m, WeightLaw::lattice, 5);
    Matrix gate = backend->allocate(real(), m, n);
    backend->upload(gate_values.view(), gate);
    const Sweep sweep{.A = A.operand(),
                      .transpose = Transpose::yes,
                      .s = 0.7 / std::sqrt(static_cast<double>(m)),
                      .epilogue = Epilogue::mask,
                      .gate = gate,
                      .tolerance = tolerance,
                      .jacobi = true};
    SweepState state = start(*backend, c);
    SweepStatus status = backend->measure(state, sweep, true);
    SweepStatus all;
    while (status.open > 0 && all.sweeps < 1000) {
      status = backend->iterate(state, sweep, most);
      all.sweeps += status.sweeps;
      all.operations += status.operations;
      const HostMatrix open = download(*backend, state.open);
      for (Index k = 1; k < status.open; ++k)
        ASSERT_LT(open(0, k - 1), open(0, k));
    }
    EXPECT_EQ(status.open, 0);
    ends.push_back(all);
    applied.push_back(download(*backend, state.applied));
    P.push_back(download(*backend, state.P));
    residuals.push_back(download(*backend, state.residual));
  }
  EXPECT_GT(ends[0].sweeps, 10);
  for (std::size_t k = 0; k < ends.size(); ++k) {
    for (const double residual : residuals[k].values)
      EXPECT_LE(residual, tolerance);
    EXPECT_LT(test::relative_error(applied[k], applied[0]), 1e-6);
    EXPECT_LT(test::relative_error(P[k], P[0]), 1e-6);
    if (precision() == Precision::mixed) {
      EXPECT_EQ(ends[k].sweeps, ends[0].sweeps);
      EXPECT_EQ(ends[k].operations, ends[0].operations);
      EXPECT_EQ(applied[k].values, applied[0].values);
      EXPECT_EQ(P[k].values, P[0].values);
      EXPECT_EQ(residuals[k].values, residuals[0].values);
    } else {
      // The library's sums are in another order for other numbers of columns, packed at other
      // times: a column that is about to stop may do so a sweep sooner or later.
      EXPECT_NEAR(ends[k].sweeps, ends[0].sweeps, 1);
      EXPECT_NEAR(ends[k].operations, ends[0].operations, 0.01 * ends[0].operations);
    }
  }
}

TEST_P(SweepLoop, TheHostWaitsOnceAStage) {
  const Index m = 64, n = 20;
  const auto backend = backend_with_loop("graph");
  const WeightOperator A(*backend, precision(), m, WeightLaw::lattice, 6);
  const HostMatrix c = test::rounded(real(), Random(7).matrix(m, n));
  Sweep sweep{.A = A.operand(),
              .transpose = Transpose::no,
              .s = 0.5 / std::sqrt(static_cast<double>(m)),
              .epilogue = Epilogue::relu,
              .gate = {},
              .tolerance = 1e-5,
              .jacobi = true};
  SweepState state = start(*backend, c);
  const Extrapolation by{.alone = 1.0, .newer = 1.0, .older = 0.0};
  for (Gains* gains : {&state.gained, &state.gained_before}) {
    gains->P = backend->allocate(real(), m, n);
    if (precision() == Precision::mixed) gains->Z = backend->allocate(real(), m, n);
  }
  backend->measure(state, sweep, true);  // makes scratch memory
  backend->iterate(state, sweep, 1000);
  ASSERT_EQ(state.open_count, 0);
  for (const double tolerance : {1e-3, 1e-4}) {  // the graph is the same one
    sweep.tolerance = tolerance;
    backend->fill(state.applied, 0.0);
    backend->upload(c.view(), state.P);
    EXPECT_EQ(waits([&] { backend->measure(state, sweep, true); }), 1);
    EXPECT_EQ(waits([&] { EXPECT_GT(backend->iterate(state, sweep, 1000).sweeps, 2); }), 1);
    EXPECT_EQ(waits([&] { backend->iterate(state, sweep, 1000); }), 0);
  }
  // Increments in fp64 and fp32 are made for a third of the columns or for none: what they know is
  // told while others wait. In mixed nothing depends on it.
  const bool opens = precision() != Precision::mixed;
  const auto guess = [&] {
    state.open_count = 0;
    return backend->predict(state, sweep, by);
  };
  EXPECT_EQ(waits([&] { EXPECT_FALSE(guess()); }), opens ? 1 : 0);
  backend->synchronize();
  EXPECT_EQ(waits([&] { EXPECT_EQ(guess(), opens); }), 0);
  // Nobody has waited since.
  EXPECT_EQ(waits([&] { EXPECT_EQ(guess(), opens); }), opens ? 1 : 0);
  // What is written to `known` counts, not what was told of it before.
  backend->fill(state.known, 0.0);
  EXPECT_EQ(waits([&] { EXPECT_FALSE(guess()); }), opens ? 1 : 0);
  EXPECT_EQ(waits([&] {
              state.open_count = 0;
              EXPECT_FALSE(backend->predict(state, sweep, {}));
            }),
            0);
  state.open_count = 0;

  backend->fill(state.applied, 0.0);
  backend->upload(c.view(), state.P);
  EXPECT_EQ(waits([&] {
              const SweepStatus status = backend->measure_and_iterate(state, sweep, true, 1000);
              EXPECT_EQ(status.open, 0);
              EXPECT_EQ(status.first_residual, 1.0);
            }),
            1);
}

TEST_P(SweepLoop, AWholeSolveWaitsOnce) {
  const Index m = 130, n = 20;
  const auto backend = backend_with_loop("graph");
  for (const int panels : {1, 3}) {
    const WeightOperator A(*backend, precision(), m, WeightLaw::lattice, 6, panels);
    const HostMatrix c = test::rounded(real(), Random(7).matrix(m, n));
    const Sweep sweep{.A = A.operand(),
                      .transpose = Transpose::no,
                      .s = 0.5 / std::sqrt(static_cast<double>(m)),
                      .epilogue = Epilogue::relu,
                      .gate = {},
                      .tolerance = 0.0};  // the solve's own
    SweepState state = start(*backend, c);
    for (const double tolerance : {1e-3, 1e-5}) {
      backend->upload(c.view(), state.P);
      Carried carried;
      SolveReport report;
      const long waited = waits([&] {
        report = solve_fixed_point(*backend, state, sweep, {.tolerance = tolerance}, Start::cold,
                                   carried);
      });
      // The first solve makes scratch memory and captures its graph.
      if (tolerance < 1e-3) {
        EXPECT_EQ(waited, 1);
      }
      EXPECT_EQ(report.status, SolveStatus::converged);
      // What came along is what is there.
      EXPECT_EQ(report.residuals, download(*backend, state.residual).values);
      EXPECT_EQ(carried.peaks, download(*backend, state.size).values);
    }
  }
}

TEST_P(SweepLoop, AWarmSolveThatGuessesWaitsOnceToo) {
  const Index m = 130, n = 20;
  const auto backend = backend_with_loop("graph");
  const WeightOperator A(*backend, precision(), m, WeightLaw::lattice, 6, 3);
  const HostMatrix c = test::rounded(real(), Random(7).matrix(m, n));
  Matrix change = backend->allocate(real(), m, 1);
  backend->upload(Random(8).matrix(m, 1).view(), change);
  const Sweep sweep{.A = A.operand(),
                    .transpose = Transpose::no,
                    .s = 0.5 / std::sqrt(static_cast<double>(m)),
                    .epilogue = Epilogue::relu,
                    .gate = {},
                    .tolerance = 0.0};
  SweepState state = start(*backend, c);
  Carried carried;
  const SolveOptions options{.tolerance = 1e-6};
  solve_fixed_point(*backend, state, sweep, options, Start::cold, carried);
  const std::vector<double> r(static_cast<std::size_t>(n), 1.0);
  double unguessed = 0.0;
  for (int epoch = 0; epoch < 6; ++epoch) {
    backend->add_column(state.P, 1e-3, change);  // as a step of training does, the same again
    note_change(*backend, state, A.operand(), 1e-3, r, carried);
    backend->synchronize();  // for a gradient's norm
    SolveReport report;
    const long waited =
        waits([&] { report = solve_warm(*backend, state, sweep, options, carried); });
    EXPECT_EQ(report.status, SolveStatus::converged);
    // In mixed a guess is part of the state before its first look, else increments are its first.
    if (epoch == 0) unguessed = report.first_residual;
    const bool has_guessed = report.first_residual < 0.3 * unguessed;
    EXPECT_EQ(has_guessed, epoch >= 1) << epoch;  // by one response; some units switch
    EXPECT_EQ(report.first_residual == 0.0, epoch >= 1 && precision() != Precision::mixed);
    if (epoch >= 3) {
      EXPECT_EQ(waited, 1) << epoch;
    }
  }
}

TEST_P(SweepLoop, WithAPlaneItWaitsOnceToSweepAndOnceToSettle) {
  if (precision() != Precision::mixed) return;
  const Index m = 130, n = 20;
  const HostMatrix c = test::rounded(real(), Random(7).matrix(m, n));
  for (const char* loop : {"graph", "host"}) {
    const bool by_graph = std::string_view(loop) == "graph";
    const auto backend = backend_with_loop(loop);
    for (const int panels : {1, 3}) {
      const WeightOperator A(*backend, precision(), m, WeightLaw::gaussian, 6, panels);
      ASSERT_TRUE(A.operand().has_plane);
      Sweep sweep{.A = A.operand(),
                  .transpose = Transpose::no,
                  .s = 0.5 / std::sqrt(static_cast<double>(m)),
                  .epilogue = Epilogue::relu,
                  .gate = {},
                  .tolerance = 0.01};
      SweepState state = start(*backend, c);
      for (const int round : {0, 1, 2}) {
        SweepStatus swept;
        const long sweeping = waits([&] {
          swept = round == 0 ? backend->measure_and_iterate(state, sweep, true, 1000)
                             : backend->iterate(state, sweep, 1000);
        });
        ASSERT_EQ(swept.open, 0);
        const std::vector<double> moved = backend->unsettled(state);
        EXPECT_EQ(swept.unsettled, by_graph ? moved : std::vector<double>());
        const SettledColumns columns = settled_columns(moved, all_to(2));
        EXPECT_EQ(columns.size(), n);
        sweep.tolerance /= 10.0;
        SettledLook settled;
        const long settling =
            waits([&] { settled = backend->settle_and_measure(state, sweep, columns); });
        EXPECT_GT(settled.look.open, 0);
        if (round < 1) continue;  // the first round makes scratch memory, and the loop's graph
        EXPECT_EQ(settling, 1) << panels;
        if (by_graph) {
          EXPECT_EQ(sweeping, 1) << panels;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, SweepLoop,
                         testing::Values(Precision::fp64, Precision::fp32, Precision::mixed),
                         [](const auto& it) { return std::string(test::name_of(it.param)); });

TEST(LoopChoice, WithoutConditionalGraphsTheHostLoops) {
  cuda_on_host::Settings settings = cuda_on_host::settings();
  settings.conditional_graphs = false;
  cuda_on_host::set_settings(settings);
  const auto backend = make_cuda_backend();
  EXPECT_NE(backend->description().find("driven by the host (no graph: "), std::string::npos)
      << backend->description();
  EXPECT_THROW(backend_with_loop("graph"), Unsupported);
  settings.conditional_graphs = true;
  cuda_on_host::set_settings(settings);
  EXPECT_NE(make_cuda_backend()->description().find("driven by a graph"), std::string::npos);
}

}  // namespace
}  // namespace widedeq
