// The guess that a warm solve starts with, on the CPU; see Backend::predict.
#pragma once

#include "kernels/backend.hpp"

namespace widedeq::cpu {

bool predict(SweepState& state, const Sweep& sweep, const Extrapolation& by);

}  // namespace widedeq::cpu
