// The analysis of a study: runs made up so that every answer is known, and a few real ones.
#include "host/study/analysis.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "host/data/npy.hpp"
#include "host/failure.hpp"
#include "host/run/prepare.hpp"
#include "host/run/record.hpp"
#include "host/run/run.hpp"
#include "host/study/results_file.hpp"
#include "host/study/study_config.hpp"
#include "host/study/verdicts.hpp"
#include "host/study/width_limit.hpp"
#include "tests/oracle.hpp"

namespace widedeq {
namespace {

namespace fs = std::filesystem;

std::vector<EpochRecord> epochs_with(const std::vector<double>& losses) {
  std::vector<EpochRecord> epochs;
  for (const double loss : losses) {
    EpochRecord epoch;
    epoch.epoch = static_cast<int>(epochs.size());
    epoch.loss = loss;
    epochs.push_back(epoch);
  }
  return epochs;
}

TEST(LinearRange, IsTheLongestStretchThatFallsFastEnough) {
  // Factors 1/2, 1, 1/2, 1/2, 1/4, 2
  const auto epochs = epochs_with({64, 32, 32, 16, 8, 2, 4});
  const EpochRange range = linear_range(epochs, 0.5);
  EXPECT_EQ(range.first, 2);
  EXPECT_EQ(range.last, 4);
  EXPECT_EQ(range.length(), 3);
  EXPECT_EQ(linear_range(epochs, 0.1).length(), 0);
  EXPECT_EQ(linear_range(epochs, 2.0).length(), 6);
  EXPECT_EQ(linear_range(epochs_with({1.0}), 0.5).length(), 0);
  // To 10^-5 of the loss.
  EXPECT_EQ(linear_range(epochs_with({1.0, 0.500004}), 0.5).length(), 1);
  EXPECT_EQ(linear_range(epochs_with({1.0, 0.50002}), 0.5).length(), 0);
  EXPECT_EQ(linear_range(epochs_with({1.0, NAN}), 0.5).length(), 0);
  // Solves to 1e-3 know ||r|| to 2e-3 of the first one's: 0.012 may be 0.01.
  EXPECT_EQ(linear_range(epochs_with({1.0, 4e-4, 1.43e-4}), 0.25).length(), 1);
  EXPECT_EQ(linear_range(epochs_with({1.0, 4e-4, 1.43e-4}), 0.25, 1e-3).length(), 2);
  EXPECT_EQ(linear_range(epochs_with({1.0, 4e-4, 1.45e-4}), 0.25, 1e-3).length(), 1);
}

TEST(LinearRange, LossesFarEnoughApartTellWhatNeighboursDoNot) {
  // A factor of 1 - 10^-6 an epoch is less than 10^-5; twice that takes 20 epochs.
  std::vector<double> falling, rising;
  for (int k = 0; k < 60; ++k) {
    falling.push_back(std::pow(1.0 - 1e-6, k));
    rising.push_back(std::pow(1.0 + 1e-6, k));
  }
  const double factor = 1.0 - 1e-6;
  const auto stride = stride_that_tells(epochs_with(falling), factor, 0.0);
  ASSERT_TRUE(stride.has_value());
  EXPECT_NEAR(*stride, 20, 1);
  EXPECT_EQ(linear_range(epochs_with(falling), factor, 0.0, *stride).length(), 60 - *stride);
  EXPECT_EQ(linear_range(epochs_with(rising), factor).length(), 59);
  EXPECT_EQ(linear_range(epochs_with(rising), factor, 0.0, *stride).length(), 0);
  EXPECT_FALSE(stride_that_tells(epochs_with(falling), 1.0 - 1e-7, 0.0).has_value());
  EXPECT_EQ(stride_that_tells(epochs_with({1.0, 0.5}), 0.5, 0.0), 1);
  // Solves to 1e-3 know a loss of 1 to 4e-3, one of 0.25 to 8e-3.
  EXPECT_EQ(stride_that_tells(epochs_with({1.0, 0.99, 0.98, 0.97}), 0.99, 1e-3), 1);
  EXPECT_EQ(stride_that_tells(epochs_with({1.0, 0.25, 0.25, 0.24}), 0.99, 1e-3), 2);
}

TEST(LinearRange, TheBoundFromTheStartIsPassedWhereItIs) {
  const auto epochs = epochs_with({64, 40, 15, 8, 5});  // bounds 64, 32, 16, 8, 4
  EXPECT_EQ(first_above(epochs, 0.5), 1);
  EXPECT_EQ(first_above(epochs_with({64, 30, 15, 8, 5}), 0.5), 4);
  EXPECT_EQ(first_above(epochs_with({64, 30, 15, 8, 4}), 0.5), std::nullopt);
  EXPECT_EQ(first_above(epochs_with({64, NAN}), 0.5), 1);
  EXPECT_EQ(first_above(epochs_with({1.0, 0.5, 0.26}), 0.5), 2);
  EXPECT_EQ(first_above(epochs_with({1.0, 0.5, 0.26}), 0.5, 5e-3), std::nullopt);
  EXPECT_EQ(first_above(epochs_with({1.0, 0.5, 0.261}), 0.5, 5e-3), 2);
}

/// A study in a folder of its own, with cells made by the test.
class Analysis : public testing::Test {
 protected:
  Analysis() {
    std::string name = (fs::temp_directory_path() / "widedeq-analysis-XXXXXX").string();
    directory = ::mkdtemp(name.data());
  }
  ~Analysis() override { fs::remove_all(directory); }

