// Sweeps of the fixed-point iteration on a device; see Backend::measure and iterate.
#pragma once

#include "kernels/backend.hpp"
#include "kernels/cuda/context.hpp"
#include "kernels/cuda/loop.hpp"

namespace widedeq::cuda {

/// `extra` comes along, into context.columns_seen().
SweepStatus measure(Context& context, SweepState& state, const Sweep& sweep, bool starting,
                    const Row& extra = {});
SweepStatus iterate(Context& context, Loop& loop, SweepState& state, const Sweep& sweep, int most);
SweepStatus measure_and_iterate(Context& context, Loop& loop, SweepState& state, const Sweep& sweep,
                                bool starting, int most);

}  // namespace widedeq::cuda
