// Grids, cells and their names; studies that grow; shares; what a batch script quotes.
#include "host/study/study_config.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>
#include <set>

#include "host/failure.hpp"
#include "host/run/config_file.hpp"
#include "host/study/slurm.hpp"
#include "host/study/study_plan.hpp"

namespace widedeq {
namespace {

/// The failure's sentence; its code must be usage.
std::string refusal(const std::function<void()>& act) {
  try {
    act();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), ExitCode::usage);
    EXPECT_EQ(std::string(failure.what()).find('\n'), std::string::npos) << failure.what();
    return failure.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return "";
}

Study study_of(const std::string& text) {
  return parse_study(text, "test.toml", "dir");
}

std::vector<std::string> names(const Study& study) {
  std::vector<std::string> all;
  for (const StudyCell& cell : study.cells)
    all.push_back(cell.name);
  return all;
}

using Names = std::vector<std::string>;

TEST(StudyConfig, EveryCombinationTheLastSettingFastest) {
  // The grid's order in the file does not matter; that of the values does.
  const Study study = study_of(
      "epochs = 7\n[grid]\nseed = [2, 1]\ngamma = [0.3, 0.25]\nwidth = [64, 32]\n"
      "injection = \"linear\"\n");
  EXPECT_EQ(names(study), (Names{
                              "width-64_gamma-0.3_injection-linear_seed-2",
                              "width-64_gamma-0.3_injection-linear_seed-1",
                              "width-64_gamma-0.25_injection-linear_seed-2",
                              "width-64_gamma-0.25_injection-linear_seed-1",
                              "width-32_gamma-0.3_injection-linear_seed-2",
                              "width-32_gamma-0.3_injection-linear_seed-1",
                              "width-32_gamma-0.25_injection-linear_seed-2",
                              "width-32_gamma-0.25_injection-linear_seed-1",
                          }));
  const StudyCell& cell = study.cells[5];
  EXPECT_EQ(cell.number, 5);
  EXPECT_EQ(cell.config.width, 32);
  EXPECT_EQ(cell.config.gamma, 0.3);
  EXPECT_EQ(cell.config.seed, 1);
  EXPECT_EQ(cell.config.injection, Injection::linear);
  EXPECT_EQ(cell.config.epochs, 7);
  EXPECT_EQ(cell.config.out, "dir/cells/width-32_gamma-0.3_injection-linear_seed-1");
  EXPECT_EQ(cell.config.classes, (std::vector<int>{0, 1}));  // resolved
  EXPECT_EQ(cell.describe(), "width 32, gamma 0.3, injection linear, seed 1");
  EXPECT_EQ(study.cell("5").number, 5);
  EXPECT_EQ(study.cell(cell.name).number, 5);
  EXPECT_NE(refusal([&] { study.cell("8"); }).find("from 0 to 7"), std::string::npos);
}

TEST(StudyConfig, ValuesOfEveryKind) {
  const auto values = [](const std::string& grid) {
    return study_of("[grid]\n" + grid + "\n").grid.at(0).values;
  };
  EXPECT_EQ(values("seed = \"3..6\""), (Names{"3", "4", "5", "6"}));
  EXPECT_EQ(values("seed = [\"1..3\", 9]"), (Names{"1", "2", "3", "9"}));
  EXPECT_EQ(values("seed = 4"), (Names{"4"}));
  EXPECT_EQ(values("seed = \"5..5\""), (Names{"5"}));
  EXPECT_EQ(values("samples = \"100..450 step 100\""), (Names{"100", "200", "300", "400"}));
  EXPECT_EQ(values("width = \"256..2048 times 2\""), (Names{"256", "512", "1024", "2048"}));
  EXPECT_EQ(values("width = \"100..1000 times 3\""), (Names{"100", "300", "900"}));
  EXPECT_EQ(values("learning-rate = [\"auto\", 1e-3, 1]"), (Names{"auto", "0.001", "1"}));
  EXPECT_EQ(values("skip = [true, false]"), (Names{"true", "false"}));
  EXPECT_EQ(values("classes = [[0, 1], [3, 8]]"), (Names{"0,1", "3,8"}));
  EXPECT_EQ(values("classes = [3, 8]"), (Names{"3,8"}));
}

TEST(StudyConfig, NamesThatFileSystemsTake) {
  EXPECT_EQ(cell_name({{"learning-rate", "auto"}, {"classes", "0,1"}}),
            "learning-rate-auto_classes-0,1");
  EXPECT_EQ(cell_name({{"tolerance", "1e-06"}}), "tolerance-1e-06");
  // Paths that end alike stay apart; no name has a slash, a blank or a quotation mark.
  std::set<std::string> all;
  for (const std::string path : {"/a/w.npz", "/b/w.npz", "/b c/w.npz", "/b'/w.npz"}) {
    const std::string name = cell_name({{"weights", path}});
    EXPECT_EQ(name.substr(0, 14), "weights-w.npz-") << name;
    EXPECT_EQ(name.find_first_of("/ '\""), std::string::npos) << name;
    all.insert(name);
  }
  EXPECT_EQ(all.size(), 4U);
  // Long ones are cut off, and stay apart.
  const auto name_of_long = [](const std::string& end) {
    std::vector<std::pair<std::string, std::string>> values;
    for (int i = 0; i < 20; ++i)
      values.emplace_back("setting", "1234567890" + (i == 19 ? end : ""));
    return cell_name(values);
  };
  EXPECT_LT(name_of_long("1").size(), 255U);
  EXPECT_NE(name_of_long("1"), name_of_long("2"));
  EXPECT_LT(cell_name({{"data", "mnist:/" + std::string(300, 'x')}}).size(), 255U);
}

TEST(StudyConfig, RefusalsNameFileLineAndRemedy) {
  const auto expect = [](const std::string& text, const std::vector<std::string>& parts) {
    const std::string sentence = refusal([&] { study_of(text); });
    for (const std::string& part : parts)
      EXPECT_NE(sentence.find(part), std::string::npos) << "no '" << part << "' in " << sentence;
  };
  expect("epochs = 3\n", {"there is no [grid]", "test.toml", "widedeq train"});
  expect("epochs = 3\n[grid]\n", {"[grid] is empty", "line 2"});
  expect("grid = 3\n", {"grid is not a table"});
  expect("[grid]\nwidht = [1]\n", {"no key 'widht'", "line 2", "did you mean width?"});
  expect("epohcs = 3\n[grid]\nwidth = [1]\n", {"no key 'epohcs'", "line 1", "epochs?"});
  expect("[gird]\nwidth = [1]\n", {"no key 'gird'", "did you mean grid?"});
  expect("[grid]\nwidth = []\n", {"width has no value", "line 2"});
  expect("[grid]\nwidth = [1, 0]\n", {"width = 0 is not allowed", "an integer from 1 to 1048576"});
  expect("[grid]\nwidth = [1.5]\n", {"width = 1.5 is not allowed"});
  expect("[grid]\nwidth = \"wide\"\n", {"not allowed", "an integer"});
  expect("[grid]\ngamma = [0.5, 0.50]\n", {"0.5 is twice", "gamma"});
  expect("[grid]\nseed = [\"1..3\", 2]\n", {"2 is twice", "seed"});
  expect("seed = 1\n[grid]\nseed = [2]\n", {"seed is given for all cells, and in the grid"});
  expect("[grid]\nkeep = [1, 2]\n", {"keep is no part of what a run computes"});
  expect("[grid]\nout = [\"a\"]\n", {"out is no part", "a directory of its own"});
  for (const std::string range : {"1..", "..3", "1..3 by 2", "1..9 step 0", "1..9 times 1", "a..b"})
    expect("[grid]\nseed = \"" + range + "\"\n", {"is no range", "1..5"});
  expect("[grid]\nseed = \"5..1\"\n", {"is empty"});
  expect("[grid]\nseed = \"1..10001\"\n", {"too many values"});
  expect("[grid]\nseed = \"0..8 times 2\"\n", {"never gets away"});
  expect("[grid]\nseed = \"1..1000\"\nwidth = \"1..1000\"\n", {"more than 10000 cells"});
  expect("[grid]\nclasses = [[0, 1]]\ndata = [\"digits\", \"sphere\"]\n", {"labels"});
  // The other way round: a study is no run.
  TrainConfig config;
  const std::string sentence =
      refusal([&] { apply_config_text(config, "[grid]\nwidth = [1]\n", "test.toml"); });
  EXPECT_NE(sentence.find("widedeq study"), std::string::npos) << sentence;
}

TEST(StudyConfig, TheResolvedStudyIsTheSame) {
  const Study study = study_of(
      "data = \"npy:x.npy,y.npy\"\nepochs = 9\nkeep = 3\nmax-walltime = \"2h\"\n"
      "[grid]\nlearning-rate = [\"auto\", 0.125]\nseed = \"1..2\"\nweights = [\"a.npz\"]\n");
  const Study again = study_of(to_toml(study));
  EXPECT_EQ(to_toml(again), to_toml(study));
  EXPECT_EQ(names(again), names(study));
  for (std::size_t i = 0; i < study.cells.size(); ++i)
    EXPECT_EQ(to_toml(again.cells[i].config), to_toml(study.cells[i].config));
  // Relative paths count from where the study was begun.
  const std::string here = std::filesystem::current_path().string();
  EXPECT_NE(to_toml(study).find("npy:" + here + "/x.npy," + here + "/y.npy"), std::string::npos);
  EXPECT_NE(to_toml(study).find(here + "/a.npz"), std::string::npos);
}

TEST(StudyConfig, AGrowingStudyKeepsItsNames) {
  const std::string common = "epochs = 5\nthreads = 1\n";
  const Study before = study_of(common + "[grid]\nwidth = [32, 64]\nseed = [1, 2]\n");
  const Study more = study_of(common + "[grid]\nwidth = [16, 32, 64]\nseed = [1, 2, 3]\n");
  EXPECT_EQ(names(extended(before, more)),
            (Names{"width-16_seed-1", "width-16_seed-2", "width-16_seed-3", "width-32_seed-1",
                   "width-32_seed-2", "width-32_seed-3", "width-64_seed-1", "width-64_seed-2",
                   "width-64_seed-3"}));

  // gamma was 0.5, its default, and joins the grid: cells that have it keep their names, then and
  // whenever the study grows again.
  const Study deeper =
      study_of(common + "[grid]\nwidth = [32, 64]\ngamma = [0.3, 0.5]\nseed = [1, 2]\n");
  const Study joined = extended(before, deeper);
  const Names wanted{"width-32_gamma-0.3_seed-1", "width-32_gamma-0.3_seed-2",
                     "width-32_seed-1",           "width-32_seed-2",
                     "width-64_gamma-0.3_seed-1", "width-64_gamma-0.3_seed-2",
                     "width-64_seed-1",           "width-64_seed-2"};
  EXPECT_EQ(names(joined), wanted);
  EXPECT_EQ(names(study_of(to_toml(joined))), wanted);
  EXPECT_EQ(names(extended(joined, deeper)), wanted);
  EXPECT_EQ(joined.cells[2].config.gamma, 0.5);

  // What the grid had with one value may move out of it.
  const Study one = study_of("[grid]\nwidth = [32]\nseed = [1, 2]\n");
  const Study moved = study_of("width = 32\n[grid]\nseed = [1, 2, 3]\n");
  EXPECT_EQ(names(extended(one, moved)),
            (Names{"width-32_seed-1", "width-32_seed-2", "width-32_seed-3"}));
}

TEST(StudyConfig, AnotherStudyIsRefusedWithWhatHasChanged) {
  const std::string grid = "[grid]\nwidth = [32, 64]\n";
  const Study before = study_of("epochs = 5\n" + grid);
  const auto expect = [&](const std::string& now, const std::string& part) {
    const std::string sentence = refusal([&] { extended(before, study_of(now)); });
    EXPECT_NE(sentence.find(part), std::string::npos) << sentence;
  };
  expect("epochs = 6\n" + grid, "epochs (5; now 6)");
  expect("epochs = 5\ngamma = 0.4\n" + grid, "gamma (0.5; now 0.4)");
  expect("epochs = 5\n[grid]\nwidth = [64, 128]\n", "width (32, 64; now 64, 128)");
  expect("epochs = 5\n[grid]\nwidth = [32, 64]\ngamma = [0.3, 0.4]\n", "gamma (0.5; now 0.3, 0.4)");
  // Safety and threads are no part of it.
  const Study safer = extended(before, study_of("epochs = 5\nkeep = 7\nthreads = 3\n" + grid));
  EXPECT_EQ(safer.common.keep, 7);
  EXPECT_EQ(names(safer), names(before));
}

TEST(StudyPlan, SharesAreDisjointCompleteAndBalanced) {
  const Study study = study_of(
      "samples = 20\nepochs = 50\nthreads = 1\n[grid]\nwidth = \"16..256 times 2\"\n"
      "seed = \"1..5\"\n");
  const auto plan = plan_cells(study);
  ASSERT_EQ(plan.size(), 25U);
  double all = 0.0, largest = 0.0;
  for (const CellPlan& cell : plan) {
    all += cell.cost;
    largest = std::max(largest, cell.cost);
  }
  for (const int n : {1, 2, 3, 7, 25, 40}) {
    std::vector<int> seen(plan.size());
    const auto all_shares = shares(plan, n);
    ASSERT_EQ(all_shares.size(), static_cast<std::size_t>(n));
    EXPECT_EQ(all_shares, shares(plan, n));
    for (const std::vector<int>& share : all_shares) {
      EXPECT_TRUE(std::is_sorted(share.begin(), share.end()));
      double cost = 0.0;
      for (const int cell : share) {
        ++seen.at(static_cast<std::size_t>(cell));
        cost += plan[static_cast<std::size_t>(cell)].cost;
      }
      // Greedy: whoever gets a cell had the least, which is at most the mean.
      EXPECT_LE(cost, all / n + largest) << n;
    }
    EXPECT_EQ(seen, std::vector<int>(plan.size(), 1)) << n;
  }
  // A wider cell costs more; another seed costs the same.
  EXPECT_LT(plan[0].cost, plan[5].cost);
  EXPECT_EQ(plan[0].cost, plan[4].cost);
}

TEST(StudyPlan, MemoryAndWorkAreThoseOfTheRuns) {
  const Study study = study_of(
      "data = \"sphere\"\nepochs = 11\nthreads = 1\nprecision = \"fp64\"\nbackend = \"cpu\"\n"
      "[grid]\nwidth = [24, 48]\nsamples = [10, 20]\n");
  const auto plan = plan_cells(study);
  ASSERT_EQ(plan.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) {
    const TrainConfig& config = study.cells[i].config;
    EXPECT_EQ(plan[i].work.samples, config.samples);
    EXPECT_EQ(plan[i].work.width, config.width);
    EXPECT_EQ(plan[i].work.inputs, 16);  // of the sphere
    EXPECT_EQ(plan[i].memory, estimate_memory(plan[i].work).peak());
  }
  const std::vector<int> chosen{1, 3};
  const StudyEstimate estimate = estimate_study(study, plan, chosen);
  EXPECT_EQ(estimate.memory, plan[3].memory);
  EXPECT_EQ(estimate.disk, plan[1].disk + plan[3].disk);
  EXPECT_EQ(estimate.operations, operations_of(plan[1]) + operations_of(plan[3]));
  EXPECT_EQ(estimate.time, estimate.seconds[0] + estimate.seconds[1]);
}

TEST(StudyPlan, WhatIsWrongWithOneCellShowsBeforeTheFirst) {
  // A tolerance beyond single precision, and more samples than there are.
  refusal(
      [] { plan_cells(study_of("precision = \"fp32\"\n[grid]\ntolerance = [1e-4, 1e-12]\n")); });
  EXPECT_THROW(plan_cells(study_of("[grid]\nsamples = [10, 100000]\n")), Failure);
}

TEST(Slurm, QuotesAsSbatchReadsThem) {
  EXPECT_EQ(sbatch_quoted("plain"), "\"plain\"");
  EXPECT_EQ(sbatch_quoted("a b"), "\"a b\"");
  EXPECT_EQ(sbatch_quoted("a\"b\\c'd#"), "\"a\\\"b\\\\c'd#\"");
}

}  // namespace
}  // namespace widedeq
