// Sweeps of the fixed-point iteration on the CPU; see Backend::measure and iterate.
#pragma once

#include "kernels/backend.hpp"
#include "kernels/cpu/workspace.hpp"

namespace widedeq::cpu {

SweepStatus measure(SweepState& state, const Sweep& sweep, bool starting);
SweepStatus iterate(SweepState& state, const Sweep& sweep, int most, Workspace& workspace);

}  // namespace widedeq::cpu
