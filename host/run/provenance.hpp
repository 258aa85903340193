// provenance.json: what computed a run. Everything that metrics.jsonl must not depend on is here.
#pragma once

#include <string>

#include "host/run/record.hpp"
#include "host/run/run_directory.hpp"

namespace widedeq {

/// One start of the program on a run.
struct Session {
  std::string command_line;
  int from_epoch = 0;
  std::vector<Change> changes;  // empty: it goes on bit by bit
};

/// Version, commit, build, libraries, machine, backend, seed and data of the first session, a
/// command that repeats the run, and the sessions with when, where and how they were started.
Json provenance(const TrainConfig& config, const RunFacts& facts, const Session& session);

/// Writes the file, or adds a session to the one that is there; a damaged one is put aside. Throws
/// Failure (io), also when the one that is there cannot be read.
void write_provenance(const RunDirectory& directory, const TrainConfig& config,
                      const RunFacts& facts, const Session& session);

/// The word as a POSIX shell takes it.
std::string shell_quoted(const std::string& word);

}  // namespace widedeq
