// The columns an iteration has not stopped, and their increments, which lie packed.
#pragma once

#include <algorithm>

#include "kernels/stage_checks.hpp"

namespace widedeq::cpu {

/// Marks the k-th open column as stopped; pack_open drops it.
inline void mark_stopped(std::int32_t* open, Index k) {
  open[k] = -1 - open[k];
}

/// Drops the stopped columns from the list, and their places from the packed increments, if those
/// are still to reach a row.
template <class Increment>
void pack_open(SweepState& state) {
  const auto pending = state.pending.block().as<Increment>();
  std::int32_t* open = state.open.block().as<std::int32_t>().data;
  const bool has_increments = state.pending_in != PendingIn::no_rows;
  Index kept = 0;
  for (Index k = 0; k < state.open_count; ++k) {
    if (open[k] < 0) continue;
    if (kept != k) {
      if (has_increments) std::copy_n(pending.column(k), pending.rows, pending.column(kept));
      open[kept] = open[k];
    }
    ++kept;
  }
  state.open_count = kept;
}

}  // namespace widedeq::cpu
