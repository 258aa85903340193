// The columns an iteration has not stopped, and their increments, which lie packed.
//
// Place k of the packed order holds column open[k]. A column that stops is marked and keeps its
// place, with whatever increments it has left there: nobody reads their product. Packing drops such
// places; it is done when a loop leaves a size class and at its end (loop.hpp), since on a device
// it costs launches and products of a few columns less are hardly faster.
#pragma once

#include "kernels/backend.hpp"
#include "kernels/cuda/context.hpp"
#include "kernels/cuda/progress.hpp"

namespace widedeq::cuda {

/// Marks the column at place k as stopped.
WIDEDEQ_HOST_DEVICE inline void mark_stopped(std::int32_t* open, Index k) {
  open[k] = -1 - open[k];
}
WIDEDEQ_HOST_DEVICE inline bool has_stopped(std::int32_t column) {
  return column < 0;
}

/// What packing works on. Plain addresses, to be captured.
struct Packing {
  Progress* progress = nullptr;
  std::int32_t* open = nullptr;  // state.open
  std::int32_t* from = nullptr;  // as many: where the column at a place comes from
  Block pending;                 // state.pending
  void* spare = nullptr;         // of pending_bytes(state) or more, undefined between packings
};

/// Bytes of the increments of all columns in use.
std::size_t pending_bytes(const SweepState& state);

/// Enqueues: opens all `count` columns, column k at place k.
void open_all(cudaStream_t stream, std::int32_t* open, Index count);

/// Enqueues the packing of the first `columns` places: those in use are among them. Afterwards
/// progress->places == progress->open, and the open columns are in ascending order if they were
/// before. No place is in use twice, and nothing is moved where no column has stopped.
void pack_open(cudaStream_t stream, const Packing& packing, Index columns);

}  // namespace widedeq::cuda
