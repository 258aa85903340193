// Settling the residual plane on a device; see Backend::settle and unsettled.
#pragma once

#include "kernels/backend.hpp"
#include "kernels/cuda/context.hpp"
#include "kernels/cuda/loop.hpp"

namespace widedeq::cuda {

std::vector<double> unsettled(Context& context, const SweepState& state);
double settle(Context& context, SweepState& state, const Sweep& sweep,
              const SettledColumns& columns);

/// Settles without waiting for it, but for the first products of a shape. Returns the gains of the
/// columns, in their order, for whoever waits next to bring along: the largest of these is what
/// settle() returns. Until then nobody may write to pinned memory, where the order waits for its
/// transfer, nor use Scratch::settlings.
Row enqueue_settling(Context& context, SweepState& state, const Sweep& sweep,
                     const SettledColumns& columns);
double largest_gain(const std::vector<double>& gains);

/// Has a loop bring along what unsettled() would say after it, where A has a plane. `moves` is
/// device memory for a double each column.
void bring_moves(SweepBody& body, const SweepState& state, const Sweep& sweep, double* moves);

}  // namespace widedeq::cuda
