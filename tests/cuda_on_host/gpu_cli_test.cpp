// The tool on a machine with a GPU, or with one that does not serve: what it prints, what it
// refuses, and that a run is the CPU's.
#include "tests/cli/cli_support.hpp"

namespace widedeq::test {
namespace {

class GpuCliTest : public CliTest {
 protected:
  /// On a machine that differs from a good one in these words.
  Result run_on(const std::string& machine, const std::string& arguments) const {
    return run_with("WIDEDEQ_TEST_MACHINE='" + machine + "'", arguments);
  }

  static constexpr const char* training =
      "train --data digits --samples 40 --width 96 --epochs 4 --gram-every 2 --seed 3 ";

  /// Refused in one line with these parts, and nothing left behind.
  void expect_refused_on(const std::string& machine, const std::vector<std::string>& parts) const {
    const auto before = files();
    const Result result = run_on(machine, std::string(training) + "--backend cuda --out run");
    EXPECT_EQ(result.code, 2) << machine << result.error;
    const auto lines = result.complaints();
    ASSERT_EQ(lines.size(), 1U) << machine << result.error;
    for (const std::string& part : parts)
      EXPECT_NE(lines[0].find(part), std::string::npos) << "no '" << part << "' in " << lines[0];
    EXPECT_EQ(files(), before) << machine;
  }

