// widedeq train: gradient descent on all weights of a network, from a configuration to a directory.
#include <fmt/format.h>

#include <cstdio>

#include "host/cli/commands.hpp"
#include "host/failure.hpp"
#include "host/run/config_file.hpp"
#include "host/run/dry_run.hpp"
#include "host/run/run.hpp"
#include "host/run/stop.hpp"

namespace widedeq {
namespace {

Resume resume_mode(const std::string& text) {
  if (text.empty()) return Resume::no;
  if (text == "true" || text == "exact") return Resume::exact;
  if (text == "inexact") return Resume::inexact;
  throw Failure(ExitCode::usage, "--resume=" + text + " is not allowed", "command line",
                "say --resume or --resume=inexact");
}

}  // namespace

TrainCommand::TrainCommand(CLI::App& parent)
    : Command(parent.add_subcommand("train", "Train a network and watch its tangent kernel")) {
  for (const Setting& entry : settings())
    add_setting(*app_, entry.name, given_);
  add_text_option(*app_, "--config", "FILE.toml", "take settings from a file first",
                  [this](const std::string& text) { config_file_ = text; });
  add_text_option(*app_, "--out", "DIR",
                  "directory for the run; holds nothing yet, or the run to resume",
                  [this](const std::string& text) { out_ = text; });
  app_->add_flag("--resume", resume_,
                 "go on with the run in DIR, or begin it; =inexact: although something has changed")
      ->type_name("[=inexact]");
  app_->add_flag("--dry-run", dry_run_,
                 "say what the run would need (memory, work, disk, time) and start nothing");
  app_->footer(
      R"(Trains all weights by gradient descent on all samples at once, along its limit for small steps, or
in batches. Settings come from these options, else from the --config file, else they are the defaults
[in brackets]. The file is TOML, KEY = VALUE, the keys being the long names of the options
(learning-rate = 0.1; --no-skip is skip = false).

The directory gets config.toml (repeats the run), provenance.json, metrics.jsonl (one record a line: the
run, every epoch, every Gram, and what else happens to it), gram/ (eigenvalues and kernels as .npy),
checkpoints/, weights.npz, log.txt and STATUS (running, done, stopped or failed: REASON).

INT (Ctrl-C), TERM, HUP, USR1 or --max-walltime end a run after the epoch under way, with a checkpoint
and exit code 75; another signal, a second later or more, ends it at once. The same command with
--resume goes on to the very bytes an undisturbed run would have written, or begins the run where there
is none yet, so a batch job may always say --resume. It refuses to go on where program, machine, threads
or settings have changed, unless --resume=inexact, which is noted in metrics.jsonl.

--optimizer flow integrates d theta/dt = -grad loss with an error control of its own; an epoch is the
learning rate in time, a step or more of six evaluations each. It is recorded with `time` (at its start),
`flow_steps` and `flow_rejected`. --batch-size B takes n/B steps an epoch, each eta n/B times the gradient
of one batch's loss, on average the full gradient's step. The loss recorded then is the sum over batches,
each before its own step; `full_loss`, with every Gram, is that of all samples before the epoch. Batches
far smaller than trace(H)/lambda_max(H) want a smaller learning rate than `auto` (a warning says so).

An epoch whose loss, equilibrium or ||A|| runs away ends the run with code 4 and the last good state
in checkpoints/ and weights.npz; --on-divergence halve goes on from there with half the step.

Examples:
  widedeq train --width 2048 --epochs 200 --out runs/wide
  widedeq train --data npy:X.npy,y.npy --gamma 0.3 --injection linear --out runs/mine
  widedeq train --optimizer flow --flow-tolerance 1e-4 --out runs/flow
  widedeq train --batch-size 60 --epochs 50 --out runs/batches
  widedeq train --config runs/wide/config.toml --seed 2 --out runs/wide-2
  widedeq train --width 16384 --epochs 5000 --max-walltime 8:00:00 --resume --out runs/night
  widedeq train --width 65536 --samples 300 --dry-run)");
}

int TrainCommand::run(const std::string& command_line) const {
  const Resume resume = resume_mode(resume_);
  TrainConfig config;
  if (resume != Resume::no && !out_.empty()) config = stored_config(out_).value_or(TrainConfig());
  if (!config_file_.empty()) apply_config_file(config, config_file_);
  apply_given(config, given_);
  config.out = out_;
  if (dry_run_) {
    const Estimate needs = widedeq::dry_run(config);
    fmt::print("{}", format_estimate(needs));
    return static_cast<int>(fits(needs) ? ExitCode::done : ExitCode::usage);
  }
  stop_on_signals();
  const RunSummary summary = widedeq::run(std::move(config), resume, command_line);
  fmt::print("{}", summary_table(summary));
  return static_cast<int>(summary.stopped ? ExitCode::stopped : ExitCode::done);
}

}  // namespace widedeq
