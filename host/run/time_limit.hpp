// The time a run has, counted from the start of the program.
#pragma once

#include <optional>

#include "kernels/matrix_view.hpp"

namespace widedeq {

/// Seconds since the program was started (since its static objects were made).
double seconds_since_start();

/// Whether so many more seconds fit into the limit; always without one.
bool has_time(const std::optional<double>& limit, double seconds);

/// A guess, before anything was saved: seconds that a checkpoint and the weights of that width
/// take, at 100 MB/s for the change of A in double.
double seconds_to_stop(Index width);

}  // namespace widedeq
