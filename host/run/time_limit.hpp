// The time a run has, counted from the start of the program.
#pragma once

#include <optional>

namespace widedeq {

/// Seconds since the program was started (since its static objects were made).
double seconds_since_start();

/// Whether so many more seconds fit into the limit; always without one.
bool has_time(const std::optional<double>& limit, double seconds);

}  // namespace widedeq
