// P from scratch on the CPU; see Backend::rebuild.
#pragma once

#include "kernels/backend.hpp"

namespace widedeq::cpu {

void rebuild(SweepState& state, const Sweep& sweep, const WeightView& A, ConstBlock c);

}  // namespace widedeq::cpu
