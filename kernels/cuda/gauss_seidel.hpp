// Sweeps by row panels on a device; see Backend::measure and iterate.
#pragma once

#include "kernels/backend.hpp"
#include "kernels/cuda/algorithm.hpp"
#include "kernels/cuda/context.hpp"
#include "kernels/cuda/loop.hpp"

namespace widedeq::cuda {

/// Backend::measure, iterate and measure_and_iterate by algorithm.panels row panels, one or more.
/// All calls on a state from one measurement to the next take the same algorithm. `extra` comes
/// along, into context.columns_seen().
SweepStatus measure_panels(Context& context, const SweepAlgorithm& algorithm, SweepState& state,
                           const Sweep& sweep, bool starting, const Row& extra = {});
SweepStatus iterate_panels(Context& context, Loop& loop, const SweepAlgorithm& algorithm,
                           SweepState& state, const Sweep& sweep, int most);
SweepStatus measure_and_iterate_panels(Context& context, Loop& loop,
                                       const SweepAlgorithm& algorithm, SweepState& state,
                                       const Sweep& sweep, bool starting, int most);

}  // namespace widedeq::cuda