  Study make_study(const std::string& text) const {
    Study study = parse_study(text, "test.toml", directory);
    std::ofstream(fs::path(directory) / "study.toml") << to_toml(study);
    return study;
  }

  /// A finished run whose quantities are powers of the width, times exp(scatter * seed).
  void make_cell(const StudyCell& cell, double scatter) const {
    const fs::path out(cell.directory);
    fs::create_directories(out / "gram");
    const double m = static_cast<double>(*cell.config.width);
    const double noise = std::exp(scatter * (static_cast<double>(cell.config.seed) - 2.0));

    const Dataset data = load_data(cell.config);
    const WidthLimit limit =
        width_limit(data.inputs, {cell.config.gamma, cell.config.injection, cell.config.skip});
    const auto save = [&](const char* name, const HostMatrix& kernel, double error) {
      std::vector<double> values = kernel.values;
      for (double& entry : values)
        entry *= 1.0 + error;  // ||E|| / ||K|| = error
      write_npy((out / "gram" / name).string(), {kernel.rows, kernel.columns}, values);
    };
    save("state-first.npy", limit.K, std::pow(m, -0.5) * noise);
    save("adjoint-first.npy", limit.Q, 2.0 * std::pow(m, -0.5) * noise);
    save("ntk-first.npy", limit.H, 3.0 * std::pow(m, -1.0) * noise);

    TrainConfig config = cell.config;
    RunFacts facts;
    facts.data = data.description;
    facts.samples = data.inputs.columns;
    facts.inputs = data.inputs.rows;
    facts.width = *config.width;
    facts.learning_rate = config.learning_rate;
    std::ofstream metrics(out / "metrics.jsonl");
    metrics << to_line(run_record(config, facts)) << '\n';
    // lambda_min(H) = 0.1: (1 - eta 0.1)^2 = 0.9025; the loss falls by 0.9 an epoch.
    for (int epoch = 0; epoch < 20; ++epoch) {
      metrics << to_line({{"kind", "epoch"},
                          {"epoch", epoch},
                          {"loss", 100.0 * std::pow(0.9, epoch)},
                          {"residual_forward", 9e-7},
                          {"residual_adjoint", 8e-7},
                          {"sweeps_forward", 7},
                          {"sweeps_adjoint", 11},
                          {"gradient_norm", 1.0},
                          {"seconds", 1e-8 * m * m}})
              << '\n';
      if (epoch % 10 == 0)
        metrics << to_line({{"kind", "gram"},
                            {"epoch", epoch},
                            {"lambda_min", 0.1 + 0.001 * epoch},
                            {"lambda_max", 2.0},
                            {"trace", 5.0},
                            {"drift", epoch == 0 ? 0.0 : 0.8 * std::pow(m, -0.5) * noise},
                            {"feature_lambda_min", epoch == 0 ? features : 0.015},
                            {"operator_norm", 1.9},
                            {"distance_A", epoch == 0 ? 0.0 : 2.5 * noise},
                            {"flipped", epoch == 0 ? 0.0 : flips * std::pow(m, -0.2) * noise}})
                << '\n';
    }
    std::ofstream(out / "STATUS") << "done\n";
  }

  /// A study whose cells are all made, and scatter alike.
  Study make_whole_study(const std::string& text) const {
    Study study = make_study(text);
    for (const StudyCell& cell : study.cells)
      make_cell(cell, 0.02);
    return study;
  }

  /// Appends a record to a cell's metrics.
  static void append(const StudyCell& cell, const Json& record) {
    std::ofstream(fs::path(cell.directory) / "metrics.jsonl", std::ios::app)
        << to_line(record) << '\n';
  }

  /// The run has ended with its 20th epoch; without a cause, for none that it knows of.
  static void fail(const StudyCell& cell, const std::string& cause, const std::string& reason) {
    if (!cause.empty()) append(cell, ended_record(20, cause, reason));
    std::ofstream(fs::path(cell.directory) / "STATUS") << "failed: " << reason << '\n';
  }

