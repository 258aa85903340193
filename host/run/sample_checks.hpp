// Inputs that would make the mathematics meaningless.
#pragma once

#include <string>

#include "kernels/host_matrix.hpp"

namespace widedeq {

/// Throws Failure (bad_data), naming the sample, when a column of `inputs` is all zeros: its
/// equilibrium is zero, a relative residual has no meaning, and the kernel is singular.
void refuse_zero_samples(const HostMatrix& inputs, const std::string& where);

/// "samples 3 and 17 are the same ..." for the first two parallel columns, or "".
std::string describe_duplicate(const HostMatrix& inputs);

}  // namespace widedeq
