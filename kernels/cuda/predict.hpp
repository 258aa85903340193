// The guess that a warm solve starts with, on a device; see Backend::predict.
#pragma once

#include "kernels/backend.hpp"
#include "kernels/cuda/context.hpp"

namespace widedeq::cuda {

bool predict(Context& context, SweepState& state, const Sweep& sweep, const Extrapolation& by);

}  // namespace widedeq::cuda
