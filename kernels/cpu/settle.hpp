// Settling the residual plane, and rebuilding P, on the CPU; see Backend::settle and rebuild.
#pragma once

#include "kernels/backend.hpp"
#include "kernels/cpu/workspace.hpp"

namespace widedeq::cpu {

SettleStatus settle(SweepState& state, const Sweep& sweep, int digits, Workspace& workspace);
double rebuild(SweepState& state, const Sweep& sweep, ConstBlock c, Workspace& workspace);

}  // namespace widedeq::cpu
