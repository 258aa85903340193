// widedeq report: a run, a study or two runs as a page to look at.
#include "host/study/report.hpp"

#include <fmt/format.h>

#include "host/cli/commands.hpp"
#include "host/failure.hpp"
#include "host/run/stop.hpp"

namespace widedeq {

ReportCommand::ReportCommand(CLI::App& parent)
    : Command(parent.add_subcommand("report", "Make a page with plots of a run or a study")) {
  app_->add_option("RUN_OR_STUDY", words_,
                   "directory of a run or a study; or: compare A B, two runs")
      ->expected(1, 3)
      ->type_name("");
  add_text_option(*app_, "--out", "DIR",
                  "directory for the report [RUN_OR_STUDY/report]; wanted by compare",
                  [this](const std::string& text) { out_ = text; });
  app_->footer(
      R"(Writes one HTML file that has everything in it: it opens in any browser, offline, and prints well.
Its figures are also files beside it, each as SVG and PNG with its data and the gnuplot script that
draws it, to be changed and drawn again (gnuplot loss.gp):

  DIR/index.html
  DIR/figures/loss.svg, loss.png, loss.dat, loss.gp, ...

A run: loss and what the first kernel predicts, errors, residuals, sweeps, eigenvalues, drift,
gamma ||A||/sqrt(m), Grams before and after, certificates, where it comes from. A study: verdicts on
the theory's statements, every quantity against the width with its fit, all loss curves, its cells.
compare: two runs in the same axes, the settings in which they differ, key figures with their ratios.

Runs and studies may still be under way; what is not there yet is left out. A report made before is
replaced whole, and nothing else in the directory is touched. Plots are drawn by gnuplot, which must
be installed. Prints the path of the page.

Examples:
  widedeq report runs/wide
  widedeq report studies/widths --out /tmp/widths
  widedeq report compare runs/wide runs/narrow --out wide-narrow)");
}

int ReportCommand::run(const std::string&) const {
  if (words_.empty())
    throw Failure(ExitCode::usage, "a directory is missing", "widedeq report",
                  "give that of a run or a study; see widedeq report --help");
  stop_on_signals();  // so that a page half made goes before the program does
  std::string page;
  if (words_.front() == "compare") {
    if (words_.size() != 3)
      throw Failure(ExitCode::usage, "compare wants two runs", "widedeq report compare",
                    "give their directories: widedeq report compare A B --out DIR");
    if (!out_)
      throw Failure(ExitCode::usage, "--out is missing", "widedeq report compare",
                    "say where the report is to go: --out DIR");
    page = write_comparison(words_[1], words_[2], *out_);
  } else {
    if (words_.size() != 1)
      throw Failure(ExitCode::usage, "there is no place for the argument '" + words_[1] + "'",
                    "widedeq report", "give one directory, or: compare A B");
    page = write_report(words_.front(), out_);
  }
  fmt::print("{}\n", page);
  return static_cast<int>(ExitCode::done);
}

}  // namespace widedeq
