// Sweeps of the fixed-point iteration on the CPU; see Backend::measure, predict,
// note_response and iterate.
#pragma once

#include "kernels/backend.hpp"
#include "kernels/cpu/workspace.hpp"

namespace widedeq::cpu {

SweepStatus measure(SweepState& state, const Sweep& sweep, bool starting);
bool predict(SweepState& state, const Sweep& sweep, Block response);
void note_response(SweepState& state, Block response);
SweepStatus iterate(SweepState& state, const Sweep& sweep, int most, Workspace& workspace);

}  // namespace widedeq::cpu
