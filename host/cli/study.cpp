// widedeq study: a grid of runs, done by one process or by many; status; a batch script for Slurm.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <numeric>
#include <system_error>

#include "host/cli/commands.hpp"
#include "host/failure.hpp"
#include "host/run/provenance.hpp"
#include "host/run/stop.hpp"
#include "host/study/results_file.hpp"
#include "host/study/slurm.hpp"
#include "host/study/study.hpp"
#include "host/study/study_status.hpp"

namespace widedeq {
namespace {

constexpr const char* footer =
    R"(Trains every combination of the values in a grid, each in a directory of its own. The file has the
settings of train, as its --config, and a table of those that vary:

  data = "digits"
  epochs = 200
  gram-every = 10
  [grid]
  width = [256, 512, 1024]
  gamma = [0.3, 0.5]
  seed = "1..5"           also "500..2000 step 500", "256..8192 times 2", and ["1..3", 7]

DIR gets study.toml (the study, resolved), log.txt, and a run directory for each cell, named by its
values: cells/width-512_gamma-0.3_seed-2. When no cell is left, results.json and cells.csv say what was
measured against the width, with exponents, intervals and verdicts on the theory; widedeq report DIR
shows it. Cells are numbered from 0, settings in the order of
train --help, the last one changing fastest.

Call it again, and it goes on: cells that are done stay, a stopped or killed one goes on from its
checkpoint to the same bytes, the others begin. DIR alone is enough then. A file with more values, or
more settings in its grid, extends the study: numbers change, directories do not. Anything else that
changes what is computed is refused.

Several processes, on several machines that share DIR, do a study together: each takes what nobody
is at, and takes over from those that died. --cells K/N instead gives each of N processes its share,
K from 0 to N-1, with equal work.

A cell that diverges (4) or misses its tolerance (5) is a result, and stays: --retry-failed begins it
again. One that fails for lack of memory or by its settings (2, 3) is tried again by the next call.
Neither stops the others; a full disk or the like (74) ends the study at once. A half-done cell whose
program, machine or settings have changed fails too, untouched, unless --resume says otherwise.

INT (Ctrl-C), TERM, HUP, USR1 or --max-walltime end the study with a checkpoint of the cell under way.

Exit codes: 0 all cells asked for are done; 75 not finished (stopped, or others are at the rest):
call it again; 74 input/output; else the code of the first cell that failed.

Examples:
  widedeq study --config widths.toml --out studies/widths --dry-run
  widedeq study --config widths.toml --out studies/widths
  widedeq study --out studies/widths & widedeq study --out studies/widths --wait
  widedeq study status --out studies/widths
  widedeq study slurm --config widths.toml --out studies/widths >widths.sh; sbatch widths.sh)";

WhenChanged when_changed(const std::string& text) {
  if (text.empty() || text == "exact") return WhenChanged::leave;
  if (text == "inexact") return WhenChanged::go_on;
  if (text == "restart") return WhenChanged::begin_again;
  throw Failure(ExitCode::usage, "--resume=" + text + " is not allowed", "command line",
                "give exact, inexact or restart");
}

/// "K/N", 0 <= K < N.
std::pair<int, int> parse_share(const std::string& text) {
  constexpr std::int64_t most = 1'000'000;
  const std::size_t slash = text.find('/');
  const auto n =
      parse_integer(slash == text.npos ? "" : text.substr(slash + 1), 1, most).value_or(0);
  const auto k = parse_integer(text.substr(0, slash), 0, most).value_or(most);
  if (k >= n)
    throw Failure(ExitCode::usage, "--cells " + text + " is not allowed", "command line",
                  n > 0 ? fmt::format("K counts from 0: give 0/{} to {}/{}", n, n - 1, n)
                        : std::string("give K/N, share K of N, such as 0/4"));
  return {static_cast<int>(k), static_cast<int>(n)};
}

/// Options win over the study's file, for this process.
void apply_to_cells(Study& study, const GivenSettings& given) {
  for (const auto& [name, value] : given)
    for (const GridSetting& one : study.grid)
      if (one.name == name)
        throw Failure(ExitCode::usage, fmt::format("--{} is in the study's grid", name),
                      "command line", "leave it out");
  for (StudyCell& cell : study.cells)
    apply_given(cell.config, given);
}

void require_out(const std::string& out, const char* command) {
  if (out.empty())
    throw Failure(ExitCode::usage, "a study needs a directory", command, "add --out DIRECTORY");
}

/// The study as it would be, with nothing written.
Study look_at_study(const std::string& config_file, const std::string& out) {
  return config_file.empty() ? open_study(out) : preview_study(config_file, out);
}

/// results.json, cells.csv, and what they come to.
void tell_results(const std::string& directory) {
  const StudyAnalysis analysis = analyse_study(directory);
  write_results(analysis);
  fmt::print("{}\nresults.json and cells.csv have the numbers; widedeq report {} makes a page\n",
             format_analysis(analysis), shell_quoted(directory));
}

}  // namespace

