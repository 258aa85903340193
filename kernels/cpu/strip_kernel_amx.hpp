// Strips by AMX: tiles of 16 x 64 bytes, 16,384 multiplications in one instruction.
#pragma once

#include "kernels/cpu/strip_kernel.hpp"

namespace widedeq::cpu {

/// Whether this processor has AMX-INT8 and the operating system lets this process use it (Linux
/// grants its large registers on request).
bool has_amx();

extern const StripKernel amx_kernel;

}  // namespace widedeq::cpu
