// One training run, from a configuration to a run directory, in one session or in many.
#pragma once

#include <optional>
#include <string>

#include "host/run/config.hpp"
#include "host/run/resume.hpp"
#include "host/run/summary.hpp"

namespace widedeq {

/// A run that is one of many, which other processes may be at as well.
struct OneOfMany {
  std::string label;    // it is quiet on the terminal; see host/run/progress.hpp
  std::string outcome;  // outcome.json as the caller has seen it, where STATUS says failed
};

/// Trains. `command_line` goes to provenance.json. A stop asked for (host/run/stop.hpp), or a time
/// that runs out, ends the run after the epoch under way, with a checkpoint. To resume, `config` is
/// the stored one with what the user has changed; where there is nothing to resume, a run is begun.
///
/// Throws Failure, Unsupported and std::bad_alloc; Busy while another process is at it, or, where
/// the run is one of many, has been since the caller looked. What is
/// thrown before training starts (bad configuration, bad data, no memory) leaves no directory, or
/// the one there as it was; what is thrown later stands in STATUS as "failed: REASON". Training
/// that runs away goes on from the last good state with half the step, or ends with that state in a
/// checkpoint and weights.npz.
RunSummary run(TrainConfig config, Resume resume, const std::string& command_line,
               const std::optional<OneOfMany>& many = std::nullopt);

}  // namespace widedeq
