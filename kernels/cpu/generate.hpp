// Random matrices, and the split of given ones; see Backend::generate_* and split.
#pragma once

#include "kernels/backend.hpp"

namespace widedeq::cpu {

void generate_lattice(Block out, std::uint64_t seed, Tensor tensor);
void generate_gaussian(Block out, std::uint64_t seed, Tensor tensor);
Split split(Block change, Block base);

}  // namespace widedeq::cpu
