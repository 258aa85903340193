// Settling the residual plane on the CPU; see Backend::settle.
#pragma once

#include "kernels/backend.hpp"
#include "kernels/cpu/workspace.hpp"

namespace widedeq::cpu {

SettleStatus settle(SweepState& state, const Sweep& sweep, int digits, Workspace& workspace);

}  // namespace widedeq::cpu