  static const Quantity& quantity(const StudyGroup& group, const std::string& name) {
    for (const Quantity& entry : group.quantities)
      if (entry.name == name) return entry;
    throw std::out_of_range(name);
  }

  static const StudyVerdict& verdict(const StudyGroup& group, const std::string& words) {
    for (const StudyVerdict& entry : group.verdicts)
      if (entry.statement.find(words) != std::string::npos) return entry;
    throw std::out_of_range(words);
  }

  std::string directory;
  double features = 0.02;  // lambda_min(Phi'Phi) of made-up runs at the start; later 0.015
  double flips = 0.4;
};

constexpr const char* made_up = R"(
data = "digits"
samples = 12
epochs = 20
learning-rate = 0.5
[grid]
width = [128, 512, 2048]
seed = "1..3"
gamma = [0.3, 0.5]
)";

TEST_F(Analysis, FindsTheLawsThatRunsWereMadeBy) {
  const Study study = make_study(made_up);
  ASSERT_EQ(study.cells.size(), 18U);
  for (const StudyCell& cell : study.cells)
    make_cell(cell, 0.02);
  const StudyAnalysis analysis = analyse_study(directory);
  ASSERT_EQ(analysis.cells.size(), 18U);
  EXPECT_TRUE(analysis.remarks.empty());
  for (const AnalysedCell& cell : analysis.cells)
    EXPECT_EQ(cell.status, "done");
  ASSERT_EQ(analysis.groups.size(), 2U);
  EXPECT_EQ(analysis.groups[0].label, "gamma 0.3");
  for (const StudyGroup& group : analysis.groups) {
    EXPECT_EQ(group.cells.size(), 9U);
    // The scatter is the same at every width, so slopes are exact.
    for (const auto& [name, exponent, factor] : {std::tuple{"error_state", -0.5, 1.0},
                                                 {"error_adjoint", -0.5, 2.0},
                                                 {"error_ntk", -1.0, 3.0},
                                                 {"kernel_drift", -0.5, 0.8},
                                                 {"distance_A", 0.0, 2.5},
                                                 {"flipped", -0.2, 0.4},
                                                 {"seconds", 2.0, 1e-8},
                                                 {"sweeps_forward", 0.0, 7.0}}) {
      const Quantity& it = quantity(group, name);
      ASSERT_TRUE(it.fit.has_value()) << name;
      EXPECT_NEAR(it.fit->exponent, exponent, 1e-9) << name;
      EXPECT_NEAR(it.fit->factor, factor, 1e-8 * factor) << name;
      EXPECT_EQ(it.fit->cells, 9);
      EXPECT_EQ(it.fit->widths, 3);
      // The seeds' slopes are the same: the interval is a point.
      EXPECT_EQ(it.fit->seeds, 3);
      ASSERT_TRUE(it.fit->interval.has_value());
      EXPECT_NEAR(it.fit->interval->low, exponent, 1e-9);
      EXPECT_NEAR(it.fit->interval->high, exponent, 1e-9);
    }
    EXPECT_EQ(quantity(group, "operator_norm").limit, 2.0);
    EXPECT_NEAR(quantity(group, "rate").values[0].value, -std::log(0.9), 1e-12);
    EXPECT_NEAR(quantity(group, "rate_ratio").values[0].value,
                std::log(0.9) / (2.0 * std::log(0.95)), 1e-12);
    EXPECT_GT(*quantity(group, "lambda_min_ntk").limit, 0.0);

    using enum StudyFinding;
    for (const auto& [words, finding] : {std::pair{"meets the tolerance", holds},
                                         {"well-posed", holds},
                                         {"theorem", holds},
                                         {"of the kernel: every epoch", holds},
                                         {"above half", holds},
                                         {"stays positive", holds},
                                         {"Z'Z falls as m^-0.5", holds},
                                         {"L'L/m falls as m^-0.5", holds},
                                         {"the NTK falls as m^-0.5", fails},
                                         {"drift of the kernel falls at least as", holds},
                                         {"drift of the weights does not depend", holds},
                                         {"flip falls at least as", fails}})
      EXPECT_EQ(verdict(group, words).finding, finding)
          << verdict(group, words).statement << ": " << verdict(group, words).evidence;
    EXPECT_NE(verdict(group, "theorem").evidence.find("9 of 9 cells"), std::string::npos);
    EXPECT_NE(verdict(group, "of the kernel: every epoch").evidence.find("epochs 0 to 18"),
              std::string::npos)
        << verdict(group, "of the kernel: every epoch").evidence;
  }
}

TEST_F(Analysis, SaysWhatIsMissing) {
  const Study study = make_study(made_up);
  make_cell(study.cells[0], 0.02);
  make_cell(study.cells[7], 0.02);
  fail(study.cells[7], "solve", "the forward solve did not converge");
  const StudyAnalysis analysis = analyse_study(directory);
  EXPECT_EQ(analysis.cells[0].status, "done");
  EXPECT_EQ(analysis.cells[1].status, "waiting");
  EXPECT_EQ(analysis.cells[7].status, "failed: the forward solve did not converge");
  bool has_failed = false;
  for (const StudyGroup& group : analysis.groups) {
    for (const Quantity& entry : group.quantities)
      EXPECT_FALSE(entry.fit.has_value()) << entry.name;
    const StudyVerdict& converged = verdict(group, "meets the tolerance");
    if (converged.finding != StudyFinding::fails) continue;
    has_failed = true;
    EXPECT_NE(converged.evidence.find("did not converge"), std::string::npos);
  }
  EXPECT_TRUE(has_failed);

  // Nothing at all is no error.
  for (const StudyCell& cell : study.cells)
    fs::remove_all(cell.directory);
  const StudyAnalysis empty = analyse_study(directory);
  for (const StudyGroup& group : empty.groups)
    EXPECT_EQ(verdict(group, "meets the tolerance").finding, StudyFinding::open);
}

TEST_F(Analysis, AnEigenvalueThatStartsAtZeroHasNoHalfToStayAbove) {
  const Study study = make_study(made_up);
  for (const StudyCell& cell : study.cells) {
    features = cell.config.width == 128 ? -1e-17 : cell.config.width == 512 ? 0.031 : 0.029;
    make_cell(cell, 0.02);
  }
  const StudyAnalysis analysis = analyse_study(directory);
  const StudyVerdict& above = verdict(analysis.groups[0], "above half");
  EXPECT_EQ(above.finding, StudyFinding::fails);
  for (const char* part :
       {"3 of 6 cells", "at least 0.4839 times its start (m = 512", "3 more start at 0"})
    EXPECT_NE(above.evidence.find(part), std::string::npos) << above.evidence;
}

TEST_F(Analysis, WhatEndedARunDecidesItsOwnVerdictOnly) {
  const Study study = make_whole_study(made_up);
  // Seeds change fastest: the first three have gamma 0.3.
  fail(study.cells[0], "contraction", "q = gamma ||A||/sqrt(m) went from 0.57 to 1.0003");
  fail(study.cells[1], "loss", "the loss went from 100 to 1e6");
  fail(study.cells[2], "", "the disk is full");
  const StudyAnalysis analysis = analyse_study(directory);
  const StudyVerdict& posed = verdict(analysis.groups[0], "well-posed");
  EXPECT_EQ(posed.finding, StudyFinding::fails);
  // Nobody has looked at the weights of the loss that ran away.
  for (const char* part : {"6 of 7 cells", "2 more have not come", "went from 0.57 to 1.0003"})
    EXPECT_NE(posed.evidence.find(part), std::string::npos) << posed.evidence;
  const StudyVerdict& converged = verdict(analysis.groups[0], "meets the tolerance");
  EXPECT_EQ(converged.finding, StudyFinding::holds) << converged.evidence;
  for (const char* part : {"8 of 8 cells", "1 more failed"})
    EXPECT_NE(converged.evidence.find(part), std::string::npos) << converged.evidence;
  EXPECT_EQ(verdict(analysis.groups[1], "well-posed").finding, StudyFinding::holds);
}

TEST_F(Analysis, ALossThatRanAwayRefutesTheRates) {
  const Study study = make_whole_study(made_up);
  // The first three have gamma 0.3. What the second and third have recorded falls as it should.
  fail(study.cells[0], "loss", "the loss went from 100 to 1e6");
  fail(study.cells[1], "contraction", "q went from 0.57 to 1.0003");
  fail(study.cells[2], "", "the disk is full");
  const StudyAnalysis analysis = analyse_study(directory);
  for (const char* words : {"of the theorem", "of the kernel: every epoch"}) {
    const StudyVerdict& rate = verdict(analysis.groups[0], words);
    EXPECT_EQ(rate.finding, StudyFinding::fails) << rate.statement;
    for (const char* part :
         {"6 of 7 cells", "1 more have not come", "m = 128, seed 1", "from 100 to 1e6"})
      EXPECT_NE(rate.evidence.find(part), std::string::npos) << rate.evidence;
    EXPECT_EQ(verdict(analysis.groups[1], words).finding, StudyFinding::holds);
  }
  const StudyVerdict& above = verdict(analysis.groups[0], "above half");
  EXPECT_EQ(above.finding, StudyFinding::holds);
  for (const char* part : {"6 of 6 cells", "2 more have not come"})
    EXPECT_NE(above.evidence.find(part), std::string::npos) << above.evidence;
}

TEST_F(Analysis, ALossThatRanAwayAtOnceRefutesToo) {
  const Study study = make_whole_study(made_up);
  // One epoch is recorded, the second has ended the run; and a flow that found no step small
  // enough.
  const fs::path metrics = fs::path(study.cells[0].directory) / "metrics.jsonl";
  std::ifstream file(metrics);
  std::string kept;
  for (std::string line; std::getline(file, line);)
    if (line.find("\"kind\":\"run\"") != std::string::npos ||
        line.find("\"epoch\":0,") != std::string::npos)
      kept += line + '\n';
  std::ofstream(metrics) << kept << to_line(ended_record(1, "loss", "from 100 to 1e9")) << '\n';
  std::ofstream(fs::path(study.cells[0].directory) / "STATUS") << "failed: from 100 to 1e9\n";
  fail(study.cells[1], "stall", "the flow's steps have shrunk to nothing");
  const StudyAnalysis analysis = analyse_study(directory);
  for (const char* words : {"of the theorem", "of the kernel: every epoch"}) {
    const StudyVerdict& rate = verdict(analysis.groups[0], words);
    EXPECT_EQ(rate.finding, StudyFinding::fails) << rate.statement;
    for (const char* part : {"7 of 8 cells", "1 more have not come", "from 100 to 1e9"})
      EXPECT_NE(rate.evidence.find(part), std::string::npos) << rate.evidence;
  }
}

TEST_F(Analysis, ADamagedCellHidesNoOther) {
  const Study study = make_whole_study(made_up);
  std::ofstream(fs::path(study.cells[0].directory) / "metrics.jsonl", std::ios::app) << "{]\n";
  fs::resize_file(fs::path(study.cells[1].directory) / "gram" / "ntk-first.npy", 100);
  const StudyAnalysis analysis = analyse_study(directory);
  EXPECT_EQ(analysis.cells[0].status, "unreadable");
  EXPECT_EQ(analysis.cells[1].status, "done");
  const StudyVerdict& rate = verdict(analysis.groups[0], "of the theorem");
  EXPECT_NE(rate.evidence.find("8 of 8 cells"), std::string::npos) << rate.evidence;
  EXPECT_EQ(quantity(analysis.groups[0], "error_ntk").values.size(), 7U);
  ASSERT_EQ(analysis.remarks.size(), 2U);
  EXPECT_NE(analysis.remarks[0].find("cell 0 is left out"), std::string::npos);
  EXPECT_NE(analysis.remarks[0].find("line"), std::string::npos) << analysis.remarks[0];
  EXPECT_NE(analysis.remarks[1].find("ntk-first.npy"), std::string::npos) << analysis.remarks[1];
}

TEST_F(Analysis, WhatAnAuditFindsIsAResidual) {
  const Study study = make_whole_study(made_up);
  append(study.cells[0], {{"kind", "epoch"},
                          {"epoch", 20},
                          {"loss", 12.0},
                          {"residual_forward", 9e-7},
                          {"residual_adjoint", 9e-7},
                          {"audit_forward", 1.15e-6}});
  const StudyAnalysis analysis = analyse_study(directory);
  const StudyVerdict& converged = verdict(analysis.groups[0], "meets the tolerance");
  EXPECT_EQ(converged.finding, StudyFinding::fails);
  for (const char* part : {"8 of 9 cells", "1.2e-06"})
    EXPECT_NE(converged.evidence.find(part), std::string::npos) << converged.evidence;
}

TEST_F(Analysis, ARateByAnEigenvalueThatIsZeroIsNone) {
  const Study study = make_study(made_up);
  features = 1e-17;
  for (const StudyCell& cell : study.cells)
    make_cell(cell, 0.02);
  const StudyVerdict rate = verdict(analyse_study(directory).groups[0], "of the theorem");
  EXPECT_EQ(rate.finding, StudyFinding::open);
  EXPECT_NE(rate.evidence.find("9 more with lambda_0 = 0"), std::string::npos) << rate.evidence;
}

TEST_F(Analysis, StatementsAreAboutTheRunsTheyAreAbout) {
  const auto verdicts_of = [&](const std::string& more) {
    make_whole_study(more + made_up);
    return analyse_study(directory).groups[0];
  };
  // Without the skip, Phi'Phi is no part of H.
  EXPECT_EQ(verdict(verdicts_of("skip = false"), "of the theorem").finding, StudyFinding::open);
  const StudyGroup flow = verdicts_of("optimizer = \"flow\"");
  EXPECT_EQ(verdict(flow, "of the theorem").finding, StudyFinding::holds);
  EXPECT_NE(verdict(flow, "of the theorem").statement.find("exp(-eta lambda_0)"),
            std::string::npos);
  // exp(-2 0.5 0.1) = 0.905 and the loss falls by 0.9.
  EXPECT_EQ(verdict(flow, "of the kernel: every epoch").finding, StudyFinding::holds);
}

TEST_F(Analysis, AValueOfZeroIsNoPowerOfTheWidth) {
  const Study study = make_study(made_up);
  for (const StudyCell& cell : study.cells) {
    flips = cell.config.width == 512 && cell.config.seed == 2 ? 0.0 : 0.4;
    make_cell(cell, 0.02);
  }
  const StudyAnalysis analysis = analyse_study(directory);
  const StudyVerdict& law = verdict(analysis.groups[0], "flip falls");
  EXPECT_EQ(law.finding, StudyFinding::open);
  EXPECT_NE(law.evidence.find("m = 512, seed 2"), std::string::npos) << law.evidence;
}

TEST_F(Analysis, CellsWithoutGramsCostNoLimit) {
  const Study study = make_study(made_up);
  for (const StudyCell& cell : study.cells) {
    make_cell(cell, 0.02);
    // Records of epochs alone.
    const fs::path file = fs::path(cell.directory) / "metrics.jsonl";
    std::ifstream stream(file);
    std::string kept;
    for (std::string line; std::getline(stream, line);)
      if (line.find("\"gram\"") == std::string::npos) kept += line + "\n";
    std::ofstream(file) << kept;
    fs::remove_all(fs::path(cell.directory) / "gram");
  }
  const StudyAnalysis analysis = analyse_study(directory);
  EXPECT_TRUE(analysis.remarks.empty());
  EXPECT_EQ(quantity(analysis.groups[0], "rate").fit->cells, 9);
  EXPECT_THROW(quantity(analysis.groups[0], "error_state"), std::out_of_range);
}

TEST_F(Analysis, DataThatAreGoneCostTheLimitsAlone) {
  write_npy(directory + "/X.npy", {3, 2}, std::vector<double>{1, 0, 0, 1, 1, 1});
  write_npy(directory + "/y.npy", {3}, std::vector<double>{1, -1, 1});
  const Study study = make_study(fmt::format(R"(data = "npy:{0}/X.npy,{0}/y.npy"
learning-rate = 0.5
epochs = 20
[grid]
width = [128, 512, 2048]
)",
                                             directory));
  for (const StudyCell& cell : study.cells)
    make_cell(cell, 0.02);
  EXPECT_TRUE(quantity(analyse_study(directory).groups[0], "error_state").fit.has_value());
  fs::remove(directory + "/X.npy");
  const StudyAnalysis analysis = analyse_study(directory);
  ASSERT_EQ(analysis.remarks.size(), 1U);
  EXPECT_NE(analysis.remarks[0].find("X.npy"), std::string::npos) << analysis.remarks[0];
  EXPECT_THROW(quantity(analysis.groups[0], "error_state"), std::out_of_range);
  EXPECT_TRUE(quantity(analysis.groups[0], "kernel_drift").fit.has_value());
}

