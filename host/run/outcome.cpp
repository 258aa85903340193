// Kinds of exceptions, and the exit code and remedy of each; see outcome.hpp.
#include "host/run/outcome.hpp"

#include <unistd.h>

#include <algorithm>
#include <new>
#include <system_error>

#include "host/failure.hpp"
#include "host/run/json.hpp"
#include "host/run/machine.hpp"
#include "kernels/error.hpp"

namespace widedeq {

Outcome outcome_of(const std::exception& error) {
  Outcome outcome{exit_code_of_a_bug, error.what()};
  if (const auto* failure = dynamic_cast<const Failure*>(&error)) {
    outcome.exit_code = static_cast<int>(failure->code());
  } else if (dynamic_cast<const Unsupported*>(&error) != nullptr ||
             dynamic_cast<const BusyDevice*>(&error) != nullptr ||
             dynamic_cast<const OutOfDeviceMemory*>(&error) != nullptr) {
    outcome.exit_code = static_cast<int>(ExitCode::usage);
  } else if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
    outcome = {static_cast<int>(ExitCode::usage),
               "there is not enough memory (width x width weights, width x chunk states): lower "
               "--width, --chunk or the number of samples"};
  } else if (const auto* system = dynamic_cast<const std::system_error*>(&error)) {
    const bool is_thread = system->code() == std::errc::resource_unavailable_try_again;
    outcome.exit_code = static_cast<int>(is_thread ? ExitCode::usage : ExitCode::io);
    outcome.sentence += is_thread
                            ? ": no further thread or process can be started; lower --threads, "
                              "or raise the limit (ulimit -u)"
                            : ": check the path, its permissions and the space left";
  } else if (dynamic_cast<const DeviceError*>(&error) != nullptr) {
    outcome.sentence += ": the GPU or a library refused a call; try --backend cpu, and report it";
  } else {
    outcome.sentence = "internal error (" + outcome.sentence + "): please report it";
  }
  std::replace(outcome.sentence.begin(), outcome.sentence.end(), '\n', ' ');
  return outcome;
}

std::string outcome_text(const Outcome& outcome) {
  return to_line({{"exit_code", outcome.exit_code},
                  {"reason", outcome.sentence},
                  {"at", timestamp()},
                  {"host", host_name()},
                  {"process", ::getpid()}}) +
         "\n";
}

}  // namespace widedeq
