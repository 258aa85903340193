// Random matrices, and the split of given ones; see Backend::generate_* and split.
#pragma once

#include "kernels/backend.hpp"
#include "kernels/cuda/context.hpp"

namespace widedeq::cuda {

void generate_lattice(Context& context, Block out, std::uint64_t seed, Tensor tensor);
void generate_gaussian(Context& context, Block out, std::uint64_t seed, Tensor tensor);
Split split(Context& context, Block change, Block base);

}  // namespace widedeq::cuda
