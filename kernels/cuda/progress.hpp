// How far an iteration has come, kept on the device: kernels stop by it, the host looks at it.
#pragma once

#include <cstdint>
#include <limits>

#include "kernels/backend.hpp"
#include "kernels/host_device.hpp"

namespace widedeq::cuda {

/// One a running iteration, in device memory. In a sweep only the last kernel writes to it; all
/// others return at once where `running` is 0, so a sweep too many does nothing.
struct Progress {
  std::int32_t running = 0;  // open > 0, finite, sweeps < most
  std::int32_t open = 0;     // columns still open
  std::int32_t places = 0;   // of the packed order in use: the open columns' and, until the next
                             // packing, those of columns that have stopped since the last one
  std::int32_t moving = 0;   // columns that a packing under way is moving
  std::int32_t sweeps = 0;   // done so far
  std::int32_t most = 0;     // sweeps allowed
  std::int32_t finite = 1;
  double tolerance = 0.0;       // Sweep::tolerance: here so that graphs do not depend on it
  double worst_residual = 0.0;  // over the columns that were open in the last sweep
  double worst_growth = 0.0;
  double first_residual = 0.0;  // worst_residual as measured before the first sweep
  double columns = 0.0;         // open columns multiplied, over all sweeps
  double newer_columns = 0.0;   // by row panels: those multiplied with increments of the same sweep
  double hopeless_growth = std::numeric_limits<double>::infinity();  // of the Sweep
};

/// Where a measurement or an iteration starts: `open` columns, packed, `most` sweeps allowed.
inline Progress start_of(const Sweep& sweep, Index open, int most) {
  const auto columns = static_cast<std::int32_t>(open);
  return {.running = 1,
          .open = columns,
          .places = columns,
          .most = most,
          .tolerance = sweep.tolerance,
          .hopeless_growth = sweep.hopeless_growth};
}

}  // namespace widedeq::cuda
