// Every stage on the backend under test: it passes its own check, and a check finds what is wrong.
#include <set>

#include "bench/network.hpp"
#include "bench/reference.hpp"
#include "bench/stages.hpp"
#include "tests/support.hpp"

namespace widedeq::bench {
namespace {

Case small_case(Precision precision, Shape shape = {64, 20}) {
  static const auto cpu = make_cpu_backend(2);
  return {.backend = test::backend(),
          .reference = *cpu,
          .precision = precision,
          .shape = shape,
          .inputs = 7};
}

TEST(Stages, HaveNamesOfTheirOwn) {
  std::set<std::string_view> names;
  for (const Stage& stage : all_stages()) {
    EXPECT_TRUE(names.insert(stage.name).second) << stage.name;
    EXPECT_FALSE(stage.formula.empty()) << stage.name;
  }
  for (const char* name :
       {"sweep", "sweep_adjoint", "settle", "inject", "readout", "refresh", "backward_injection",
        "rank_update", "generate", "gram", "forward", "adjoint", "epoch"})
    EXPECT_TRUE(names.contains(name)) << name;
}

class EveryStage : public testing::TestWithParam<Precision> {
 protected:
  void SetUp() override { SKIP_UNLESS_SUPPORTED(GetParam()); }
  static bool applies(const Stage& stage) {
    return !stage.mixed_only || GetParam() == Precision::mixed;
  }
};

TEST_P(EveryStage, PassesItsCheckAgainAndAgain) {
  for (const Shape shape : {Shape{64, 20}, Shape{33, 65}}) {
    const Case c = small_case(GetParam(), shape);
    for (const Stage& stage : all_stages()) {
      if (!applies(stage)) continue;
      const auto trial = stage.set_up(c);
      trial->prepare();
      trial->call();
      EXPECT_EQ(trial->failure(), "") << stage.name;
      EXPECT_LE(trial->error(), stage.tolerance.at(GetParam(), c.tolerance))
          << stage.name << " " << to_text(shape);
      for (int k = 0; k < 3; ++k) {
        trial->prepare();
        trial->call();
      }
      EXPECT_EQ(trial->failure(), "") << stage.name;
      const Work work = trial->work();
      EXPECT_TRUE(std::isfinite(work.total_flops())) << stage.name;
      EXPECT_GT(work.bytes, 0.0) << stage.name;
    }
  }
}

// Without a call the results are not there: a check that passes all the same looks at nothing.
TEST_P(EveryStage, FailsItsCheckWithoutACall) {
  const Case c = small_case(GetParam());
  for (const Stage& stage : all_stages()) {
    // A sweep's and an epoch's check make calls of their own.
    if (!applies(stage) || stage.name.starts_with("sweep") || stage.name == "epoch") continue;
    const auto trial = stage.set_up(c);
    trial->prepare();
    EXPECT_GT(trial->error(), stage.tolerance.at(GetParam(), c.tolerance)) << stage.name;
  }
}

// The products that shares are computed from are those of the formulas.
TEST_P(EveryStage, SweepsMultiplyAsManyTimesAsTheySay) {
  // As the backend counts: the first sweep of an iteration, which has less to multiply, is not
  // timed.
  for (const Shape shape : {Shape{64, 20}, Shape{1500, 20}})
    for (const bool adjoint : {false, true}) {
      const Stage stage = adjoint ? sweep_adjoint_stage() : sweep_stage();
      const auto trial = stage.set_up(small_case(GetParam(), shape));
      trial->prepare();
      const Operations before = test::backend().operations();
      trial->call();
      const Operations now = test::backend().operations();
      const double counted =
          now.fp64 - before.fp64 + now.fp32 - before.fp32 + now.int8 - before.int8;
      EXPECT_NEAR(trial->work().total_flops() / counted, 1.0, 1e-12) << stage.name;
    }
}

TEST_P(EveryStage, CountsItsProducts) {
  const Case c = small_case(GetParam());
  const auto work_of = [&](const Stage& stage) {
    const auto trial = stage.set_up(c);
    trial->prepare();
    trial->call();
    return trial->work();
  };
  const double product = 2.0 * 64 * 64 * 20;
  EXPECT_EQ(work_of(product_stage()).products[GetParam()], 1.0);
  EXPECT_EQ(work_of(product_stage()).total_flops(), product);
  EXPECT_EQ(work_of(sweep_stage()).products[GetParam()], 6.0);
  EXPECT_EQ(work_of(sweep_adjoint_stage()).flops[GetParam()], 6.0 * product);
  EXPECT_EQ(work_of(rank_update_stage()).products[real_arithmetic(GetParam())], 1.0);
  EXPECT_EQ(work_of(inject_stage()).total_products(), 0.0);
  EXPECT_EQ(work_of(inject_stage()).total_flops(), 2.0 * 64 * 20 * 7);
  // Products of both solves and one update, the latter in reals.
  const Work forward = work_of(forward_stage()), adjoint = work_of(adjoint_stage()),
             epoch = work_of(epoch_stage());
  EXPECT_GT(forward.products[GetParam()], 5.0);
  EXPECT_NEAR(epoch.total_products(), forward.total_products() + adjoint.total_products() + 1.0,
              8.0);
}

INSTANTIATE_TEST_SUITE_P(, EveryStage,
                         testing::Values(Precision::fp64, Precision::fp32, Precision::mixed),
                         [](const auto& info) { return test::name_of(info.param); });

TEST(Solves, SayWhyTheyFail) {
  Case c = small_case(Precision::fp64);
  c.gamma = 5.0;
  for (const Stage& stage : {forward_stage(), epoch_stage()}) {
    const auto trial = stage.set_up(c);
    trial->call();
    EXPECT_NE(trial->failure(), "") << stage.name;
  }
}

// The loops that checks rest on, against the oracle of the tests, which is written independently.
TEST(Reference, AgreesWithTheOracle) {
  test::Random random(3);
  const HostMatrix A = random.matrix(5, 5), B = random.matrix(5, 4), c = random.matrix(5, 4);
  EXPECT_EQ(multiply(A, B).values, oracle::multiply(A, B).values);
  EXPECT_LE(relative_error(multiply_transposed(A, B), oracle::multiply(oracle::transpose(A), B)),
            1e-15);
  const std::vector<double> r{1.0, -2.0, 0.5, 3.0};
  EXPECT_LE(relative_error(weighted_outer(B, r, c), oracle::weighted_outer(1.0, B, r, c)), 1e-14);

  oracle::Network net;
  net.A = A;
  net.X = HostMatrix(2, 4);
  net.gamma = 0.2;
  const HostMatrix Z = oracle::relu(random.matrix(5, 4));
  const auto wanted = oracle::forward_residuals(net, c, Z);
  EXPECT_NEAR(residual({.A = A, .s = net.s(), .c = c}, Z), test::largest(wanted), 1e-13);
  net.u = {1, 2, 3, 4, 5};
  HostMatrix u(5, 1);
  u.values = net.u;
  const auto adjoint = oracle::adjoint_residuals(net, B, Z);
  EXPECT_NEAR(residual({.A = A, .transposed = true, .s = net.s(), .c = u, .gate = &B}, Z),
              test::largest(adjoint), 1e-13);
}

TEST(Reference, ErrorsAreTheWorstColumns) {
  HostMatrix is(2, 2), wanted(2, 2);
  wanted.values = {3, 4, 300, 400};
  is.values = {3, 4.5, 300, 400};
  EXPECT_DOUBLE_EQ(relative_error(is, wanted), 0.1);
  is.values[1] = NAN;
  EXPECT_TRUE(std::isinf(relative_error(is, wanted)));
  EXPECT_TRUE(std::isinf(relative_error(wanted, HostMatrix(2, 2))));
  EXPECT_TRUE(std::isinf(relative_error(wanted, HostMatrix(2, 1))));
  EXPECT_EQ(relative_error(HostMatrix(2, 2), HostMatrix(2, 2)), 0.0);
}

}  // namespace
}  // namespace widedeq::bench
