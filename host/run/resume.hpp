// Going on with a run: where it was left, what has changed since, and whether that is allowed.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/failure.hpp"
#include "host/run/training.hpp"

namespace widedeq {

/// Whether to go on with a run that is in the directory. exact: to the bytes that one session would
/// have written; inexact: also where program, machine or numerics have changed, which is recorded.
enum class Resume : std::uint8_t {
  no,
  exact,
  inexact,
  again,  // what there is of the run is removed, and it begins anew
};

/// Going on cannot lead to the bytes that one session would have written.
class CannotResume : public Failure {
 public:
  using Failure::Failure;
};

/// The configuration a run was started with, from its directory; nothing when there is none yet.
/// Throws Failure as apply_config_file.
std::optional<TrainConfig> stored_config(const std::string& directory);

/// Whether settings have changed that make another experiment of it, whatever --resume says.
bool is_another_experiment(const std::vector<Change>& changes);

/// What was left to be chosen (auto, 0) stays as it was chosen before.
void keep_choices(TrainConfig& config, const TrainConfig& before);

/// Where a session begins.
struct ResumePoint {
  std::unique_ptr<CheckpointFileReader> file;  // none: at the beginning
  std::optional<CheckpointOrigin> origin;      // of the file
  std::unique_ptr<Sink> sink;                  // none: to be created
  std::vector<Change> changes;                 // since the run was begun, or the file written
  std::vector<std::string> warnings;
};

/// Finds the newest whole checkpoint and checks that going on from it is what was asked for.
/// Nothing in the directory has changed when it throws CannotResume: usage where `resume` does not
/// allow what has changed or there is nothing to go on from, bad_data where no checkpoint is whole
/// and has its records; or Failure: usage where that is another experiment, io.
ResumePoint resume_point(const RunDirectory& directory, const PreparedRun& run, Resume resume);

/// Brings training to where the checkpoint left it. The directory stays as it is. Throws Failure.
void take_up(Training& training, const ResumePoint& point);

/// Goes on from there: cuts off what came after it. Where something has changed it says so in the
/// metrics, or begins them anew before the first epoch, and there is a checkpoint at once: from
/// there on the run is exact again. Throws Failure.
void go_on(Training& training, const ResumePoint& point);

}  // namespace widedeq
