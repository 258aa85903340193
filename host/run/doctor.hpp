// `widedeq doctor`: whether a machine, a directory and a batch job are fit for a run, one finding a
// line.
//
// What is looked at costs nothing to look at: no network is made. In the directory a file is made,
// flushed, renamed, locked and removed, as a run would.
#pragma once

#include <string>
#include <vector>

#include "host/failure.hpp"
#include "host/run/json.hpp"

namespace widedeq {

enum class Severity : std::uint8_t { ok, warn, fail };

struct Finding {
  std::string name;  // "file system"
  Severity severity = Severity::ok;
  std::string text;    // what was found, one line
  std::string remedy;  // what to do about it; empty when all is well
  bool about_directory = false;
};

struct Diagnosis {
  std::string directory;
  std::vector<Finding> findings;

  int count(Severity severity) const;
  /// io when the directory fails, usage when anything else does, else done. Warnings do not count.
  ExitCode exit_code() const;
  /// The first finding that fails, those of the directory before the others; null when none does.
  const Finding* worst() const;
};

/// Everything. `threads` 0: as many as a run would take. Never throws for what it finds.
Diagnosis examine(const std::string& directory, int threads);

/// The parts, in this order.
std::vector<Finding> examine_processor(int threads);
std::vector<Finding> examine_libraries(const std::string& backend_description);
std::vector<Finding> examine_limits();                                 // memory, ulimits
std::vector<Finding> examine_scheduler(int threads);                   // by environment variables
std::vector<Finding> examine_directory(const std::string& directory);  // with the clock

/// One aligned line a finding, and a last one that counts them.
std::string format_diagnosis(const Diagnosis& diagnosis);
Json to_json(const Diagnosis& diagnosis);

}  // namespace widedeq
