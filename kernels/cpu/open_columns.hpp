// The columns an iteration has not stopped, and their increments, which lie packed.
#pragma once

#include <algorithm>
#include <cmath>

#include "kernels/stage_checks.hpp"

namespace widedeq::cpu {

/// What a pass over a column's rows sums up, and what follows from it.
struct ColumnNorms {
  double missing = 0.0;  // ||d||^2, d = f(P) - Zhat
  double applied = 0.0;  // ||Zhat||^2
  double largest = 0.0;  // max |d|

  double step() const { return std::sqrt(missing); }
  double size() const { return std::sqrt(applied); }
  /// ||d|| / ||Zhat||. With Zhat = 0 there is nothing to be relative to but the step itself.
  double residual() const {
    return missing == 0.0 ? 0.0 : step() / std::sqrt(applied > 0.0 ? applied : missing);
  }
  bool is_finite() const { return std::isfinite(missing) && std::isfinite(applied); }
  bool is_within(double tolerance) const { return missing <= tolerance * tolerance * applied; }
};

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
