// provenance.json: what computed a run. Everything that metrics.jsonl must not depend on is here.
#pragma once

#include <string>

#include "host/run/record.hpp"

namespace widedeq {

/// Version, commit, build, libraries, machine, backend, start time (now, UTC) and command line.
Json provenance(const TrainConfig& config, const RunFacts& facts, const std::string& command_line);

}  // namespace widedeq
