// Strips by AVX512-VNNI: vpdpbusd, 16 rows by 4 k in one instruction.
#pragma once

#include "kernels/cpu/strip_kernel.hpp"

namespace widedeq::cpu {

/// Whether this processor and its operating system let vnni_kernel run.
bool has_vnni();

extern const StripKernel vnni_kernel;

}  // namespace widedeq::cpu
