// The columns an iteration has not stopped, and their increments, which lie packed.
#pragma once

#include <algorithm>

#include "kernels/backend.hpp"

namespace widedeq::cpu {

/// Throws ShapeError unless A, P and the gate fit each other.
inline void check_sweep(const char* stage, const SweepState& state, const Sweep& sweep) {
  const Index m = state.P.rows();
  if (sweep.A.width != m)
    throw ShapeError(std::string(stage) + ": A is " + std::to_string(sweep.A.width) + " x " +
                     std::to_string(sweep.A.width) + ", P is " + shape(state.P.block()));
  if (sweep.epilogue == Epilogue::mask) expect_shape(stage, "gate", sweep.gate, m, state.count);
}

/// Whether the iteration is to be given up; see Sweep::hopeless_growth.
inline bool is_hopeless(const SweepStatus& status, const Sweep& sweep) {
  return status.sweeps > 0 && status.sweeps % growth_look == 0 &&
         status.worst_growth > sweep.hopeless_growth;
}

/// Marks the k-th open column as stopped; pack_open drops it.
inline void mark_stopped(std::int32_t* open, Index k) {
  open[k] = -1 - open[k];
}

/// Drops the stopped columns from the list, and their places from the packed increments.
template <class Increment>
void pack_open(SweepState& state) {
  const auto pending = state.pending.block().as<Increment>();
  std::int32_t* open = state.open.block().as<std::int32_t>().data;
  Index kept = 0;
  for (Index k = 0; k < state.open_count; ++k) {
    if (open[k] < 0) continue;
    if (kept != k) {
      std::copy_n(pending.column(k), pending.rows, pending.column(kept));
      open[kept] = open[k];
    }
    ++kept;
  }
  state.open_count = kept;
}

}  // namespace widedeq::cpu
