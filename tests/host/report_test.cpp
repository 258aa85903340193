// Reports of runs, of two runs and of studies: self-contained pages with the right numbers in them,
// and nothing about what the runs do not have.
#include "host/study/report.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "host/data/npy.hpp"
#include "host/run/checkpoints.hpp"
#include "host/study/gram_maps.hpp"
#include "host/study/run_figures.hpp"
#include "host/study/study_figures.hpp"
#include "tests/host/data_support.hpp"
#include "tests/markup.hpp"

namespace widedeq::test {
namespace {

namespace fs = std::filesystem;

std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

/// A run with H = c I, c = 1/4, eta = 1/2 and r(0) = (1, -2, 2, 0): the loss is 9/2 (7/8)^(2k). The
/// measured one falls by a half each epoch.
class ReportTest : public ::testing::Test {
 protected:
  static constexpr int epochs = 8;

  /// `all`: with everything a run can have; else with what the first versions wrote.
  std::string make_run(const std::string& name, bool all, int width = 8) const {
    std::string run = place.file(name);
    fs::create_directories(run + "/gram");
    write(run + "/STATUS", "done\n");
    std::string lines = fmt::format(
        R"({{"kind":"run","schema":1,"data":"<four> & samples","samples":4,"width":{0},)"
        R"("learning_rate":0.5,"config":{{"data":"npy:/gone/X.npy,/gone/y.npy","width":{0},)"
        R"("gamma":0.5,"epochs":8,"learning-rate":0.5,"tolerance":1e-06}}}})"
        "\n",
        width);
    for (int k = 0; k < epochs; ++k) {
      lines += fmt::format(R"({{"kind":"epoch","epoch":{},"loss":{},"residual_forward":{},)"
                           R"("residual_adjoint":5e-07,"sweeps_forward":9,"sweeps_adjoint":8,)"
                           R"("gradient_norm":1,"seconds":0.25)",
                           k, 4.5 * std::pow(0.5, k), k == 3 ? 8.5e-7 : 4e-7);
      if (all)
        lines += fmt::format(R"(,"test_loss":{},"error":0.25,"test_error":0.125,)"
                             R"("operator_norm":{})",
                             1.0 + k, 1.8 + 0.001 * k);
      lines += "}\n";
    }
    for (int k = 0; k < epochs; k += 4) {
      lines += fmt::format(R"({{"kind":"gram","epoch":{},"lambda_min":0.25,"lambda_max":0.25,)"
                           R"("trace":1,"drift":{},"feature_lambda_min":0.1,"operator_norm":1.9)",
                           k, 0.01 * k);
      if (all) lines += fmt::format(R"(,"distance_A":{},"flipped":{})", 0.5 * k, 0.03 * k);
      lines += "}\n";
      write_npy(run + fmt::format("/gram/eigenvalues-{:06}.npy", k), {4},
                std::vector{0.25, 0.25, 0.25, 0.25});
    }
    if (all) {
      lines +=
          R"({"kind":"certificate","epoch":4,"contraction":{"verdict":"certified","value":0.96,)"
          R"("probability":0.999,"reason":"by <proof>"},"distance":{"verdict":"estimated",)"
          R"("value":2e-06,"probability":0,"reason":"q is an estimate"},"lambda_min":)"
          R"({"verdict":"refused","value":null,"probability":0,"reason":"no room"}})"
          "\n";
      lines += R"({"kind":"resumed","epoch":8,"changed":{"threads":[2,4]}})"
               "\n";
      write(run + "/provenance.json",
            R"({"version":"1<2","commit":"abc","host":"h&h","repeat":"widedeq train --data 'a&b'",)"
            R"("sessions":[{"started":"now","host":"h","from_epoch":0,"command_line":"x <y>"}]})");
    }
    write(run + "/metrics.jsonl", lines);
    std::vector<double> H(16, 0.0);
    for (std::size_t i = 0; i < 4; ++i)
      H[5 * i] = 0.25;
    write_npy(run + "/gram/ntk-first.npy", {4, 4}, H);
    H[1] = H[4] = 0.125;
    if (all) write_npy(run + "/gram/ntk-last.npy", {4, 4}, H);
    fs::create_directory(run + "/checkpoints");
    const std::vector<double> residual = {1.0, -2.0, 2.0, 0.0};
    Checkpoints(run, 1).write(8, std::nullopt, [&](CheckpointFileWriter& file) {
      file.begin("state/first_residual", ChunkElement::float64, 4, 1);
      file.write(std::as_bytes(std::span(residual)));
    });
    return run;
  }

