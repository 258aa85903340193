// How a run ends, and the one sentence a user gets when it ends badly.
#pragma once

#include <stdexcept>
#include <string>

namespace widedeq {

/// Exit codes of the command-line tool. Scripts rely on the numbers.
enum class ExitCode : int {
  done = 0,
  usage = 2,          ///< usage or configuration
  bad_data = 3,       ///< a file was read, and what it holds cannot be used
  diverged = 4,       ///< diverged or non-finite; a benchmark's check failed
  not_converged = 5,  ///< an equilibrium or adjoint missed the tolerance
  io = 74,            ///< input/output: missing file, no permission, no space
  stopped = 75,       ///< stopped early; a run, with a checkpoint
};

/// A failure the user can do something about: what went wrong, where, and what to do.
/// what() is one line: "WHAT (WHERE): REMEDY".
class Failure : public std::runtime_error {
 public:
  Failure(ExitCode code, const std::string& what, const std::string& where,
          const std::string& remedy)
      : std::runtime_error(what + " (" + where + "): " + remedy), code_(code) {}

  ExitCode code() const { return code_; }
  /// The same failure under another code.
  Failure with_code(ExitCode code) const {
    Failure other = *this;
    other.code_ = code;
    return other;
  }

 private:
  ExitCode code_;
};

}  // namespace widedeq
