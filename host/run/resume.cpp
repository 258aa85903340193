#include "host/run/resume.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>

#include "host/failure.hpp"
#include "host/run/config_file.hpp"
#include "host/run/identity.hpp"

namespace widedeq {
namespace {

/// Settings that make another experiment of it, whatever --resume says.
constexpr std::array experiment{"data",      "classes", "samples", "width", "gamma",
                                "injection", "skip",    "weights", "seed"};
/// Settings under which saved states are of no use; the weights are.
constexpr std::array numerics{"precision", "backend", "chunk", "warm-start"};

template <std::size_t count>
bool any_of(const std::vector<Change>& changes, const std::array<const char*, count>& names) {
  return std::ranges::any_of(changes, [&](const Change& change) {
    return std::ranges::find(names, change.name) != names.end();
  });
}

}  // namespace

std::optional<TrainConfig> stored_config(const std::string& directory) {
  const std::filesystem::path file = std::filesystem::path(directory) / "config.toml";
  std::error_code error;
  if (!std::filesystem::exists(file, error)) return std::nullopt;
  TrainConfig config;
  apply_config_file(config, file.string());
  return config;
}

ResumePoint resume_point(const RunDirectory& directory, const PreparedRun& run, Resume resume) {
  ResumePoint point;
  const std::string place = directory.path().string();
  const Checkpoints checkpoints(directory.path(), run.config.keep);
  point.file = checkpoints.newest(
      {}, [&](const std::string& sentence) { point.warnings.push_back(sentence); });
  if (!point.file && !checkpoints.epochs().empty())
    throw Failure(ExitCode::bad_data, "no checkpoint is whole", directory.file("checkpoints"),
                  "put a good copy there, or remove the directory to start the run again");

  const auto before = stored_config(place);
  if (point.file) point.origin = origin_of(*point.file, *run.backend);
  if (point.origin || before) {
    const Json settings = point.origin ? point.origin->settings : config_json(*before);
    point.changes = changes_between(settings, config_json(run.config));
  }
  if (any_of(point.changes, experiment))
    throw Failure(ExitCode::usage,
                  "this is not the experiment that was begun: " + describe(point.changes), place,
                  "resume with the same settings, or start another run elsewhere");
  if (point.origin)
    for (Change& change : changes_between(point.origin->identity, identity(run.facts)))
      point.changes.push_back(std::move(change));
  if (!point.changes.empty() && resume == Resume::exact)
    throw Failure(
        ExitCode::usage,
        "the run cannot go on bit by bit, for these have changed: " + describe(point.changes),
        place, "resume as it was started, or say --resume=inexact");
  if (point.origin)
    point.sink = std::make_unique<Sink>(directory.file("metrics.jsonl"), point.origin->mark);
  return point;
}

void take_up(Training& training, const ResumePoint& point) {
  if (any_of(point.changes, numerics)) {
    restore_weights(training, *point.file, config_from(point.origin->settings));
  } else {
    restore(training, *point.file);
  }
  TrainingState& state = training.state;
  state.weights_are_good = state.epoch > 0;
  training.checkpoints.drop_after(state.epoch);
  training.progress.note(fmt::format("resumed before epoch {}", state.epoch));
  if (point.changes.empty()) return;
  state.exact_since = state.epoch;
  if (const auto& eta = training.run.config.learning_rate) state.eta = eta;
  training.progress.warn("not bit by bit what it would have been, for these have changed: " +
                         describe(point.changes));
  training.sink.write(resumed_record(state.epoch, point.changes));
  save_checkpoint(training);
}

}  // namespace widedeq
