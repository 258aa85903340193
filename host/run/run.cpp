// What surrounds the epochs: a directory, its files, a beginning or a checkpoint, and every end.
#include "host/run/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <utility>

#include "host/failure.hpp"
#include "host/run/config_file.hpp"
#include "host/run/estimate.hpp"
#include "host/run/guards.hpp"
#include "host/run/identity.hpp"
#include "host/run/machine.hpp"
#include "host/run/outcome.hpp"
#include "host/run/provenance.hpp"
#include "host/run/time_limit.hpp"
#include "host/run/training.hpp"
#include "host/run/weights_file.hpp"

namespace widedeq {
namespace {

constexpr int most_halvings = 10;

/// Ends training: its buffers make room for the m x m weights in double that saving needs.
void save_final_weights(Training& training) {
  training.journal.reset();
  training.run.monitor.reset();
  training.run.flow.reset();
  training.run.trainer.reset();
  training.run.model->A.release_operand();
  release_free_memory();
  save_weights(training.directory.file("weights.npz"), *training.run.backend, *training.run.model);
}

/// The record of the run, where it still waits for the first Gram to say the learning rate.
void write_run_record_at_last(Training& training) {
  if (training.sink.bytes() == 0)
    training.sink.write(run_record(training.run.config, training.run.facts));
}

/// Keeps what a failed run has to show. Best effort: the failure itself is what gets reported.
void salvage(Training& training) {
  try {
    if (training.journal == nullptr) return;
    training.directory.require_held();
    write_run_record_at_last(training);
    training.journal->write_pending();
    training.journal->save_last();
    if (training.state.weights_are_good) save_final_weights(training);
  } catch (const std::exception&) {
  }
}

/// ||A||_2 / sqrt(m) from below as A is now; nothing when it is not finite.
std::optional<double> norm_now(Training& training) {
  try {
    const double norm = estimate_norm(training);
    return std::isfinite(norm) ? std::optional(norm) : std::nullopt;
  } catch (const std::exception&) {  // of entries that are not finite, LAPACK's for one
    return std::nullopt;
  }
}

/// The records of a run that cannot go on: all Grams, and why.
void write_end(Training& training, const Divergence& divergence) {
  write_run_record_at_last(training);
  try {
    training.journal->write_pending();
  } catch (const Failure& failure) {  // a kernel that is not finite ends the run for the same cause
    if (failure.code() != ExitCode::diverged) throw;
  }
  training.journal->save_last();
  training.sink.write(ended_record(training.state.epoch, name_of(divergence.cause()),
                                   divergence.what(), norm_now(training)));
}

/// Saves the last good state, which training has gone back to, and gives up.
[[noreturn]] void give_up(Training& training, const Divergence& divergence) {
  save_checkpoint(training);
  training.progress.note(
      fmt::format("the last good state, before epoch {}, is in checkpoints and weights.npz",
                  training.state.epoch));
  save_final_weights(training);
  throw divergence;
}

/// Training has run away: goes back to the last good state, to go on from there with half the step,
/// or to save it and give up. What is decided is in a checkpoint before the records are cut back.
void recover(Training& training, const Divergence& divergence) {
  TrainingState& state = training.state;
  const int good = std::max(divergence.last_good().value_or(0), state.exact_since);
  const bool halve = divergence.last_good() &&
                     training.run.config.on_divergence == OnDivergence::halve &&
                     state.times_halved() < most_halvings;
  state.weights_are_good = false;
  if (!halve) write_end(training, divergence);
  if (!divergence.last_good()) throw divergence;
  training.progress.warn(divergence.what());
  if (!go_back(training, good)) {
    if (halve) write_end(training, divergence);
    throw divergence;
  }

  const bool stopped_on_the_way = state.epoch < good;
  if (!stopped_on_the_way && !halve) give_up(training, divergence);
  if (!stopped_on_the_way) {
    Halving halving{good, divergence.what()};
    for (const Halving& later : state.halvings)
      if (later.epoch > good) halving.replaces += 1 + later.replaces;
    std::erase_if(state.halvings, [&](const Halving& later) { return later.epoch > good; });
    state.halvings.push_back(std::move(halving));
    training.progress.note(fmt::format("going on from epoch {} with half the step", good));
  }
  if (stopped_on_the_way || !training.run.config.checkpoint_every.is_never()) {
    save_checkpoint(training);
  } else {
    // One of what is computed anew would be in the way.
    training.checkpoints.drop_after(state.epoch);
  }
  training.sink.restart(state.start_of(state.epoch));
  // Where later epochs begin will be known when they are computed.
  state.starts.resize(static_cast<std::size_t>(state.epoch) + 1);
}

/// Epochs to the last one, however often training runs away.
void train_to_the_end(Training& training) {
  while (true) {
    try {
      return train(training, training.run.config.epochs);
    } catch (const Divergence& divergence) {
      recover(training, divergence);
    }
  }
}

RunSummary summary_of(const Training& training) {
  const TrainingState& state = training.state;
  RunSummary summary;
  summary.directory = training.run.config.out;
  summary.stopped = state.epoch < training.run.config.epochs;
  summary.losses = state.losses;
  summary.is_flow = training.run.config.optimizer == Optimizer::flow;
  summary.in_batches = training.run.config.in_batches(training.run.facts.samples);
  summary.first_scores = state.first_scores;
  summary.last_scores = state.last_scores;
  summary.halvings = state.times_halved();
  summary.tolerance = training.run.config.tolerance;
  summary.learning_rate = state.first_eta;
  summary.first_residual = state.first_residual;
  return summary;
}

/// A session in a run's directory. `has_begun` becomes true once the run is not what it was before.
RunSummary train_in(const RunDirectory& directory, PreparedRun& run, ResumePoint point,
                    const std::string& command_line, const std::string& label, bool& has_begun) {
  has_begun = !point.file;
  Progress progress(directory.file("log.txt"), run.config.epochs, label);
  for (const std::string& warning : point.warnings)
    progress.warn(warning);
  const std::string records = directory.file("metrics.jsonl");
  if (!point.sink) {
    std::error_code ignored;
    std::filesystem::remove(records, ignored);  // of a session killed before its first checkpoint
    directory.write_text("config.toml", to_toml(run.config));
    point.sink = std::make_unique<Sink>(records);
  }
  Training training{run, directory, *point.sink, progress, {directory.path(), run.config.keep}};
  open_journal(training);
  try {
    progress.note(fmt::format("{}; width {}, {}, {}", run.facts.data, run.facts.width,
                              name_of(run.facts.precision), run.facts.backend));
    point.file ? take_up(training, point) : begin(training);
    has_begun = true;
    directory.set_status("running");
    if (point.file) go_on(training, point);
    // The way back to the start leads through a file that may be another by then.
    if (!point.file && run.config.weights_from_file() && !run.config.checkpoint_every.is_never())
      save_checkpoint(training, IfUnwritable::warn);
    directory.write_text("config.toml", to_toml(run.config));
    write_provenance(directory, run.config, run.facts,
                     {command_line, training.state.epoch, point.changes});
    point.file.reset();

    train_to_the_end(training);
    directory.require_held();

    RunSummary summary = summary_of(training);
    if (summary.stopped || !run.config.checkpoint_every.is_never()) save_checkpoint(training);
    write_run_record_at_last(training);  // stopped at once
    training.journal->write_pending();
    training.sink.flush();
    training.journal->save_last();
    summary.first_gram = training.journal->first();
    summary.last_gram = training.journal->last();
    progress.record(summary_table(summary));
    save_final_weights(training);
    return summary;
  } catch (const std::exception& error) {
    progress.record("failed: " + outcome_of(error).sentence);
    if (has_begun) salvage(training);
    throw;
  }
}

void check_place(const TrainConfig& config, bool goes_on) {
  if (config.out.empty())
    throw Failure(ExitCode::usage, "a run needs a directory to write to", "widedeq train",
                  "add --out DIRECTORY");
  if (!goes_on) RunDirectory::check(config.out);
}

/// Throws Failure (usage) for a run that the host's memory does not hold. How wide weights of a
/// file are is not known yet.
void require_room(const PlannedRun& run) {
  if (!run.config.width) return;
  const Workload work = workload_of(run.config, run.data.inputs.columns, run.data.inputs.rows);
  const bool on_device = run.backend->free_device_memory().has_value();
  require_memory(estimate_memory(work, on_device).peak(),
                 "lower --width, --samples or --chunk, or run it where there is more");
}

/// Throws Failure (usage) for a limit that is over before a single epoch can be.
void require_time(const TrainConfig& config) {
  if (!config.max_walltime || !config.width || config.epochs == 0) return;
  const double least = seconds_to_stop(*config.width);
  if (*config.max_walltime <= least)
    throw Failure(ExitCode::usage,
                  fmt::format("saving is taken to need {:.1f} s, and there are {:.3g} s in all",
                              least, *config.max_walltime),
                  "--max-walltime", "give more, or leave it out");
}

/// Whether the run was done, and its records are there still.
bool is_done(const RunDirectory& directory) {
  return directory.status() == "done" && RunDirectory::has_records(directory.path().string());
}

/// The summary of a run that has nothing left to do: all its epochs are done and their records
/// there. Settings that have changed make no difference then, unless they make another experiment
/// of it, or the bytes that one session would have written are asked for.
std::optional<RunSummary> summary_if_done(const RunDirectory& directory, TrainConfig config,
                                          const std::optional<TrainConfig>& before, Resume resume) {
  if (!before || !is_done(directory) || config.epochs != before->epochs) return std::nullopt;
  resolve(config);
  const std::vector<Change> changes = changes_between(config_json(*before), config_json(config));
  const bool may_differ = resume == Resume::inexact && !is_another_experiment(changes);
  if (!changes.empty() && !may_differ) return std::nullopt;
  RunSummary summary;
  summary.directory = config.out;
  summary.was_done = true;
  summary.passed_over = describe(changes);
  return summary;
}

}  // namespace

RunSummary run(TrainConfig config, Resume resume, const std::string& command_line,
               const std::optional<OneOfMany>& many) {
  const bool goes_on = resume != Resume::no && RunDirectory::holds_run(config.out);
  check_place(config, goes_on);
  std::optional<RunDirectory> directory;
  bool has_checkpoint = false;
  if (goes_on) {
    directory.emplace(config.out, RunDirectory::Mode::go_on);
    const bool has_failed_anew =
        many && directory->status().starts_with("failed") && directory->outcome() != many->outcome;
    const bool was_done = many && resume == Resume::again && is_done(*directory);
    if (has_failed_anew || was_done)
      throw Busy(ExitCode::usage, "another process has tried the run meanwhile", config.out,
                 "look at it again");
    if (resume != Resume::again) {
      const auto before = stored_config(config.out);
      if (before) keep_choices(config, *before);
      if (auto done = summary_if_done(*directory, config, before, resume)) return *done;
      has_checkpoint = !Checkpoints(directory->path(), config.keep).epochs().empty();
    }
  }
  PlannedRun planned = plan(std::move(config));
  require_room(planned);
  require_time(planned.config);
  PreparedRun prepared =
      prepare(std::move(planned), has_checkpoint ? WeightsFrom::checkpoint : WeightsFrom::config);
  // Only now is it sure that there will be another result.
  if (directory && resume == Resume::again) directory->clear();
  ResumePoint point;
  if (directory) {
    point = resume_point(*directory, prepared, resume);
  } else {
    directory.emplace(prepared.config.out, RunDirectory::Mode::make);
  }
  bool has_begun = !goes_on;
  try {
    RunSummary summary = train_in(*directory, prepared, std::move(point), command_line,
                                  many ? many->label : "", has_begun);
    directory->set_status(summary.stopped ? "stopped" : "done");
    return summary;
  } catch (const std::exception& error) {
    if (has_begun) directory->mark_failed(outcome_of(error));
    throw;
  }
}

}  // namespace widedeq
