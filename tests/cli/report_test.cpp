// widedeq report: from a run that train made to a page, and what is refused.
#include <sstream>

#include "tests/cli/cli_support.hpp"
#include "tests/markup.hpp"

namespace widedeq::test {
namespace {

class ReportCliTest : public CliTest {
 protected:
  void train(const std::string& out, const std::string& more = "") const {
    const Result result =
        run("train --data digits --samples 24 --width 32 --epochs 6 --gram-every 2 --threads 2 "
            "--precision fp64 --certify-every 3 --out " +
            out + " " + more);
    ASSERT_EQ(result.code, 0) << result.error;
  }
};

TEST_F(ReportCliTest, ARunBecomesAPage) {
  const std::string name = "\"it's \\\"a\\\" \\$HOME run\"";
  train(name);
  const fs::path place = directory / "it's \"a\" $HOME run";
  const std::string metrics = read_text(place / "metrics.jsonl");
  const Result result = run("report " + name);
  ASSERT_EQ(result.code, 0) << result.error;
  EXPECT_EQ(result.error, "");
  EXPECT_EQ(result.output, "it's \"a\" $HOME run/report/index.html\n");
  const Markup page = read_markup(read_text(place / "report/index.html"));
  EXPECT_EQ(page.complaint, "");
  EXPECT_NE(page.text.find("Digits, classes 0, 1; width 32"), std::string::npos);
  const auto figures = page.values("id", "figure");
  for (const char* figure : {"loss", "contraction", "residuals", "sweeps", "eigenvalues",
                             "spectrum", "drift", "gram-first", "gram-last", "gram-change"})
    EXPECT_NE(std::find(figures.begin(), figures.end(), figure), figures.end()) << figure;
  // The prediction begins with the loss there is, to the last digits.
  const auto epochs = of_kind(read_records(place / "metrics.jsonl"), "epoch");
  const std::string data = read_text(place / "report/figures/loss.dat");
  const std::size_t predicted = data.find("# predicted");
  ASSERT_NE(predicted, std::string::npos);
  std::istringstream lines(data.substr(data.find("\n0 ", predicted)));
  double epoch = -1, loss = 0;
  lines >> epoch >> loss;
  EXPECT_NEAR(loss, epochs.at(0).at("loss").get<double>(), 1e-9 * loss);
  EXPECT_EQ(read_text(place / "metrics.jsonl"), metrics);

  // The report is no obstacle to going on, and the scripts are ones a person can run again.
  EXPECT_EQ(run("train --resume --out " + name).code, 0);
  fs::remove(place / "report/figures/loss.svg");
  ::setenv("PLACE", (place / "report/figures").c_str(), 1);
  EXPECT_EQ(std::system("cd \"$PLACE\" && gnuplot loss.gp"), 0);
  EXPECT_TRUE(fs::exists(place / "report/figures/loss.svg"));
}

TEST_F(ReportCliTest, TwoRunsBecomeOnePage) {
  train("a");
  train("b", "--gamma 0.3");
  const Result result = run("report compare a b --out both");
  ASSERT_EQ(result.code, 0) << result.error;
  EXPECT_EQ(result.output, "both/index.html\n");
  const Markup page = read_markup(read_text(directory / "both/index.html"));
  EXPECT_EQ(page.complaint, "");
  EXPECT_EQ(page.values("class", "tr"), std::vector<std::string>{"emphasised"});  // gamma
}

TEST_F(ReportCliTest, RefusesInOneLine) {
  fs::create_directory(path("empty"));
  write_text("file", "x");
  expect_refused("report", 2, {"directory", "--help"});
  expect_refused("report empty", 2, {"no run", "empty"});
  expect_refused("report nowhere", 2, {"no run", "nowhere"});
  expect_refused("report empty empty", 2, {"no place for", "compare A B"});
  expect_refused("report compare empty", 2, {"two runs"});
  expect_refused("report compare empty empty", 2, {"--out"});
  expect_refused("report compare empty empty --out x", 2, {"no run", "empty"});
  expect_refused("report empty --wdith 3", 2, {"--wdith"});
  fs::create_directory(path("broken"));
  write_text("broken/STATUS", "done\n");
  write_text("broken/metrics.jsonl", "{\"kind\":\"epoch\"}\n");
  expect_refused("report broken", 3, {"metrics.jsonl line 1", "run"});
  write_text("broken/metrics.jsonl", "");
  expect_refused("report broken --out file", 2, {"--out is a file"});
  expect_refused("report broken --out broken", 2, {"something else"});
  EXPECT_NE(run("report --help").output.find("compare"), std::string::npos);
}

}  // namespace
}  // namespace widedeq::test