  std::vector<nlohmann::json> epochs(const std::string& run) const {
    return of_kind(read_records(path(run + "/metrics.jsonl")), "epoch");
  }
};

TEST_F(GpuCliTest, InfoListsTheDeviceAndWhatFits) {
  const Result result = run("info --samples 500");
  EXPECT_EQ(result.code, 0) << result.error;
  for (const char* part : {"  gpu 0", "compute capability 9.0", "multiprocessors", "free",
                           "with 500 samples", "driven by a graph", "cuBLASLt", "driver for 13.0"})
    EXPECT_NE(result.output.find(part), std::string::npos) << part << "\n" << result.output;
  const Result host = run_on("graphs=0", "info");
  EXPECT_NE(host.output.find("driven by the host (no graph: "), std::string::npos) << host.output;
}

TEST_F(GpuCliTest, WhatDoesNotServeIsRefusedInOneSentence) {
  expect_refused_on("devices=0", {"no GPU", "CUDA_VISIBLE_DEVICES", "--backend cpu"});
  expect_refused_on("driver=0", {"no NVIDIA driver", "--backend cpu"});
  expect_refused_on("driver=12020", {"too old", "12.2", "13.0"});
  expect_refused_on("major=7", {"compute capability 7.0", "8.0"});
}

TEST_F(GpuCliTest, AutoTakesTheGpuOrDoesWithout) {
  for (const auto& [machine, backend] :
       {std::pair<std::string, std::string>{"", "cuda"}, {"devices=0", "cpu"}}) {
    const std::string out = "run-" + backend;
    const Result result = run_on(machine, std::string(training) + "--out " + out);
    EXPECT_EQ(result.code, 0) << result.error;
    const auto config = read_records(path(out + "/metrics.jsonl")).at(0).at("config");
    EXPECT_EQ(config.at("backend"), backend);
  }
}

TEST_F(GpuCliTest, LossesAreTheCpus) {
  for (const std::string precision : {"fp64", "fp32", "mixed"}) {
    if (precision == "mixed" && !has_mixed()) continue;
    for (const std::string backend : {"cpu", "cuda"}) {
      const Result result = run(std::string(training) + "--precision " + precision + " --backend " +
                                backend + " --out " + precision + backend);
      ASSERT_EQ(result.code, 0) << precision << backend << result.error;
    }
    const auto cpu = epochs(precision + "cpu"), cuda = epochs(precision + "cuda");
    ASSERT_EQ(cpu.size(), cuda.size());
    for (std::size_t k = 0; k < cpu.size(); ++k) {
      const double is = cuda[k].at("loss"), wanted = cpu[k].at("loss");
      // Both solve to 1e-6, relative.
      EXPECT_NEAR(is, wanted, 1e-5 * wanted) << precision << ", epoch " << k;
    }
  }
}

TEST_F(GpuCliTest, ARunGoesOnFromACheckpoint) {
  const std::string options = " --backend cuda --checkpoint-every 2 --learning-rate 1e-3 --out ";
  ASSERT_EQ(run(training + options + "whole").code, 0);
  const std::string shorter =
      "train --data digits --samples 40 --width 96 --epochs 2 "
      "--gram-every 2 --seed 3";
  ASSERT_EQ(run(shorter + options + "parts").code, 0);
  const Result rest = run(training + options + "parts --resume=inexact");
  ASSERT_EQ(rest.code, 0) << rest.error;
  const auto whole = epochs("whole"), parts = epochs("parts");
  ASSERT_EQ(whole.size(), parts.size());
  for (std::size_t k = 0; k < whole.size(); ++k)
    // The shorter run audits its last epoch, so the two are the same within the tolerance only.
    EXPECT_NEAR(whole[k].at("loss").get<double>(), parts[k].at("loss").get<double>(),
                1e-6 * whole[k].at("loss").get<double>())
        << "epoch " << k;
}

TEST_F(GpuCliTest, MemoryThatDoesNotSufficeIsOneSentence) {
  const Result result =
      run_on("memory=100000000", "train --data digits --width 8192 --epochs 1 --out run");
  EXPECT_NE(result.code, 0);
  const auto lines = result.complaints();
  ASSERT_EQ(lines.size(), 1U) << result.error;
  for (const char* part : {"memory", "GiB", "free", "width"})
    EXPECT_NE(lines[0].find(part), std::string::npos) << lines[0];
}

TEST_F(GpuCliTest, ADryRunTellsOfTheDevicesMemory) {
  const std::string command = "train --data digits --width 8192 --epochs 9 --dry-run ";
  const Result fits = run(command + "--backend cuda");
  EXPECT_EQ(fits.code, 0) << fits.error;
  for (const char* part : {"GPU memory at most", " free", "libraries", "memory at most"})
    EXPECT_NE(fits.output.find(part), std::string::npos) << part << "\n" << fits.output;
  EXPECT_EQ(fits.output.find("too small"), std::string::npos) << fits.output;

  const Result small = run_on("memory=2000000000", command + "--backend cuda");
  EXPECT_EQ(small.code, 2) << small.error;
  const std::string sentence = "The GPU's memory is too small: ";
  const auto at = small.output.find(sentence);
  ASSERT_NE(at, std::string::npos) << small.output;
  const std::string suggestion = "lower --width (about ";
  const auto number = small.output.find(suggestion, at);
  ASSERT_NE(number, std::string::npos) << small.output;
  EXPECT_LT(std::stol(small.output.substr(number + suggestion.size())), 8192);
  EXPECT_EQ(
      run("train --data digits --width 8192 --epochs 9 --dry-run --backend cpu").output.find("GPU"),
      std::string::npos);
}

TEST_F(GpuCliTest, SoDoesADryStudy) {
  write_text("s.toml", "data = \"digits\"\nsamples = 40\nepochs = 3\n[grid]\nwidth = [64, 8192]\n");
  const Result fits = run("study --config s.toml --out st --dry-run");
  EXPECT_EQ(fits.code, 0) << fits.error;
  EXPECT_NE(fits.output.find("GPU memory: "), std::string::npos) << fits.output;
  const Result small = run_on("memory=2000000000", "study --config s.toml --out st --dry-run");
  EXPECT_EQ(small.code, 2) << small.error;
  EXPECT_NE(small.output.find("The GPU's memory is too small for the largest cell: "),
            std::string::npos)
      << small.output;
}

TEST_F(GpuCliTest, VariablesThatSayNothingAreRefused) {
  for (const std::string variable : {"WIDEDEQ_CUDA_LOOP=grahp", "WIDEDEQ_CUDA_SWEEP=both"}) {
    const Result result = run_with(variable, std::string(training) + "--backend cuda --out run");
    EXPECT_EQ(result.code, 2) << result.error;
    ASSERT_EQ(result.complaints().size(), 1U) << result.error;
    EXPECT_NE(result.error.find(variable), std::string::npos) << result.error;
  }
}

TEST_F(GpuCliTest, BenchRunsOnTheDevice) {
  const Result result =
      run("bench --backend cuda --stages sweep,gram --shapes 64x16 --max-seconds 0.2 --cold "
          "--json b.json");
  EXPECT_EQ(result.code, 0) << result.error << result.output;
  EXPECT_NE(result.output.find("cuda: "), std::string::npos) << result.output;
}

}  // namespace
}  // namespace widedeq::test
