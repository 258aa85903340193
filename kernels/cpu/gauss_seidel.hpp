// Sweeps by row panels on the CPU; see Backend::measure and iterate.
#pragma once

#include "kernels/backend.hpp"
#include "kernels/cpu/workspace.hpp"

namespace widedeq::cpu {

/// Backend::measure and iterate for operands of several panels.
SweepStatus measure_panels(SweepState& state, const Sweep& sweep, bool starting);
SweepStatus iterate_panels(SweepState& state, const Sweep& sweep, int most, Workspace& workspace);

}  // namespace widedeq::cpu