TEST_F(Analysis, ResultsAreForProgramsAndTables) {
  const Study study = make_study(made_up);
  for (const StudyCell& cell : study.cells)
    if (cell.number != 4) make_cell(cell, 0.02);
  const StudyAnalysis analysis = analyse_study(directory);
  write_results(analysis);
  std::ifstream json(fs::path(directory) / "results.json");
  const Json results = Json::parse(json);
  EXPECT_EQ(results["schema"], 1);
  EXPECT_EQ(results["cells"].size(), 18U);
  EXPECT_EQ(results["cells"][4]["status"], "waiting");
  EXPECT_EQ(results["cells"][0]["settings"]["width"], "128");
  EXPECT_TRUE(fs::exists(fs::path(directory) / results["cells"][0]["directory"].get<std::string>() /
                         "STATUS"));
  const Json& first = results["groups"][0]["quantities"][0];
  EXPECT_EQ(first["name"], "error_state");
  EXPECT_EQ(first["expected_exponent"], -0.5);
  EXPECT_NEAR(first["fit"]["exponent"].get<double>(), -0.5, 0.05);
  EXPECT_EQ(results["groups"][0]["verdicts"][0]["finding"], "holds");

  std::ifstream csv(fs::path(directory) / "cells.csv");
  std::vector<std::string> lines;
  for (std::string line; std::getline(csv, line);)
    lines.push_back(line);
  ASSERT_EQ(lines.size(), 19U);
  EXPECT_TRUE(lines[0].starts_with("cell,directory,status,width,gamma,seed,error_state,"))
      << lines[0];
  const auto commas = [](const std::string& line) { return std::ranges::count(line, ','); };
  for (const std::string& line : lines)
    EXPECT_EQ(commas(line), commas(lines[0])) << line;
  EXPECT_NE(lines[5].find(",waiting,"), std::string::npos) << lines[5];

  const std::string text = format_analysis(analysis);
  EXPECT_NE(text.find("gamma 0.5"), std::string::npos);
  EXPECT_NE(text.find("holds  well-posed"), std::string::npos) << text;
}

