// `train --dry-run`: what a run would need, with nothing started and nothing written.
#pragma once

#include "host/run/estimate.hpp"

namespace widedeq {

/// Resolves the configuration and loads the data, as a run would, and estimates the rest. Throws as
/// prepare().
Estimate dry_run(const TrainConfig& config);

}  // namespace widedeq
