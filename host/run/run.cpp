// What surrounds the epochs: a directory, its files, a beginning or a checkpoint, and every end.
#include "host/run/run.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <utility>

#include "host/failure.hpp"
#include "host/run/config_file.hpp"
#include "host/run/guards.hpp"
#include "host/run/machine.hpp"
#include "host/run/outcome.hpp"
#include "host/run/provenance.hpp"
#include "host/run/training.hpp"
#include "host/run/weights_file.hpp"

namespace widedeq {
namespace {

constexpr int most_halvings = 10;

/// Ends training: its buffers make room for the m x m weights in double that saving needs.
void save_final_weights(Training& training) {
  training.journal.reset();
  training.run.monitor.reset();
  training.run.trainer.reset();
  training.run.model->A.release_operand();
  release_free_memory();
  save_weights(training.directory.file("weights.npz"), *training.run.backend, *training.run.model);
}

/// Keeps what a failed run has to show. Best effort: the failure itself is what gets reported.
void salvage(Training& training) {
  try {
    if (training.journal == nullptr) return;
    training.directory.require_held();
    if (!training.run.facts.learning_rate)
      training.sink.write(run_record(training.run.config, training.run.facts));
    training.journal->settle();
    training.journal->save_last();
    if (training.state.weights_are_good) save_final_weights(training);
  } catch (const std::exception&) {
  }
}

/// Training has run away: goes back to the last good state, to go on from there with half the step,
/// or to save it and give up.
void recover(Training& training, const Divergence& divergence) {
  const int good = divergence.last_good();
  TrainingState& state = training.state;
  state.weights_are_good = false;
  if (good < state.exact_since) throw divergence;
  const bool halve = training.run.config.on_divergence == OnDivergence::halve &&
                     state.times_halved < most_halvings;
  training.progress.warn(divergence.what());
  if (!halve) training.journal->settle();
  go_back(training, good);
  if (state.epoch < good) return training.sink.restart(state.start_of(state.epoch));  // to stop
  if (halve) {
    state.halvings.push_back({good, divergence.what()});
    ++state.times_halved;
    training.sink.restart(state.start_of(good));
    training.progress.note(fmt::format("going on from epoch {} with half the step", good));
    return;
  }
  save_checkpoint(training);
  training.progress.note(
      fmt::format("the last good state, before epoch {}, is in checkpoints and weights.npz", good));
  save_final_weights(training);
  throw divergence;
}

/// Starts from epoch 0; without a new record of the run where `auto` waits for the first Gram,
/// which says the learning rate.
void begin(Training& training) {
  training.state.first_eta = training.state.eta = training.run.config.learning_rate;
  if (training.state.eta || training.run.config.epochs == 0)
    training.sink.write(run_record(training.run.config, training.run.facts));
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
  summary.halvings = static_cast<int>(state.halvings.size());
  summary.learning_rate = state.first_eta;
  summary.first_residual = state.first_residual;
  return summary;
}

RunSummary train_in(const RunDirectory& directory, PreparedRun& run, ResumePoint point,
                    const std::string& command_line) {
  directory.set_status("running");
  Progress progress(directory.file("log.txt"), run.config.epochs);
  for (const std::string& warning : point.warnings)
    progress.warn(warning);
  const std::string records = directory.file("metrics.jsonl");
  if (!point.sink) {
    std::error_code ignored;
    std::filesystem::remove(records, ignored);  // of a session killed before its first checkpoint
    point.sink = std::make_unique<Sink>(records);
  }
  Training training{run, directory, *point.sink, progress, {directory.path(), run.config.keep}};
  open_journal(training);
  try {
    directory.write_text("config.toml", to_toml(run.config));
    progress.note(fmt::format("{}; width {}, {}, {}", run.facts.data, run.facts.width,
                              name_of(run.facts.precision), run.facts.backend));
    point.file ? take_up(training, point) : begin(training);
    write_provenance(directory, run.config, run.facts,
                     {command_line, training.state.epoch, point.changes});
    point.file.reset();

    train_to_the_end(training);

    RunSummary summary = summary_of(training);
    if (summary.stopped || !run.config.checkpoint_every.is_never()) save_checkpoint(training);
    if (!training.state.eta && run.config.epochs > 0)  // stopped at once
      point.sink->write(run_record(run.config, run.facts));
    training.journal->settle();
    training.journal->save_last();
    summary.first_gram = training.journal->first();
    summary.last_gram = training.journal->last();
    progress.record(summary_table(summary));
    save_final_weights(training);
    return summary;
  } catch (const std::exception& error) {
    progress.record("failed: " + outcome_of(error).sentence);
    salvage(training);
    throw;
  }
}

void check_place(const TrainConfig& config, bool goes_on) {
  if (config.out.empty())
    throw Failure(ExitCode::usage, "a run needs a directory to write to", "widedeq train",
                  "add --out DIRECTORY");
  if (!goes_on) RunDirectory::check(config.out);
}

/// Whether the run has nothing left to do.
bool is_done(const RunDirectory& directory, const TrainConfig& config) {
  const auto before = stored_config(config.out);
  return before && directory.status() == "done" && before->epochs == config.epochs;
}

}  // namespace

RunSummary run(TrainConfig config, Resume resume, const std::string& command_line) {
  const bool goes_on = resume != Resume::no && RunDirectory::holds_run(config.out);
  check_place(config, goes_on);
  std::optional<RunDirectory> directory;
  if (goes_on) {
    directory.emplace(config.out, RunDirectory::Mode::go_on);
    if (is_done(*directory, config)) {
      RunSummary summary;
      summary.directory = config.out;
      summary.was_done = true;
      return summary;
    }
  }
  PreparedRun prepared = prepare(std::move(config));
  ResumePoint point;
  if (directory) {
    point = resume_point(*directory, prepared, resume);
  } else {
    directory.emplace(prepared.config.out, RunDirectory::Mode::make);
  }
  try {
    RunSummary summary = train_in(*directory, prepared, std::move(point), command_line);
    directory->set_status(summary.stopped ? "stopped" : "done");
    return summary;
  } catch (const std::exception& error) {
    directory->mark_failed(outcome_of(error).sentence);
    throw;
  }
}

}  // namespace widedeq
