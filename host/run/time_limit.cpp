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

bool has_time(const std::optional<double>& limit, double seconds) {
  return !limit || seconds_since_start() + seconds <= *limit;
}

}  // namespace widedeq
