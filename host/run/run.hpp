// One training run, from a configuration to a run directory.
#pragma once

#include <string>

#include "host/run/config.hpp"
#include "host/run/summary.hpp"

namespace widedeq {

/// Trains. `command_line` goes to provenance.json. A stop asked for (host/run/stop.hpp) ends the
/// run after the epoch under way.
///
/// Throws Failure, Unsupported and std::bad_alloc. What is thrown before training starts (bad
/// configuration, bad data, no memory) leaves no directory; what is thrown later stands in STATUS
/// as "failed: REASON", and weights.npz holds the weights after the last update if they are good.
RunSummary run(TrainConfig config, const std::string& command_line);

}  // namespace widedeq
