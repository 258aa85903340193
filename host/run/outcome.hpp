// From an exception to what a user gets: an exit code and one line.
#pragma once

#include <exception>
#include <string>

namespace widedeq {

struct Outcome {
  int exit_code = 0;
  std::string sentence;  // one line
};

/// Not in ExitCode, because it is nobody's fault but ours: sysexits' EX_SOFTWARE.
inline constexpr int exit_code_of_a_bug = 70;

/// Failure: its own code. Unsupported, a device that is busy or full, lack of memory or threads:
/// usage, for another configuration helps. A refused call of the system: io. Anything else: a bug
/// of this program.
Outcome outcome_of(const std::exception& error);

/// What outcome.json says of a failed run, for programs: {"exit_code":...,"reason":...,"at":...,
/// "host":...,"process":...}, a line. No two attempts at a run have the same.
std::string outcome_text(const Outcome& outcome);

}  // namespace widedeq
