// Settling the residual plane on the CPU; see Backend::settle and unsettled.
#pragma once

#include "kernels/backend.hpp"
#include "kernels/cpu/workspace.hpp"

namespace widedeq::cpu {

double settle(SweepState& state, const Sweep& sweep, const SettledColumns& columns,
              Workspace& workspace);
std::vector<double> unsettled(const SweepState& state);

}  // namespace widedeq::cpu
