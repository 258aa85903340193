// The program's age, and what saving is taken to need; see time_limit.hpp.
#include "host/run/time_limit.hpp"

#include <chrono>

namespace widedeq {
namespace {

using Clock = std::chrono::steady_clock;
const Clock::time_point started = Clock::now();

}  // namespace

double seconds_since_start() {
  return std::chrono::duration<double>(Clock::now() - started).count();
}

double seconds_to_stop(Index width) {
  const auto m = static_cast<double>(width);
  return 2.0 * (0.5 + 8.0 * m * m / 1e8);
}

bool has_time(const std::optional<double>& limit, double seconds) {
  return !limit || seconds_since_start() + seconds <= *limit;
}

}  // namespace widedeq