TEST_F(Analysis, RealRunsComeNearTheirLimits) {
  const Study study = make_study(R"(
data = "digits"
samples = 20
epochs = 4
gram-every = 3
[grid]
width = [64, 256, 1024]
seed = [1, 2]
)");
  for (const StudyCell& cell : study.cells)
    run(cell.config, Resume::no, "test");
  const StudyAnalysis analysis = analyse_study(directory);
  const StudyGroup& group = analysis.groups.at(0);
  for (const char* name : {"error_state", "error_adjoint", "error_ntk"}) {
    const Quantity& error = quantity(group, name);
    ASSERT_EQ(error.values.size(), 6U) << name;
    ASSERT_TRUE(error.fit.has_value());
    // Two seeds and three widths: the law of m^-1/2 within three tenths.
    EXPECT_NEAR(error.fit->exponent, -0.5, 0.3) << name;
    for (const CellValue& value : error.values)
      EXPECT_LT(value.value, 6.0 / std::sqrt(static_cast<double>(value.width))) << name;
  }
  for (const char* name : {"kernel_drift", "distance_A", "flipped", "operator_norm", "rate",
                           "sweeps_forward", "seconds"})
    EXPECT_EQ(quantity(group, name).values.size(), 6U) << name;
  EXPECT_EQ(verdict(group, "meets the tolerance").finding, StudyFinding::holds);
  EXPECT_EQ(verdict(group, "theorem").finding, StudyFinding::holds);
}

