// train --optimizer flow and --batch-size, from the outside: records, refusals, ends.
#include <cmath>

#include "tests/cli/cli_support.hpp"

namespace widedeq::test {
namespace {

class OptimizerTest : public CliTest {
 protected:
  std::vector<nlohmann::json> epochs_of(const std::string& run) const {
    return of_kind(read_records(path(run + "/metrics.jsonl")), "epoch");
  }
};

TEST_F(OptimizerTest, AFlowsEpochsAreTheLearningRateInTime) {
  const Result result = run(
      "train --width 96 --samples 30 --epochs 12 --gram-every 1 --optimizer flow --flow-tolerance "
      "1e-3 --out run");
  ASSERT_EQ(result.code, 0) << result.error;
  const auto records = read_records(path("run/metrics.jsonl"));
  const double eta = records.at(0).at("learning_rate");
  const auto epochs = of_kind(records, "epoch");
  const auto grams = of_kind(records, "gram");
  ASSERT_EQ(epochs.size(), 12U);
  ASSERT_EQ(grams.size(), 12U);
  double least = INFINITY;
  for (std::size_t k = 0; k < epochs.size(); ++k) {
    EXPECT_NEAR(epochs[k].at("time"), static_cast<double>(k) * eta, 1e-12 * eta * 12.0);
    EXPECT_GE(epochs[k].at("flow_steps"), 1);
    EXPECT_TRUE(epochs[k].contains("flow_rejected"));
    // The theory's bound, to the flow's tolerance.
    least = std::min(least, grams[k].at("lambda_min").get<double>());
    EXPECT_LE(epochs[k].at("loss").get<double>(),
              epochs[0].at("loss").get<double>() *
                  std::exp(-2.0 * least * epochs[k].at("time").get<double>()) * 1.001);
  }
  EXPECT_LT(epochs[11].at("loss"), epochs[0].at("loss").get<double>() / 2.0);
  EXPECT_NE(result.output.find("exp(-H(0) t)"), std::string::npos) << result.output;
}

TEST_F(OptimizerTest, BatchesRecordWhatTheyHaveSeen) {
  const Result result =
      run("train --width 96 --samples 30 --epochs 9 --gram-every 4 --batch-size 8 --learning-rate "
          "2e-3 --test-samples 10 --out run");
  ASSERT_EQ(result.code, 0) << result.error;
  const auto epochs = epochs_of("run");
  ASSERT_EQ(epochs.size(), 9U);
  for (std::size_t k = 0; k < epochs.size(); ++k) {
    EXPECT_EQ(epochs[k].at("batches"), 4);  // 8, 8, 8, 6
    EXPECT_EQ(epochs[k].contains("full_loss"), k % 4 == 0) << k;
    EXPECT_TRUE(epochs[k].contains("error"));
    EXPECT_TRUE(epochs[k].contains("test_loss"));
    EXPECT_LE(epochs[k].at("residual_forward"), 1e-6);
    EXPECT_LE(epochs[k].at("residual_adjoint"), 1e-6);
  }
  EXPECT_LT(epochs[8].at("full_loss"), epochs[0].at("full_loss").get<double>() / 3.0);
  EXPECT_EQ(of_kind(read_records(path("run/metrics.jsonl")), "gram").size(), 3U);

  // Where nothing asks for all samples there is no full loss, and the seed alone decides.
  const std::string command =
      "train --width 96 --samples 30 --epochs 3 --gram-every 0 --batch-size 8 --learning-rate "
      "2e-3 ";
  ASSERT_EQ(run(command + "--out a").code, 0);
  ASSERT_EQ(run(command + "--out b").code, 0);
  EXPECT_EQ(without_times(read_text(path("a/metrics.jsonl"))),
            without_times(read_text(path("b/metrics.jsonl"))));
  EXPECT_EQ(read_text(path("a/weights.npz")), read_text(path("b/weights.npz")));
  for (const auto& epoch : epochs_of("a"))
    EXPECT_FALSE(epoch.contains("full_loss"));
}

TEST_F(OptimizerTest, SmallBatchesThatOvershootAreWarnedOf) {
  const std::string command = "train --width 64 --samples 40 --epochs 1 --out ";
  // The mean over samples of n H_jj is trace(H), here above lambda_max = 51: 0.05 times it
  // passes 2.
  const Result one = run(command + "one --batch-size 1 --learning-rate 0.05");
  EXPECT_NE(one.error.find("overshoot"), std::string::npos) << one.error;
  const Result half = run(command + "half --batch-size 20 --learning-rate auto");
  EXPECT_EQ(half.code, 0) << half.error;
  EXPECT_EQ(half.error.find("overshoot"), std::string::npos) << half.error;
}

TEST_F(OptimizerTest, BatchesThatRunAwayAreHalvedOrEnd) {
  const std::string command =
      "train --width 64 --samples 40 --epochs 8 --batch-size 10 --learning-rate 0.2 ";
  const Result failed = run(command + "--out run");
  EXPECT_EQ(failed.code, 4) << failed.error;
  EXPECT_TRUE(fs::exists(path("run/weights.npz")));
  const Result halved = run(command + "--on-divergence halve --out halved");
  ASSERT_EQ(halved.code, 0) << halved.error;
  EXPECT_EQ(epochs_of("halved").size(), 8U);
  EXPECT_GE(of_kind(read_records(path("halved/metrics.jsonl")), "halved").size(), 1U);
}

TEST_F(OptimizerTest, AFlowThatStallsSaysSoAndKeepsItsState) {
  // There are hardly more sweeps than the start needs, and on the way to targets far away solves
  // take more; the intervals are short, so that a few are passed first.
  write_problem(40, 8, 4);
  std::vector<double> far(8, 60.0);
  write_npy(path("y.npy"), {8}, far);
  const Result result =
      run("train --data npy:X.npy,y.npy --width 40 --epochs 400 --optimizer flow --precision fp64 "
          "--max-sweeps 30 --learning-rate 1e-3 --flow-tolerance 1e-2 --checkpoint-every 5 "
          "--gram-every 0 --out run");
  EXPECT_EQ(result.code, 4) << result.error;
  ASSERT_EQ(result.complaints().size(), 1U) << result.error;
  EXPECT_NE(result.complaints()[0].find("sweeps"), std::string::npos) << result.error;
  EXPECT_TRUE(fs::exists(path("run/weights.npz")));
  EXPECT_GE(epochs_of("run").size(), 1U);
}

TEST_F(OptimizerTest, WhatMakesNoSenseIsRefused) {
  const std::string flow = "train --width 32 --samples 10 --optimizer flow --out run ";
  expect_refused(flow + "--batch-size 5", 2, {"--batch-size 5"});
  expect_refused(flow + "--on-divergence halve", 2, {"halve"});
  expect_refused(flow + "--flow-tolerance 1e-7", 2, {"--flow-tolerance", "1e-06"});
  expect_refused(flow + "--flow-tolerance 0", 2, {"above 0"});
  expect_refused("train --optimizer adam --out run", 2, {"descent or flow"});
  expect_refused("train --batch-size -1 --out run", 2, {"an integer from 0"});
}

TEST_F(OptimizerTest, DryRunsKnowOfThem) {
  const std::string command = "train --width 512 --samples 100 --epochs 10 --dry-run ";
  const Result descent = run(command);
  const Result flow = run(command + "--optimizer flow");
  const Result batches = run(command + "--batch-size 10");
  for (const Result* result : {&descent, &flow, &batches})
    EXPECT_EQ(result->code, 0) << result->error;
  EXPECT_EQ(descent.output.find("stages of the flow"), std::string::npos);
  EXPECT_NE(flow.output.find("stages of the flow"), std::string::npos) << flow.output;
}

TEST_F(OptimizerTest, AFlowMayBeGoneOnWithByDescent) {
  ASSERT_EQ(run("train --width 64 --samples 40 --epochs 6 --optimizer flow --checkpoint-every 3 "
                "--keep 9 --out all")
                .code,
            0);
  fs::remove(path("all/checkpoints/epoch-000006.ckpt"));
  write_text("all/STATUS", "running\n");
  expect_refused("train --resume --optimizer descent --out all", 2, {"optimizer"});
  const Result rest = run("train --resume=inexact --optimizer descent --out all");
  ASSERT_EQ(rest.code, 0) << rest.error;
  const auto epochs = epochs_of("all");
  ASSERT_EQ(epochs.size(), 6U);
  EXPECT_TRUE(epochs[2].contains("time"));
  EXPECT_FALSE(epochs[3].contains("time"));
  EXPECT_LT(epochs[5].at("loss"), epochs[2].at("loss"));
}

}  // namespace
}  // namespace widedeq::test
