// Repeating sweeps until kernels say that all is done, without asking the host in between.
//
// Products cost by the columns multiplied, and columns stop one by one. So an iteration goes
// through size classes, column_classes() of algorithm.hpp: sweeps of all n columns while many are
// open, then, packed, sweeps of 3/4 n, n/2 and n/4. A class left is never entered again.
//
//   for every class:  while (running and more columns open than the next class holds) sweep;
//                     pack
//
// By a graph: that program itself is captured once, every `while` a conditional WHILE node whose
// body is a sweep of the class's columns, and the device runs it alone. By the host: sweeps are
// enqueued a few at a time, and the host looks at the progress after each few; the reference for
// the graph, and what there is where graphs have no conditional nodes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/context.hpp"
#include "kernels/cuda/progress.hpp"

namespace widedeq::cuda {

/// How a captured sweep is repeated. The last kernel of a sweep hands it to repeat_sweep() of
/// loop.cuh once it has written the progress; a kernel's argument like any other.
struct Repeat {
  cudaGraphConditionalHandle handle = 0;
  std::int32_t in_graph = 0;    // 0: the host repeats, the handle means nothing
  std::int32_t next_class = 0;  // its columns, 0 after the last: go on while more are open
};

/// Doubles in device memory.
struct Row {
  const double* data = nullptr;
  Index count = 0;
};

/// Rows that the host will want to know after a solve; see Context::columns_seen().
struct ColumnRows {
  const double* residual = nullptr;  // of the state
  const double* size = nullptr;      // of the state
  Index count = 0;                   // of either
  Row extra = {};                    // whatever else it is that the caller is after
};

/// What a loop is made of. No part may allocate, wait, or use memory that a later call may move;
/// all enqueue what they do on `stream`.
struct SweepBody {
  /// A sweep of the places 0 .. columns - 1 of the packed order. Kernels return at once where
  /// progress->running is 0; the last one updates *progress and calls repeat_sweep().
  std::function<void(cudaStream_t stream, Index columns, const Repeat& repeat)> sweep;
  /// Packs the open columns, at most `columns` places being in use, running or not. Does next to
  /// nothing where no place is to be moved.
  std::function<void(cudaStream_t stream, Index columns)> pack;
  ColumnRows rows = {};
  /// Makes rows.extra, after a graph. Where the host repeats the sweeps it would not know which
  /// look is the last: then there are no extra ones.
  std::function<void(cudaStream_t stream)> make_extra = {};
};

/// Everything a captured sweep has in it that may differ from another one's: addresses, sizes,
/// scalars. What changes from call to call had better be read from memory (see Progress).
using SweepKey = std::vector<std::uint64_t>;

enum class LoopKind : std::uint8_t { host, graph };

class Loop {
 public:
  explicit Loop(LoopKind kind);
  ~Loop();

  /// Sets *progress (device memory) to `start`, sweeps on from there until progress->running is 0,
  /// packs, and returns how far it has come. start.open of `count` columns are open, and packed;
  /// where start.running is 0 nothing is done. Waits for the stream once (graph) or every few
  /// sweeps (host).
  Progress run(Context& context, Progress* progress, const Progress& start, Index count,
               const SweepKey& key, const SweepBody& body);

  /// The same from *progress as earlier kernels of the stream leave it, which the host need not
  /// know. (By the host it must: it waits once more.)
  Progress go_on(Context& context, Progress* progress, Index count, const SweepKey& key,
                 const SweepBody& body);

  LoopKind kind() const { return kind_; }

 private:
  struct Graphs;
  LoopKind kind_;
  std::unique_ptr<Graphs> graphs_;
};

/// Enqueues: *progress = value.
void set_progress(cudaStream_t stream, Progress* progress, const Progress& value);

/// *progress when the stream has come so far; `rows` come along, into context.columns_seen().
/// Synchronises.
Progress read_progress(Context& context, const Progress* progress, const ColumnRows& rows = {});

/// Whether LoopKind::graph works on this device: a small loop is captured, run and checked. An
/// empty string or a reason. Leaves no error behind.
std::string why_not_graphs(Context& context);

}  // namespace widedeq::cuda