void StudyCommand::add_common(CLI::App& app) {
  add_text_option(app, "--config", "FILE.toml", "the study; not needed when it is in DIR already",
                  [this](const std::string& text) { config_file_ = text; });
  add_text_option(app, "--out", "DIR", "directory for the study, or the one to go on with",
                  [this](const std::string& text) { out_ = text; });
}

void StudyCommand::add_resume(CLI::App& app) {
  add_text_option(app, "--resume", "exact|inexact|restart",
                  "a half-done cell that cannot go on bit by bit is left [exact], goes on all the "
                  "same, or begins again",
                  [this](const std::string& text) { resume_ = text; });
}

StudyCommand::StudyCommand(CLI::App& parent)
    : Command(parent.add_subcommand("study", "Train a grid of networks: widths, seeds, ...")),
      slurm_(app_->add_subcommand("slurm", "Print a batch script that does it as a job array")),
      status_(app_->add_subcommand("status", "Show how far the cells are")) {
  add_common(*app_);
  add_text_option(*app_, "--cell", "K|NAME", "do this one cell, by number or directory name",
                  [this](const std::string& text) { cell_ = text; });
  add_text_option(*app_, "--cells", "K/N", "do share K of N, K from 0; of equal work",
                  [this](const std::string& text) { share_ = text; });
  app_->add_flag("--dry-run", dry_run_,
                 "list the cells with memory, work, disk and time, and start nothing");
  app_->add_flag("--largest-first", largest_first_, "costly cells first, not in order of number");
  app_->add_flag("--wait", wait_,
                 "wait for cells that others are at, ready to take over, to the end of the study");
  app_->add_flag("--retry-failed", retry_failed_,
                 "begin cells again that diverged or did not converge");
  add_resume(*app_);
  for (const char* name : {"threads", "checkpoint-every", "keep", "max-walltime"})
    add_setting(*app_, name, given_);
  app_->footer(footer);

  add_common(*slurm_);
  add_text_option(*slurm_, "--tasks", "N", "tasks of the array, with equal work [one a cell]",
                  [this](const std::string& text) { tasks_ = text; });
  add_text_option(*slurm_, "--time", "H:MM:SS",
                  "time limit of a task, which may be too short for it [by the estimate]",
                  [this](const std::string& text) { time_ = text; });
  add_resume(*slurm_);
  add_setting(*slurm_, "threads", given_);
  slurm_->footer(
      R"(Makes the study's directory, with study.toml and slurm/ for the output of the tasks, and prints a
bash script for sbatch: an array with a task for each cell, or --tasks N shares of equal work; memory
by the estimate for the largest cell; --threads processors a task [the study's, else 4]. Ahead of the
time limit a task saves a checkpoint, and it comes back into the queue until it is done. A cell that
fails ends its task with its code. Submit the script again for whatever is left. Where nodes have
different processors, a cell may come back to one on which it cannot go on bit by bit: --resume says
what to do then.

Example:
  widedeq study slurm --config widths.toml --out /scratch/widths --time 4:00:00 >widths.sh
  sbatch --partition=compute widths.sh)");

  add_text_option(*status_, "--out", "DIR", "directory of the study",
                  [this](const std::string& text) { out_ = text; });
}

void StudyCommand::refuse_others(const CLI::App& command) const {
  for (const CLI::Option* option : app_->get_options()) {
    const std::string name = option->get_name();
    if (option->count() > 0 && command.get_option_no_throw(name) == nullptr)
      throw Failure(ExitCode::usage,
                    fmt::format("{} does not go with study {}", name, command.get_name()),
                    "command line", "leave it out");
  }
}

int StudyCommand::run(const std::string& command_line) const {
  for (const CLI::App* command : {slurm_, status_})
    if (command->parsed()) refuse_others(*command);
  if (slurm_->parsed()) return print_slurm();
  if (status_->parsed()) return print_status();
  return run_cells(command_line);
}

int StudyCommand::run_cells(const std::string& command_line) const {
  require_out(out_, "widedeq study");
  if (!cell_.empty() && !share_.empty())
    throw Failure(ExitCode::usage, "--cell and --cells are both given", "command line",
                  "leave out one of them");
  StudyOptions options;
  options.when_changed = when_changed(resume_);
  options.retry_failed = retry_failed_;
  options.wait = wait_;
  options.command_line = command_line;
  const auto share = share_.empty() ? std::pair(0, 1) : parse_share(share_);

  if (!dry_run_) stop_on_signals();
  // What is wrong with any cell shows here, before there is a directory.
  Study study = look_at_study(config_file_, out_);
  apply_to_cells(study, given_);
  const std::vector<CellPlan> plan = plan_cells(study);
  options.cells = cell_.empty() ? shares(plan, share.second)[static_cast<std::size_t>(share.first)]
                                : std::vector{study.cell(cell_).number};
  if (largest_first_)
    std::ranges::stable_sort(options.cells, std::ranges::greater(), [&](int number) {
      return plan[static_cast<std::size_t>(number)].cost;
    });
  if (dry_run_) {
    const StudyEstimate needs = estimate_study(study, plan, options.cells);
    fmt::print("{}", format_estimate(study, plan, options.cells, needs));
    return static_cast<int>(fits(needs) ? ExitCode::done : ExitCode::usage);
  }

  if (!config_file_.empty()) begin_study(config_file_, out_);
  const StudySummary summary = run_study(study, plan, options);
  fmt::print("{}", format_counts(study));
  if (is_finished(study)) tell_results(out_);
  if (summary.stopped || summary.busy > 0) return static_cast<int>(ExitCode::stopped);
  if (!summary.failed.empty()) {
    std::fflush(stdout);
    const std::size_t count = summary.failed.size();
    throw Failure(
        static_cast<ExitCode>(summary.failed.front().exit_code),
        fmt::format("{} cell{} failed, the first is cell {}: {}", count, count == 1 ? "" : "s",
                    summary.failed.front().number, summary.failed.front().reason),
        out_,
        is_result(summary.failed.front().exit_code)
            ? "widedeq study status --out " + shell_quoted(out_) + " shows all"
            : "mend that, and call the study again; its log.txt has the reasons of all");
  }
  return static_cast<int>(ExitCode::done);
}

int StudyCommand::print_status() const {
  require_out(out_, "widedeq study status");
  fmt::print("{}", format_status(open_study(out_)));
  return static_cast<int>(ExitCode::done);
}

int StudyCommand::print_slurm() const {
  require_out(out_, "widedeq study slurm");
  namespace fs = std::filesystem;
  const std::string out = fs::absolute(out_).lexically_normal().string();
  SlurmOptions options;
  std::error_code error;
  options.program = fs::read_symlink("/proc/self/exe", error).string();
  if (error) options.program = "widedeq";
  if (!tasks_.empty()) {
    const auto tasks = parse_integer(tasks_, 1, 100'000);
    if (!tasks)
      throw Failure(ExitCode::usage, "--tasks " + tasks_ + " is not allowed", "command line",
                    "give an integer from 1 to 100000");
    options.tasks = static_cast<int>(*tasks);
  }
  if (!time_.empty()) {
    options.seconds = parse_duration(time_);
    if (!options.seconds)
      throw Failure(ExitCode::usage, "--time " + time_ + " is not allowed", "command line",
                    "give a time such as 4:00:00, 1-12:00:00 or 90m");
  }
  Study study = look_at_study(config_file_, out);
  apply_to_cells(study, given_);
  int threads = 0;
  for (const StudyCell& cell : study.cells)
    threads = std::max(threads, cell.config.threads);
  if (threads > 0) options.threads = threads;
  when_changed(resume_);  // refuses what is none
  options.resume = resume_;
  const std::vector<CellPlan> plan = plan_cells(study);
  std::vector<int> all(plan.size());
  std::iota(all.begin(), all.end(), 0);
  const std::string script = slurm_script(study, plan, estimate_study(study, plan, all), options);
  if (!config_file_.empty()) begin_study(config_file_, out);
  fs::create_directories(fs::path(out) / slurm_logs, error);
  if (error)
    throw Failure(ExitCode::io, "cannot make the directory: " + error.message(),
                  out + "/" + slurm_logs, "choose another --out");
  fmt::print("{}", script);
  return static_cast<int>(ExitCode::done);
}

}  // namespace widedeq
