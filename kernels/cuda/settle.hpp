// Settling the residual plane on a device; see Backend::settle and unsettled.
#pragma once

#include "kernels/backend.hpp"
#include "kernels/cuda/context.hpp"

namespace widedeq::cuda {

SettleStatus settle(Context& context, SweepState& state, const Sweep& sweep,
                    const DigitLimits& limits);
double unsettled(Context& context, const SweepState& state);

}  // namespace widedeq::cuda
