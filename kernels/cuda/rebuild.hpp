// P from scratch on a device; see Backend::rebuild.
#pragma once

#include "kernels/backend.hpp"
#include "kernels/cuda/context.hpp"

namespace widedeq::cuda {

void rebuild(Context& context, SweepState& state, const Sweep& sweep, const WeightView& A,
             ConstBlock c);

}  // namespace widedeq::cuda
