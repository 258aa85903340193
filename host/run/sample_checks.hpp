// Inputs that would make the mathematics meaningless.
#pragma once

#include <string>

#include "kernels/backend.hpp"
#include "kernels/host_matrix.hpp"

namespace widedeq {

/// Throws Failure (bad_data), naming the sample, when a column of `inputs` is all zeros (its
/// equilibrium is zero, a relative residual has no meaning, and the kernel is singular), or so
/// small that squares of what its equilibrium is to be known to leave the range of the precision's
/// numbers. The first column is called sample `first`.
void refuse_small_samples(const HostMatrix& inputs, Precision precision, const std::string& where,
                          Index first = 0);

/// "samples 3 and 17 are the same ..." for the first two parallel columns, or "".
std::string describe_duplicate(const HostMatrix& inputs);

}  // namespace widedeq