  /// The page, after what every page must be: well-formed, whole in itself, ids once, links alive.
  static Markup checked(const std::string& page) {
    const std::string html = contents(page);
    Markup markup = read_markup(html);
    EXPECT_EQ(markup.complaint, "");
    EXPECT_EQ(markup.count("script") + markup.count("link") + markup.count("img"), 0);
    EXPECT_EQ(markup.values("lang", "html"), std::vector<std::string>{"en"});
    EXPECT_EQ(markup.count("h1"), 1);
    // Addresses occur as names of name spaces alone, and styles import nothing.
    for (const Element& element : markup.elements)
      for (const auto& [name, value] : element.attributes)
        EXPECT_TRUE(name.starts_with("xmlns") || value.find("://") == std::string::npos)
            << name << "=" << value;
    EXPECT_EQ(html.find("@import"), std::string::npos);
    EXPECT_EQ(html.find("url(http"), std::string::npos);
    const auto ids = markup.values("id");
    const std::set<std::string> unique(ids.begin(), ids.end());
    EXPECT_EQ(unique.size(), ids.size());
    for (const char* attribute : {"href", "xlink:href"})
      for (const std::string& link : markup.values(attribute)) {
        if (link.starts_with("data:image/png;base64,")) continue;
        if (link.starts_with("#")) {
          EXPECT_TRUE(unique.contains(link.substr(1))) << link;
        } else if (link.starts_with("figures/")) {
          EXPECT_GT(fs::file_size(fs::path(page).parent_path() / link), 0U) << link;
        }
      }
    return markup;
  }

  static std::set<std::string> figures_of(const Markup& page) {
    const auto ids = page.values("id", "figure");
    return {ids.begin(), ids.end()};
  }

  /// The rows of the k-th block of a figure's data.
  static std::vector<std::vector<double>> block(const std::string& file, int k) {
    std::vector<std::vector<double>> rows;
    std::istringstream lines(contents(file));
    int block = -1, empty = 2;
    for (std::string line; std::getline(lines, line);) {
      if (line.empty()) ++empty;
      if (line.empty() || line[0] == '#') continue;
      if (empty >= 2) ++block;
      empty = 0;
      std::istringstream words(line);
      std::vector<double> row{std::istream_iterator<double>(words),
                              std::istream_iterator<double>()};
      if (block == k) rows.push_back(row);
    }
    return rows;
  }