TEST_F(Analysis, WhereThereIsNoStudyItSaysSo) {
  try {
    analyse_study(directory);
    ADD_FAILURE();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), ExitCode::usage);
  }
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  text.replace(text.find(from), from.size(), to);
  return text;
}

TEST_F(Analysis, RatesAreHeldAgainstTheTheorysOwnFactors) {
  // Losses fall by 0.9 an epoch, lambda_min(H) is 0.1 at least; factors just above and just below.
  const std::string text = made_up;
  const auto finding = [&](const std::string& study, const char* words) {
    make_whole_study(study);
    return verdict(analyse_study(directory).groups[0], words).finding;
  };
  const auto with_rate = [&](const std::string& eta) {
    return replaced(text, "learning-rate = 0.5", "learning-rate = " + eta);
  };
  using enum StudyFinding;
  const char* const theorem = "of the theorem";
  features = 0.39;  // 1 - 0.5 0.39 / 2 = 0.9025
  EXPECT_EQ(finding(text, theorem), holds);
  features = 0.41;  // 0.8975
  EXPECT_EQ(finding(text, theorem), fails);
  EXPECT_NE(verdict(analyse_study(directory).groups[0], theorem).evidence.find("at epoch 1 ("),
            std::string::npos);
  const std::string flow = "optimizer = \"flow\"";
  features = 0.205;  // exp(-0.5 0.205) = 0.9026
  EXPECT_EQ(finding(flow + text, theorem), holds);
  features = 0.215;  // 0.8981
  EXPECT_EQ(finding(flow + text, theorem), fails);

  const char* const kernel = "of the kernel: every epoch";
  EXPECT_EQ(finding(with_rate("0.51"), kernel), holds);         // (1 - 0.051)^2 = 0.9006
  EXPECT_EQ(finding(with_rate("0.52"), kernel), fails);         // 0.8987
  EXPECT_EQ(finding(flow + with_rate("0.52"), kernel), holds);  // exp(-2 0.052) = 0.9012
  EXPECT_EQ(finding(flow + with_rate("0.53"), kernel), fails);  // 0.8994
}

