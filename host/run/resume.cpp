// Finding the checkpoint, comparing then with now, taking up the state; see resume.hpp.
#include "host/run/resume.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <utility>

#include "host/data/checksum.hpp"
#include "host/failure.hpp"
#include "host/run/config_file.hpp"
#include "host/run/guards.hpp"
#include "host/run/identity.hpp"

namespace widedeq {
namespace {

/// See is_another_experiment().
constexpr std::array experiment{"data",      "classes", "samples", "width", "gamma",
                                "injection", "skip",    "weights", "seed"};
/// Settings under which saved states are of no use; the weights are.
constexpr std::array numerics{"precision",  "backend",   "device",    "chunk",
                              "warm-start", "optimizer", "batch-size"};

template <std::size_t count>
bool any_of(const std::vector<Change>& changes, const std::array<const char*, count>& names) {
  return std::ranges::any_of(changes, [&](const Change& change) {
    return std::ranges::find(names, change.name) != names.end();
  });
}

/// "npy" of npy:INPUTS.npy,TARGETS.npy
std::string_view kind_of(std::string_view data) {
  return data.substr(0, data.find(':'));
}

/// Leaves out that the data lie elsewhere, if they are the same.
void pass_over_moved_data(ResumePoint& point, const RunFacts& facts) {
  const auto moved = std::ranges::find(point.changes, "data", &Change::name);
  if (moved == point.changes.end() || !point.origin || !moved->before.is_string()) return;
  const auto before = moved->before.get<std::string>(), now = moved->now.get<std::string>();
  if (kind_of(before) != kind_of(now) ||
      text_of(point.origin->identity, "data") != facts.data_checksum)
    return;
  point.warnings.push_back(fmt::format("the same data, now at {}", now));
  point.changes.erase(moved);
}

}  // namespace

bool is_another_experiment(const std::vector<Change>& changes) {
  return any_of(changes, experiment);
}

namespace {

/// What the checkpoint alone knows: with one to go on from, the weights file is not looked at.
void take_over(RunFacts& facts, const CheckpointOrigin& origin) {
  if (facts.weights_checksum.empty())
    facts.weights_checksum = text_of(origin.identity, "weights-file");
}

/// What has changed of what bits depend on since the checkpoint. Before the first epoch there are
/// none to keep, but that it is another file of data is to be known even so.
std::vector<Change> identity_changes(const ResumePoint& point, RunFacts facts) {
  if (!point.origin) return {};
  take_over(facts, *point.origin);
  std::vector<Change> changes = changes_between(point.origin->identity, identity(facts));
  std::erase_if(changes, [](const Change& change) {  // an older program did not say
    return change.name == "n" && change.before.is_null();
  });
  if (point.file->epoch() == 0)
    std::erase_if(changes,
                  [](const Change& change) { return change.name != "data" && change.name != "n"; });
  return changes;
}

}  // namespace

std::optional<TrainConfig> stored_config(const std::string& directory) {
  const std::filesystem::path file = std::filesystem::path(directory) / "config.toml";
  std::error_code error;
  if (!std::filesystem::exists(file, error)) return std::nullopt;
  TrainConfig config;
  apply_config_file(config, file.string());
  config.max_walltime.reset();  // of another session, where an older version has written it
  return config;
}

void keep_choices(TrainConfig& config, const TrainConfig& before) {
  if (!config.precision) config.precision = before.precision;
  if (config.backend == BackendChoice::automatic) config.backend = before.backend;
  if (config.threads == 0) config.threads = before.threads;
  if (config.chunk == 0) config.chunk = before.chunk;
  if (!config.width) config.width = before.width;
}

namespace {

/// Reads the newest checkpoint that is whole and whose records are still there; leaves `point` as
/// it is where there are none at all. Throws Failure: bad_data, or io when that is what ails the
/// newest.
void find_checkpoint(const RunDirectory& directory, const Checkpoints& checkpoints,
                     Backend& backend, ResumePoint& point) {
  ExitCode why = ExitCode::done;  // the newest one is of no use
  const auto pass_over = [&](const Failure& failure) {
    if (point.warnings.empty()) why = failure.code();
    point.warnings.emplace_back(failure.what());
  };
  const std::string records = directory.file("metrics.jsonl");
  std::optional<int> latest;
  while (auto file = checkpoints.newest(latest, pass_over)) {
    CheckpointOrigin origin = origin_of(*file, backend);
    point.sink = Sink::take_up(records, origin.mark);
    if (!point.sink && file->epoch() == 0) {  // no record there was is of anything it holds
      origin.mark = {0, Checksum().value()};
      point.sink = Sink::take_up(records, origin.mark);
    }
    if (point.sink || file->epoch() == 0) {  // no file at all is as good as one without records
      point.file = std::move(file);
      point.origin = std::move(origin);
      return;
    }
    pass_over(Failure(ExitCode::bad_data,
                      "the records up to " + file->path() + " are gone or not what they were",
                      records, "put the file back as it was, or start a new run"));
    latest = static_cast<int>(file->epoch()) - 1;
  }
  if (point.warnings.empty()) return;
  const std::string what = "no checkpoint is whole; of the newest: " + point.warnings[0],
                    place = directory.file("checkpoints"),
                    remedy =
                        "put a good copy there, or remove the run's directory to start it again";
  if (why == ExitCode::io) throw Failure(why, what, place, remedy);
  throw CannotResume(why, what, place, remedy);
}

}  // namespace

ResumePoint resume_point(const RunDirectory& directory, const PreparedRun& run, Resume resume) {
  ResumePoint point;
  const std::string place = directory.path().string();
  find_checkpoint(directory, Checkpoints(directory.path(), run.config.keep), *run.backend, point);
  const auto before = stored_config(place);
  if (point.origin || before) {
    const Json settings = point.origin ? point.origin->settings : config_json(*before);
    point.changes = changes_between(settings, config_json(run.config));
  }
  pass_over_moved_data(point, run.facts);
  if (is_another_experiment(point.changes))
    throw Failure(ExitCode::usage,
                  "this is not the experiment that was begun: " + describe(point.changes), place,
                  "resume with the same settings, or start another run elsewhere");
  const std::vector<Change> others = identity_changes(point, run.facts);
  if (any_of(others, std::array{"n"}))  // carried states and kernels are of so many
    throw CannotResume(ExitCode::usage,
                       "the data have another number of samples: " + describe(others), place,
                       "resume with the data as they were, or start another run elsewhere");
  const std::string status = directory.status();
  std::error_code error;
  if (!point.file && (status == "done" || status == "stopped"))
    throw CannotResume(
        ExitCode::usage, "the run is " + status + ", and there is no checkpoint of it", place,
        std::filesystem::exists(directory.file("weights.npz"), error)
            ? "start another one, from its weights if you like: --weights " + place + "/weights.npz"
            : "start another one elsewhere, or remove the directory to start it again");
  if (point.file && point.file->epoch() > run.config.epochs)
    throw Failure(ExitCode::usage,
                  fmt::format("{} epochs are done, and --epochs is {}", point.file->epoch(),
                              run.config.epochs),
                  place, "give more");
  point.changes.insert(point.changes.end(), others.begin(), others.end());
  if (!point.changes.empty() && resume == Resume::exact)
    throw CannotResume(
        ExitCode::usage,
        "the run cannot go on bit by bit, for these have changed: " + describe(point.changes),
        place, "resume as it was started, or say --resume=inexact");
  return point;
}

void take_up(Training& training, const ResumePoint& point) {
  const TrainConfig& config = training.run.config;
  if (any_of(point.changes, numerics)) {
    restore_weights(training, *point.file, config_from(point.origin->settings));
  } else {
    restore(training, *point.file);
  }
  take_over(training.run.facts, *point.origin);
  TrainingState& state = training.state;
  if (any_of(point.changes, std::array{"learning-rate"})) {
    // Halvings still to come were of the other one.
    std::erase_if(state.halvings,
                  [&](const Halving& halving) { return halving.epoch >= state.epoch; });
    const auto& first_gram = training.journal->first();
    if (config.learning_rate || state.epoch == 0)  // where auto looks for itself
      state.eta = config.learning_rate;
    else if (first_gram)
      state.eta = automatic_rate(*first_gram);
    else
      throw Failure(ExitCode::usage, "there is no Gram to take a learning rate from",
                    "--learning-rate auto", "give a number");
  }
  if (changes_steps(point.changes)) state.first_residual.clear();
  state.weights_are_good = state.epoch > 0;
}

void go_on(Training& training, const ResumePoint& point) {
  TrainingState& state = training.state;
  training.sink.restart(point.origin->mark.bytes);
  training.checkpoints.drop_after(state.epoch);
  training.progress.note(fmt::format("resumed before epoch {}", state.epoch));
  // Before the first epoch there is no history to tell of: the records begin with what is now.
  if (state.epoch == 0) {
    training.sink.restart(0);
    begin(training);
    training.saved_epoch = -1;
    save_checkpoint(training);
    return;
  }
  if (point.changes.empty()) return;
  state.exact_since = state.epoch;
  state.last_norm_epoch = state.epoch;
  training.progress.warn("not bit by bit what it would have been, for these have changed: " +
                         describe(point.changes));
  // A Gram's record may be still to come, and there be no Grams now.
  training.journal->write_pending();
  training.sink.write(resumed_record(state.epoch, point.changes));
  training.saved_epoch = -1;
  save_checkpoint(training);
}

}  // namespace widedeq