  TemporaryDirectory place;
};

TEST_F(ReportTest, ARunWithEverything) {
  const std::string run = make_run("it's \"<run>\" & $HOME `x`", true);
  const std::string page = write_report(run, std::nullopt);
  EXPECT_EQ(page, run + "/report/index.html");
  const Markup markup = checked(page);
  EXPECT_EQ(figures_of(markup),
            (std::set<std::string>{"loss", "error", "contraction", "residuals", "sweeps",
                                   "eigenvalues", "spectrum", "drift", "distance", "flipped",
                                   "gram-first", "gram-last", "gram-change"}));
  for (const std::string part :
       {"it&#39;s &quot;&lt;run&gt;&quot; &amp; $HOME `x`", "&lt;four&gt; &amp; samples",
        "by &lt;proof&gt;", "h&amp;h", "x &lt;y&gt;", "widedeq train --data &#39;a&amp;b&#39;",
        "threads 2 → 4", "no room", "with probability 0.999"})
    EXPECT_NE(markup.text.find(part), std::string::npos) << part;
  // Key figures: the factors 1/2 and (7/8)^2, the largest residual and q = 0.5 * 1.9.
  for (const std::string part : {"× 0.5 an epoch", "× 0.7656", "8.5×10", "0.95", "12.5 %"})
    EXPECT_NE(markup.text.find(part), std::string::npos) << part;

  const std::string figures = run + "/report/figures/";
  for (int k = 0; k < epochs; ++k) {
    const auto at = static_cast<std::size_t>(k);
    EXPECT_EQ(block(figures + "loss.dat", 0)[at], (std::vector{1.0 * k, 4.5 * std::pow(0.5, k)}));
    // Each product rounds once or twice: 16 epochs of 1e-16 at most.
    EXPECT_NEAR(block(figures + "loss.dat", 1)[at][1], 4.5 * std::pow(0.875, 2 * k), 1e-14);
    EXPECT_EQ(block(figures + "loss.dat", 2)[at], (std::vector{1.0 * k, 1.0 + k}));
    EXPECT_EQ(block(figures + "contraction.dat", 0)[at],
              (std::vector{1.0 * k, 0.5 * (1.8 + 0.001 * k)}));
  }
  EXPECT_EQ(block(figures + "error.dat", 1)[0], (std::vector{0.0, 12.5}));
  EXPECT_EQ(block(figures + "drift.dat", 0)[1], (std::vector{4.0, 4.0}));
  EXPECT_EQ(block(figures + "flipped.dat", 0)[1], (std::vector{4.0, 12.0}));
  EXPECT_EQ(block(figures + "gram-change.dat", 0)[0], (std::vector{0.0, -0.125 + 0.25, 0.0, 0.0}));

  // Again, with less: the old report is gone, and the run is as it was.
  ASSERT_TRUE(fs::exists(run + "/report/figures/gram-change.svg"));
  fs::remove(run + "/gram/ntk-last.npy");
  write_report(run, std::nullopt);
  EXPECT_FALSE(fs::exists(run + "/report/figures/gram-change.svg"));
  EXPECT_FALSE(figures_of(checked(page)).contains("gram-last"));
  std::set<std::string> files;
  for (const auto& entry : fs::directory_iterator(run))
    files.insert(entry.path().filename());
  EXPECT_EQ(files, (std::set<std::string>{"STATUS", "checkpoints", "gram", "metrics.jsonl",
                                          "provenance.json", "report"}));
}

TEST_F(ReportTest, WhatARunLacksIsLeftOut) {
  const std::string run = make_run("old", false);
  const std::string out = place.file("elsewhere/deep/page");
  const Markup markup = checked(write_report(run, out));
  EXPECT_FALSE(fs::exists(run + "/report"));
  EXPECT_EQ(figures_of(markup),
            (std::set<std::string>{"loss", "contraction", "residuals", "sweeps", "eigenvalues",
                                   "spectrum", "drift", "gram-first"}));
  for (const char* part : {"test error", "Certificates", "flipped", "none", "nan"})
    EXPECT_EQ(markup.text.find(part), std::string::npos) << part;
}

TEST_F(ReportTest, ARunUnderWayHasAReport) {
  const std::string run = make_run("young", false);
  write(run + "/STATUS", "running\n");
  fs::remove_all(run + "/gram");
  const std::string metrics = contents(run + "/metrics.jsonl");
  const std::size_t third = metrics.find('\n', metrics.find("\"epoch\":1")) + 40;
  write(run + "/metrics.jsonl", metrics.substr(0, third));
  const Markup markup = checked(write_report(run, std::nullopt));
  EXPECT_EQ(figures_of(markup), (std::set<std::string>{"loss", "residuals", "sweeps"}));
  EXPECT_NE(markup.text.find("running"), std::string::npos);
  for (const char* text : {"", "{\"kind\""}) {
    write(run + "/metrics.jsonl", text);
    EXPECT_TRUE(figures_of(checked(write_report(run, std::nullopt))).empty());
  }
}

/// The finding on the one statement with these words in it.
StudyVerdict verdict_on(const RunData& run, const std::string& words) {
  for (const StudyVerdict& verdict : run_verdicts(run, digest(run)))
    if (verdict.statement.find(words) != std::string::npos) return verdict;
  throw std::out_of_range(words);
}

TEST_F(ReportTest, WhatEndedARunIsInItsVerdicts) {
  using enum StudyFinding;
  // At the rate of the first kernel: what make_run() writes falls faster.
  const auto at_that_rate = [](RunData run) {
    for (EpochRecord& epoch : run.epochs)
      epoch.loss = 4.5 * std::pow(0.875, 2 * epoch.epoch);
    return run;
  };
  const RunData good = at_that_rate(read_run(make_run("good", false)));
  for (const char* words : {"linear rate", "well-posed", "converged"})
    EXPECT_EQ(verdict_on(good, words).finding, holds) << words;

  // The records before are as they were: the epoch that showed it has none.
  const auto ended = [&](const std::string& name, const std::string& cause) {
    const std::string run = make_run(name, false);
    std::ofstream(run + "/metrics.jsonl", std::ios::app)
        << to_line(ended_record(8, cause, "it went wrong")) << '\n';
    write(run + "/STATUS", "failed: it went wrong\n");
    return at_that_rate(read_run(run));
  };
  const RunData posed = ended("posed", "contraction"), solve = ended("solve", "solve");
  EXPECT_EQ(verdict_on(posed, "well-posed").finding, fails);
  EXPECT_NE(verdict_on(posed, "well-posed").evidence.find("epoch 8 ended the run: it went wrong"),
            std::string::npos);
  EXPECT_EQ(verdict_on(posed, "converged").finding, holds);
  EXPECT_EQ(verdict_on(solve, "well-posed").finding, open);  // the last look was before that
  EXPECT_EQ(verdict_on(solve, "converged").finding, fails);
  EXPECT_EQ(verdict_on(solve, "stays above half").finding, open);
  EXPECT_EQ(verdict_on(solve, "linear rate").finding, open);
  EXPECT_EQ(verdict_on(ended("loss", "loss"), "linear rate").finding, fails);
  RunData looked_at = solve;
  const double beyond = 1.01 / looked_at.config.gamma, below = 0.99 / looked_at.config.gamma;
  looked_at.ended->operator_norm = below;
  EXPECT_EQ(verdict_on(looked_at, "well-posed").finding, holds);
  looked_at.ended->operator_norm = beyond;
  EXPECT_EQ(verdict_on(looked_at, "well-posed").finding, fails);
  EXPECT_NE(verdict_on(looked_at, "well-posed").evidence.find("1.01 at epoch 8"),
            std::string::npos);

  // What older programs wrote says that it failed, and not of what.
  write(place.file("good") + "/STATUS", "failed: it went wrong\n");
  const RunData old = read_run(place.file("good"));
  for (const char* words : {"well-posed", "converged"})
    EXPECT_EQ(verdict_on(old, words).finding, open) << words;
}

TEST_F(ReportTest, ALossThatFallsMuchFasterFallsAtAnotherRate) {
  const RunData run = read_run(make_run("r", false));  // 1/2 an epoch, where the kernel gives 49/64
  const StudyVerdict rate = verdict_on(run, "linear rate");
  EXPECT_EQ(rate.finding, StudyFinding::fails);
  EXPECT_NE(rate.evidence.find("260 % of that rate (80 to 125 % hold)"), std::string::npos)
      << rate.evidence;
}

TEST_F(ReportTest, ALossThatRisesFallsAtNoRate) {
  RunData run = read_run(make_run("r", false));
  // eta = 10: the prediction is 9/2 (3/2)^(2k), and so is the loss.
  run.learning_rate = 10.0;
  for (EpochRecord& epoch : run.epochs)
    epoch.loss = 4.5 * std::pow(1.5, 2 * epoch.epoch);
  EXPECT_EQ(verdict_on(run, "linear rate").finding, StudyFinding::fails);
  for (EpochRecord& epoch : run.epochs)
    epoch.loss = 4.5 * std::pow(0.5, epoch.epoch);
  const StudyVerdict verdict = verdict_on(run, "linear rate");
  EXPECT_EQ(verdict.finding, StudyFinding::open);
  EXPECT_NE(verdict.evidence.find("gives x 2.25"), std::string::npos) << verdict.evidence;
}

TEST_F(ReportTest, RefusesWhatItMustNotReplace) {
  const std::string run = make_run("run", false);
  const auto refused = [&](const std::string& out, const std::string& part) {
    expect_failure([&] { write_report(run, out); }, ExitCode::usage, part);
  };
  refused(run, "something else than a report");
  refused(run + "/STATUS", "a file");
  fs::create_directory(place.file("mine"));
  write(place.file("mine/index.html"), "<html>mine</html>");
  refused(place.file("mine"), "something else than a report");
  EXPECT_EQ(contents(place.file("mine/index.html")), "<html>mine</html>");
  // What somebody has put into a report, and a link to one.
  const std::string shown = place.file("shown"), link = place.file("link");
  write_report(run, shown);
  fs::create_symlink(shown, link);
  for (const char* own : {"/notes.txt", "/figures/mine.txt", "/figures/mine.gp"}) {
    write(shown + own, "mine");
    refused(shown, fs::path(own).filename().string());
    EXPECT_EQ(contents(shown + own), "mine");
    fs::remove(shown + own);
  }
  fs::remove(shown + "/figures/loss.gp");
  write_report(run, link);
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_TRUE(fs::exists(shown + "/figures/loss.gp"));
  expect_failure([&] { write_report(run, run + "/STATUS/report"); }, ExitCode::io, "STATUS");
  expect_failure([&] { write_report(place.file("mine"), std::nullopt); }, ExitCode::usage, "mine");
  write(run + "/metrics.jsonl", contents(run + "/metrics.jsonl") + "nonsense\n");
  expect_failure([&] { write_report(run, std::nullopt); }, ExitCode::bad_data,
                 "metrics.jsonl line 12");
  EXPECT_FALSE(fs::exists(run + "/report"));
}

TEST_F(ReportTest, TwoRunsSideBySide) {
  const std::string a = make_run("a", true), b = make_run("b", true, 16);
  const Markup markup = checked(write_comparison(a, b, place.file("both")));
  const auto figures = figures_of(markup);
  for (const char* name :
       {"loss", "error", "drift", "gram-first-a", "gram-first-b", "gram-last-a", "gram-last-b"})
    EXPECT_TRUE(figures.contains(name)) << name;
  // The one setting that differs is marked, and the widths are in a ratio of 2.
  int emphasised = 0;
  for (const std::string& value : markup.values("class", "tr"))
    emphasised += value == "emphasised" ? 1 : 0;
  EXPECT_EQ(emphasised, 1);
  const std::string html = contents(place.file("both/index.html"));
  EXPECT_NE(html.find("<tr class=\"emphasised\"><td><code>width</code></td><td><code>8</code></td>"
                      "<td><code>16</code></td></tr>"),
            std::string::npos);
  EXPECT_NE(html.find("<td>width m</td><td class=\"number\">8</td><td class=\"number\">16</td>"
                      "<td class=\"number\">2</td>"),
            std::string::npos);
  // One scale of colours for all four.
  std::set<std::string> scales;
  for (const char* name : {"gram-first-a", "gram-first-b", "gram-last-a", "gram-last-b"}) {
    const std::string script = contents(place.file(std::string("both/figures/") + name + ".gp"));
    const std::size_t at = script.find("set cbrange");
    scales.insert(script.substr(at, script.find('\n', at) - at));
  }
  EXPECT_EQ(scales.size(), 1U);
}

TEST_F(ReportTest, AStudy) {
  StudyAnalysis study;
  study.directory = place.file("a study");
  StudyGroup group;
  group.label = "gamma 0.5";
  Quantity error{"error_state", "relative error of Z'Z", "||Z'Z - K||_F / ||K||_F", {}, {}, {}, {}};
  error.fit = PowerFit{-0.5, Interval{-0.6, -0.4}, 2.0, 4, 2, 2};
  error.expected = -0.5;
  Quantity lambda{"lambda_min", "lambda_min(H)", "lambda_min(H(0))", {}, {}, {}, 0.25};
  int number = 0;
  for (const int width : {16, 64})
    for (const int seed : {1, 2}) {
      make_run(fmt::format("a study/cells/{:04}", number), true, width);
      // 2 m^-1/2 times or over 3/2, whose geometric mean is 2 m^-1/2.
      const double noise = seed == 1 ? 1.5 : 1.0 / 1.5;
      error.values.push_back({number, width, seed, 2.0 / std::sqrt(width) * noise});
      lambda.values.push_back({number, width, seed, 0.2});
      study.cells.push_back({number,
                             fmt::format("cells/{:04}", number),
                             "done",
                             {{"width", std::to_string(width)}, {"seed", std::to_string(seed)}}});
      group.cells.push_back(number++);
    }
  study.cells.push_back({number, "cells/0004", "failed: <why> & how", {{"width", "64"}}});
  group.cells.push_back(number);
  group.quantities = {error, lambda};
  group.verdicts = {{StudyFinding::holds, "gamma ||A||_2/sqrt(m) < 1", "largest 0.95"},
                    {StudyFinding::fails, "drift falls", "exponent -0.3 (-0.4 to -0.2)"},
                    {StudyFinding::open, "a <third>", ""}};
  study.groups = {group};
  // A cell's own report is what its link leads to.
  write_report(study.directory + "/cells/0001", std::nullopt);

  const std::string out = study.directory + "/report";
  const std::string page = report_of_study(study, out).write(out);
  const Markup markup = checked(page);
  for (const char* name : {"error_state", "lambda_min", "cells-loss", "cells-test-error",
                           "cells-contraction", "cells-drift"})
    EXPECT_TRUE(figures_of(markup).contains(name)) << name;
  for (const char* part : {"✓ holds", "✗ fails", "? open", "a &lt;third&gt;",
                           "failed: &lt;why&gt; &amp; how", "4\u2009/\u20095"})
    EXPECT_NE(markup.text.find(part), std::string::npos) << part;
  const auto links = markup.values("href", "a");
  for (const char* link : {"../cells/0000", "../cells/0001/report/index.html", "../cells/0003"})
    EXPECT_NE(std::ranges::find(links, link), links.end()) << link;
  EXPECT_EQ(std::ranges::find(links, "../cells/0004"), links.end());  // is not there

  // Points, means, the fit and the expected slope: m = 16 and 64 give 1/2 and 1/4.
  const std::string data = out + "/figures/error_state.dat";
  EXPECT_EQ(block(data, 0).size(), 4U);
  for (int k = 1; k <= 3; ++k) {
    const auto rows = block(data, k);
    ASSERT_EQ(rows.size(), 2U) << k;
    EXPECT_EQ(rows[0][0], 16.0);
    EXPECT_NEAR(rows[0][1], 0.5, 1e-14) << k;
    EXPECT_EQ(rows[1][0], 64.0);
    EXPECT_NEAR(rows[1][1], 0.25, 1e-14) << k;
  }
  const std::string script = contents(out + "/figures/error_state.gp");
  for (const char* part : {"m^{−0.5} (−0.6 to −0.4)", "'expected m^{−0.5}'", "logscale x",
                           "logscale y", "'16' 16", "'64' 64"})
    EXPECT_NE(script.find(part), std::string::npos) << part << script;
  EXPECT_NE(contents(out + "/figures/lambda_min.gp").find("limit 0.25"), std::string::npos);
}

TEST(GramMapTest, BlocksAreMeansInTheOrderOfTheSamples) {
  HostMatrix gram(5, 5);
  for (Index j = 0; j < 5; ++j)
    for (Index i = 0; i < 5; ++i)
      gram(i, j) = static_cast<double>(i * j);
  const SampleOrder order{{4, 2, 0, 1, 3}, {}, {}, ""};
  const HostMatrix whole = ordered_gram(gram, order, 5);
  EXPECT_EQ(whole(0, 1), 8.0);
  EXPECT_EQ(whole(4, 0), 12.0);
  const HostMatrix small = ordered_gram(gram, order, 3);  // blocks of 2 x 2, the last 1 wide
  ASSERT_EQ(small.rows, 3);
  EXPECT_EQ(small(0, 0), (16.0 + 8.0 + 8.0 + 4.0) / 4.0);
  EXPECT_EQ(small(2, 0), (12.0 + 6.0) / 2.0);
  EXPECT_EQ(small(2, 2), 9.0);
}

TEST(GramMapTest, SamplesAreSortedByClassWhereThereAreClasses) {
  RunData run;
  run.config.data = "digits";
  run.config.classes = {1, 0};
  run.config.samples = 40;
  const SampleOrder order = sample_order(run);
  ASSERT_EQ(order.indices.size(), 40U);
  EXPECT_EQ(order.groups, (std::vector<std::string>{"0", "1"}));
  EXPECT_EQ(order.sizes[0] + order.sizes[1], 40);
  EXPECT_EQ(std::set(order.indices.begin(), order.indices.end()).size(), 40U);
  // Within a class the order of the file stays.
  for (Index k = 1; k < order.sizes[0]; ++k)
    EXPECT_LT(order.indices[static_cast<std::size_t>(k - 1)],
              order.indices[static_cast<std::size_t>(k)]);
  run.config.data = "npy:/gone/X.npy,/gone/y.npy";
  run.config.classes.reset();
  EXPECT_TRUE(sample_order(run).groups.empty());
  EXPECT_TRUE(std::ranges::is_sorted(sample_order(run).indices));
}

TEST(RunFigureTest, QuantilesAndThinning) {
  const std::vector<double> values = {1.0, 2.0, 4.0, 8.0, 16.0};
  EXPECT_EQ(quantile(values, 0.0), 1.0);
  EXPECT_EQ(quantile(values, 0.25), 2.0);
  EXPECT_EQ(quantile(values, 0.375), 3.0);
  EXPECT_EQ(quantile(values, 1.0), 16.0);
  EXPECT_EQ(thinned(5, 10), (std::vector<std::size_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(thinned(10, 4), (std::vector<std::size_t>{0, 3, 6, 9}));
  EXPECT_EQ(thinned(11, 4), (std::vector<std::size_t>{0, 3, 6, 9, 10}));
  EXPECT_TRUE(thinned(0, 4).empty());
}

}  // namespace
}  // namespace widedeq::test
