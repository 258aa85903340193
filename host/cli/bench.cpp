// widedeq bench: every stage checked and timed, as a table, a JSON document and a CSV file.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "bench/report.hpp"
#include "bench/stages.hpp"
#include "host/cli/commands.hpp"
#include "host/data/atomic_file.hpp"
#include "host/failure.hpp"
#include "host/run/progress.hpp"
#include "host/run/stop.hpp"

namespace widedeq {
namespace {

std::string footer() {
  std::string text = "Stages:\n";
  for (const bench::Stage& stage : bench::all_stages())
    text += fmt::format("  {:<19} {}\n", stage.name, stage.formula);
  return text + R"(
Every stage is compared with textbook loops in double first, at the shape itself up to 1024x64 and
at that size beyond; one that fails is not timed, its row says FAILED, and the exit code is 4.

Samples are taken after a warm-up until there are 10, 0.5 s are timed and the noise is below 0.5 %;
after --max-seconds the row is marked "!" instead. The figure is the median (of epochs, which differ
from one another and now and then hold an audit, the mean). Noise is half the width of the median's
95 % confidence interval (from order statistics), relative to it.

  Gflop/s        operations of products by formula; of solves and epochs those that were made, where
                 six int8 products may stand for one of reals
  GB/s           the matrices read and written once each, in solves once a sweep
  product        seconds of the library's bare products of that shape, timed right afterwards,
                 / seconds measured
  roofline       seconds the machine needs at least / seconds measured; the machine's rates are
                 measured first. Above 100 %: the matrices fit into the caches.
  error          found by the check, relative

Examples:
  widedeq bench
  widedeq bench --stages sweep,sweep_adjoint --shapes 1024x256,4096x1000 --precision mixed
  widedeq bench --stages forward --shapes 1024:8192x1000           m = 1024, 2048, 4096, 8192
  widedeq bench --stages rank_update --shapes 1024:4096:1024x256   m = 1024, 2048, 3072, 4096
  widedeq bench --stages all --json all.json --csv all.csv)";
}

/// What is under way, on the last line of stderr where that is a terminal.
class ProgressLine {
 public:
  ~ProgressLine() { clear(); }
  void show(const std::string& text) {
    if (!live_) return;
    fmt::print(stderr, "\r\x1b[K{} ...", text);
    std::fflush(stderr);
  }
  void clear() {
    if (!live_) return;
    fmt::print(stderr, "\r\x1b[K");
    std::fflush(stderr);
  }

 private:
  bool live_ = stderr_is_live();
};

/// stdout, line by line: a run takes minutes, and what it measured must not wait for its end.
void print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  if (std::fflush(stdout) != 0)
    throw Failure(ExitCode::io, "cannot write the table", "standard output", "check where it goes");
}

/// The file, begun before the work so that a place that cannot be written is noticed then.
std::unique_ptr<AtomicFile> open_file(const std::string& path) {
  return path.empty() ? nullptr : std::make_unique<AtomicFile>(path);
}

void finish_file(AtomicFile* file, const std::string& text) {
  if (file == nullptr) return;
  file->write(std::as_bytes(std::span(text)));
  file->commit();
}

template <class Number>
Number require(const std::optional<Number>& value, const std::string& option,
               const std::string& text, const std::string& allowed) {
  if (!value)
    throw Failure(ExitCode::usage, option + " " + text + " is not allowed", "command line",
                  "give " + allowed);
  return *value;
}

}  // namespace

BenchCommand::BenchCommand(CLI::App& parent)
    : Command(parent.add_subcommand("bench", "Check and time every stage of the solver")) {
  options_.stages = bench::parse_stages("all");
  const auto option = [this](const char* name, const char* type, const std::string& help,
                             std::function<void(const std::string&)> store) {
    add_text_option(*app_, name, type, help, std::move(store));
  };
  option("--stages", "LIST", "which, separated by commas [all]",
         [this](const std::string& text) { options_.stages = bench::parse_stages(text); });
  option("--shapes", "LIST", "MxN, width and samples; each may be a range [1024x256]",
         [this](const std::string& text) { options_.shapes = bench::parse_shapes(text); });
  option("--precision", "LIST", "some of fp64,fp32,mixed [all that run here]",
         [this](const std::string& text) { options_.precisions = bench::parse_precisions(text); });
  option("--inputs", "D", "d, the rows of X [64]", [this](const std::string& text) {
    options_.inputs = require(parse_integer(text, 1, Index{1} << 20), "--inputs", text,
                              "an integer from 1 to 1048576");
  });
  app_->add_flag("--cold", options_.cold,
                 "write 512 MiB before every call, so that nothing is found in a cache");
  option("--max-seconds", "S",
         "the most time for one row, and as much for bare products of each arithmetic [5]",
         [this](const std::string& text) {
           const auto value = parse_number(text);
           options_.stopping.max_seconds =
               require(value && *value > 0 ? value : std::nullopt, "--max-seconds", text,
                       "a finite number above 0");
         });
  option("--epochs", "N",
         "time exactly N epochs, after three of warm-up, whatever --max-seconds says: cases are "
         "comparable only with the same N",
         [this](const std::string& text) {
           options_.epochs =
               static_cast<std::size_t>(require(parse_integer(text, 1, 1'000'000), "--epochs", text,
                                                "an integer from 1 to 1000000"));
         });
  option("--json", "FILE", "everything measured, with the machine",
         [this](const std::string& text) { json_ = text; });
  option("--csv", "FILE", "the rows", [this](const std::string& text) { csv_ = text; });
  for (const char* name : {"gamma", "tolerance", "seed", "backend", "threads"})
    add_setting(*app_, name, given_);
  app_->footer(footer());
}

int BenchCommand::run(const std::string&) const {
  bench::BenchOptions options = options_;
  apply_given(options.config, given_);
  const auto place = [](const std::string& path) {
    std::error_code error;
    return std::filesystem::weakly_canonical(std::filesystem::absolute(path), error);
  };
  if (!json_.empty() && !csv_.empty() && place(json_) == place(csv_))
    throw Failure(ExitCode::usage, "--json and --csv name the same file", json_,
                  "give another name to one of them");
  const auto json = open_file(json_);
  const auto csv = open_file(csv_);
  stop_on_signals();

  ProgressLine progress;
  std::optional<bench::Table> table;
  const auto say = [&](const std::string& text) {
    progress.clear();
    print(text);
  };
  const bench::BenchReport report = bench::run_bench(
      std::move(options),
      {.progress = [&](const std::string& text) { progress.show(text); },
       .started = [&](const bench::BenchReport& begun) { say(table.emplace(begun).head()); },
       .row = [&](const bench::Row& row) { say(table->line(row)); }});
  progress.clear();
  finish_file(json.get(), bench::to_json(report).dump(2) + "\n");
  finish_file(csv.get(), bench::to_csv(report));
  if (const std::string sentence = bench::reservations(report); !sentence.empty())
    fmt::print(stderr, "widedeq: warning: {}\n", sentence);
  if (report.failures() > 0)
    throw Failure(ExitCode::diverged,
                  fmt::format("{} of {} rows failed the check and were not timed",
                              report.failures(), report.rows.size()),
                  "widedeq bench", "the last column of the rows marked FAILED says how");
  return static_cast<int>(report.stopped ? ExitCode::stopped : ExitCode::done);
}

}  // namespace widedeq
