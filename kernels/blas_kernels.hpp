// Whether OpenBLAS uses what the processor has.
//
// OpenBLAS picks its kernels when it is loaded, by the processor's model number. A processor that
// is newer than the library gets those of 2004, without AVX: Debian 12's 0.3.21 runs "Prescott" on
// Emerald Rapids. OPENBLAS_CORETYPE in the environment, set before the program starts, names
// others.
#pragma once

#include <string>

namespace widedeq {

/// What the processor has, as far as OpenBLAS has kernels for it.
struct VectorUnits {
  bool avx2 = false;    // with fused multiply-adds
  bool avx512 = false;  // with what server processors have of it: F, CD, BW, DQ, VL
};

/// The units of this processor; none where it is not x86.
VectorUnits vector_units();

/// The kernels OpenBLAS runs in this process, by its name for them: "SkylakeX".
std::string running_blas_kernels();

/// The name of kernels that suit the units, where the `running` ones are from before AVX2 and such
/// are at hand; empty where OpenBLAS has chosen well. Names that are not known here are trusted.
std::string better_blas_kernels(const std::string& running, const VectorUnits& units);

}  // namespace widedeq
