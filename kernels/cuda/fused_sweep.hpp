// Product and pass of an int8 sweep in one launch: our own tensor-core kernel (fused_sweep.cuh).
#pragma once

#include <string>

#include "kernels/cuda/context.hpp"

namespace widedeq::cuda {

/// Why Multiplier::fused is not to be used on this device, or an empty string: a few sweeps are run
/// both ways and must give the same bits. Synchronises.
std::string why_not_fused(Context& context);

}  // namespace widedeq::cuda
