// A second start of the tool, where OpenBLAS has taken the processor for one of 2004.
#pragma once

namespace widedeq {

/// Starts the program anew, with OPENBLAS_CORETYPE set to kernels that use the processor, where
/// OpenBLAS runs much older ones (kernels/blas_kernels.hpp) and the user has not chosen: the
/// variable, once set, is left alone, whatever it says. It takes a hundredth of a second; an epoch
/// at 4096 x 1000 took 1.6 s without it and 0.9 s with it (Emerald Rapids, OpenBLAS 0.3.21).
/// Returns where there is nothing to gain, or no way to start again.
void restart_with_better_blas(char** arguments);

}  // namespace widedeq
