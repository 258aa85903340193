// Settling the residual plane on the CPU; see Backend::settle and unsettled.
#pragma once

#include "kernels/backend.hpp"
#include "kernels/cpu/workspace.hpp"

namespace widedeq::cpu {

SettleStatus settle(SweepState& state, const Sweep& sweep, const DigitLimits& limits,
                    Workspace& workspace);
double unsettled(const SweepState& state);

}  // namespace widedeq::cpu
