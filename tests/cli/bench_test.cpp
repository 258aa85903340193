// `widedeq bench`: every stage on tiny shapes, its files, its refusals.
#include <set>

#include "tests/cli/cli_support.hpp"

namespace widedeq::test {
namespace {

class BenchCliTest : public CliTest {
 protected:
  nlohmann::json read_json(const std::string& name) const {
    return nlohmann::json::parse(read_text(path(name)));
  }
};

TEST_F(BenchCliTest, HelpTeaches) {
  const Result help = run("bench --help");
  EXPECT_EQ(help.code, 0);
  for (const char* part :
       {"--stages", "--shapes", "--precision", "--inputs", "--max-seconds", "--json", "--csv",
        "--backend", "--threads", "--gamma", "--tolerance", "--seed", "rank_update",
        "sweep_adjoint", "median", "noise", "Examples", "1024:8192x1000", "[1024x256]"})
    EXPECT_NE(help.output.find(part), std::string::npos) << part;
}

TEST_F(BenchCliTest, EveryStageInEveryPrecision) {
  const Result result =
      run("bench --shapes 64x16,40x70 --inputs 9 --max-seconds 0.01 --json b.json --csv b.csv");
  EXPECT_EQ(result.code, 0) << result.error << result.output;
  const auto report = read_json("b.json");
  EXPECT_EQ(report.at("schema"), 2);
  EXPECT_FALSE(report.at("stopped").get<bool>());
  EXPECT_GT(report.at("roofline").at("memory").at("bytes_per_second").get<double>(), 1e8);
  EXPECT_GT(report.at("roofline").at("fp32").at("flops_per_second").get<double>(), 1e8);

  std::set<std::string> stages, precisions;
  for (const auto& row : report.at("rows")) {
    const std::string name = row.at("stage");
    EXPECT_EQ(row.at("ok"), true) << row;
    EXPECT_GT(row.at("samples").get<int>(), 0) << name;
    EXPECT_GT(row.at("seconds_median").get<double>(), 0.0) << name;
    EXPECT_LE(row.at("seconds_least").get<double>(), row.at("seconds_median").get<double>());
    EXPECT_GE(row.at("seconds_most").get<double>(), row.at("seconds_median").get<double>());
    EXPECT_LE(row.at("error").get<double>(), row.at("tolerance").get<double>()) << name;
    EXPECT_GT(row.at("share_of_roofline").get<double>(), 0.0) << name;
    stages.insert(name);
    precisions.insert(row.at("precision").get<std::string>());
  }
  const bool mixed = has_mixed();
  EXPECT_EQ(stages.size(), mixed ? 17U : 16U);
  EXPECT_EQ(precisions.size(), mixed ? 3U : 2U);
  EXPECT_EQ(report.at("rows").size(), mixed ? 2U * (16 * 3 + 1) : 2U * 16 * 2);

  const std::string csv = read_text(path("b.csv"));
  EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(csv, '\n')), report.at("rows").size() + 1);
  EXPECT_NE(result.output.find("\n| stage "), std::string::npos);
  EXPECT_NE(result.output.find("\n| rank_update "), std::string::npos);
  // Ten milliseconds cannot be enough, and that is said; there is no progress off a terminal.
  const auto complaints = result.complaints();
  ASSERT_EQ(complaints.size(), 1U) << result.error;
  EXPECT_NE(complaints[0].find("marked !: not measured well within 0.01 s"), std::string::npos);
  EXPECT_EQ(std::ranges::count(result.error, '\n'), 1) << result.error;
}

TEST_F(BenchCliTest, AWrongResultIsNotTimed) {
  const Result result = run(
      "bench --stages forward,readout --shapes 64x9 --gamma 5 --precision fp64 --max-seconds 0.01 "
      "--json b.json");
  EXPECT_EQ(result.code, 4) << result.error;
  const auto rows = read_json("b.json").at("rows");
  ASSERT_EQ(rows.size(), 2U);
  for (const auto& row : rows) {
    const bool solve = row.at("stage") == "forward";
    EXPECT_EQ(row.at("ok"), !solve);
    EXPECT_EQ(row.at("seconds_median").is_null(), solve);
  }
  EXPECT_NE(result.output.find("FAILED"), std::string::npos);
  EXPECT_NE(result.output.find("diverged"), std::string::npos) << result.output;
  EXPECT_NE(result.error.find("1 of 2 rows failed"), std::string::npos) << result.error;
}

TEST_F(BenchCliTest, RefusesWhatItCannotDo) {
  expect_refused("bench --shapes 1024", 2, {"'1024' is not a shape", "--shapes 1024", "give MxN"});
  expect_refused("bench --shapes 0x5", 2, {"'0x5' is not a shape"});
  expect_refused("bench --shapes 1024x256,", 2, {"empty"});
  expect_refused("bench --stages swep", 2, {"no stage 'swep'", "did you mean sweep?"});
  expect_refused("bench --stages ''", 2, {"--stages"});
  expect_refused("bench --precision fp16", 2, {"fp16", "fp64,fp32,mixed"});
  expect_refused("bench --inputs 0", 2, {"--inputs 0", "an integer from 1"});
  expect_refused("bench --max-seconds 0", 2, {"--max-seconds 0", "above 0"});
  expect_refused("bench --max-seconds nan", 2, {"--max-seconds nan"});
  expect_refused("bench --gamma 0", 2, {"--gamma 0"});
  expect_refused("bench --tolerance 1e-9", 2, {"1e-09", "fp32"});
  expect_refused("bench --shape 1x1", 2, {"did you mean --shapes?"});
  expect_refused("bench --shapes --json x", 2, {"--shapes lacks a value"});
  expect_refused("bench extra", 2, {"extra"});
  expect_refused("bench --json none/b.json", 74, {"none"});
  expect_refused("bench --shapes 16x3 --csv .", 74, {"not a regular file"});
  if (fs::exists("/proc/meminfo"))
    expect_refused("bench --shapes 100000000x1 --json b.json", 2, {"available", "--shapes"});
}

TEST_F(BenchCliTest, UnsupportedBackendIsUsage) {
  // Without a GPU there is one sentence that says why, whether CUDA was built or not.
  if (run("info").output.find("  gpu 0") != std::string::npos)
    GTEST_SKIP() << "this machine has a GPU";
  expect_refused("bench --backend cuda", 2, {"--backend cpu"});
}

TEST_F(BenchCliTest, ASignalKeepsTheRowsThatAreDone) {
  const std::string script =
      "cd '" + directory.string() + "' && '" WIDEDEQ_BINARY "' bench --stages readout " +
      "--shapes 16:500:1x3 --precision fp64 --max-seconds 0.1 --json b.json >o 2>e & " +
      "p=$!; for i in $(seq 600); do grep -q '^| readout' '" + path("o") +
      "' && break; sleep 0.1; done; kill -INT $p; wait $p";
  const int status = std::system(script.c_str());
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 75) << read_text(path("e"));
  const auto report = read_json("b.json");
  EXPECT_TRUE(report.at("stopped").get<bool>());
  EXPECT_GT(report.at("rows").size(), 0U);
  EXPECT_LT(report.at("rows").size(), 485U);
}

TEST_F(BenchCliTest, WhatNothingHeedsIsRefused) {
  expect_refused("bench --stages settle --shapes 16x3 --precision fp64", 2, {"mixed"});
  expect_refused("bench --stages readout --shapes 16x3 --epochs 7", 2, {"--epochs", "epoch"});
  expect_refused("bench --stages readout --shapes 16x3 --json z --csv ./z", 2, {"same file"});
}

}  // namespace
}  // namespace widedeq::test