TEST_F(Analysis, ANormAboveOneIsNotWellPosedThoughTheRunIsDone) {
  // ||A||_2 / sqrt(m) is 1.9: q = 0.988 and 1.007.
  make_whole_study(replaced(made_up, "gamma = [0.3, 0.5]", "gamma = [0.52, 0.53]"));
  const StudyAnalysis analysis = analyse_study(directory);
  ASSERT_EQ(analysis.groups.size(), 2U);
  EXPECT_EQ(verdict(analysis.groups[0], "well-posed").finding, StudyFinding::holds);
  EXPECT_EQ(verdict(analysis.groups[1], "well-posed").finding, StudyFinding::fails);
  EXPECT_NE(verdict(analysis.groups[1], "well-posed").evidence.find("1.0070"), std::string::npos);
}

TEST_F(Analysis, QuantitiesAreWhatTheRecordsSay) {
  const Study study = make_study(made_up);
  const StudyCell& cell = study.cells[0];
  make_cell(cell, 0.0);
  const fs::path file = fs::path(cell.directory) / "metrics.jsonl";
  std::string run_line;
  {
    std::ifstream stream(file);
    std::getline(stream, run_line);
  }
  {
    std::ofstream metrics(file);
    metrics << run_line << '\n';
    const double losses[] = {100.0, 90.0, 80.0, 40.0, 20.0};  // halved in the second half
    const double seconds[] = {9.0, 1.0, 4.0, 2.0, 3.0};       // median 3, mean 3.8
    const int forward[] = {5, 6, 7, 9, 13}, adjoint[] = {7, 7, 8, 10, 18};  // means 8 and 10
    for (int epoch = 0; epoch < 5; ++epoch) {
      Json record = {{"kind", "epoch"},
                     {"epoch", epoch},
                     {"loss", losses[epoch]},
                     {"residual_forward", 9e-7},
                     {"residual_adjoint", 8e-7},
                     {"sweeps_forward", forward[epoch]},
                     {"sweeps_adjoint", adjoint[epoch]},
                     {"gradient_norm", 1.0},
                     {"seconds", seconds[epoch]}};
      if (epoch == 1) record["operator_norm"] = 1.97;
      if (epoch % 4 == 0) {
        record["test_loss"] = epoch == 0 ? 8.0 : 4.0;
        record["test_error"] = epoch == 0 ? 0.25 : 0.5;
      }
      metrics << to_line(record) << '\n';
    }
    const double lambda[] = {0.1, 0.2, 0.05}, features_min[] = {0.02, 0.03, 0.01},
                 norm[] = {1.9, 1.95, 1.8}, drift[] = {0.0, 0.4, 0.3}, way[] = {0.0, 3.0, 2.0},
                 flipped[] = {0.0, 0.02, 0.01};
    for (int k = 0; k < 3; ++k)
      metrics << to_line({{"kind", "gram"},
                          {"epoch", 2 * k},
                          {"lambda_min", lambda[k]},
                          {"lambda_max", 2.0},
                          {"trace", 5.0},
                          {"drift", drift[k]},
                          {"feature_lambda_min", features_min[k]},
                          {"operator_norm", norm[k]},
                          {"distance_A", way[k]},
                          {"flipped", flipped[k]}})
              << '\n';
  }
  const StudyAnalysis analysis = analyse_study(directory);
  const StudyGroup& group = analysis.groups.at(0);
  for (const auto& [name, wanted] : {std::pair{"sweeps_forward", 8.0},
                                     {"sweeps_adjoint", 10.0},
                                     {"seconds", 3.0},
                                     {"loss", 20.0},
                                     {"test_loss", 4.0},
                                     {"test_error", 0.5},
                                     {"operator_norm", 1.97},
                                     {"kernel_drift", 0.4},
                                     {"distance_A", 3.0},
                                     {"flipped", 0.02},
                                     {"lambda_min_ntk", 0.1},
                                     {"lambda_min_features", 0.02},
                                     {"rate", std::log(2.0)}}) {
    ASSERT_EQ(quantity(group, name).values.size(), 1U) << name;
    EXPECT_NEAR(quantity(group, name).values[0].value, wanted, 1e-12 * wanted) << name;
  }
  // -log(1/2) over -2 log(1 - 0.5 0.1)
  EXPECT_NEAR(quantity(group, "rate_ratio").values[0].value,
              std::log(2.0) / (-2.0 * std::log(0.95)), 1e-12);

  const WidthLimit limit = width_limit(
      load_data(cell.config).inputs, {cell.config.gamma, cell.config.injection, cell.config.skip});
  const oracle::Vector H = oracle::eigenvalues(limit.H), G = oracle::eigenvalues(limit.G);
  EXPECT_NEAR(quantity(group, "lambda_min_ntk").limit.value_or(NAN), H.front(), 1e-12 * H.back());
  EXPECT_NEAR(quantity(group, "lambda_min_features").limit.value_or(NAN), G.front(),
              1e-12 * G.back());
}

}  // namespace
}  // namespace widedeq
