// Strips by AMX: tiles of 16 x 64 bytes, 16,384 multiplications in one instruction.
#pragma once

#include "kernels/cpu/strip_kernel.hpp"

namespace widedeq::cpu {

/// To be run where has_amx() says so.
extern const StripKernel amx_kernel;

}  // namespace widedeq::cpu
