// Repeating sweeps, by the host or by a graph; see loop.hpp.
//
// The graph, for n columns and classes of n_0 = n > n_1 > ... columns:
//
//   open class 0 -> WHILE { sweep of n_0 columns } -> pack -> open class 1 -> WHILE { ... n_1 } ->
//   ...
//
// Each WHILE node has a condition of its own. The kernel right before the node sets it first, from
// the progress, and the last kernel of every sweep in the body sets it again.
//
// From one round of a body to the next an H200 takes 12 us where it has three nodes and 34 where it
// has thirteen. So several sweeps in a body would save little; and those beyond the last one needed
// cost their products (tried: at 4096 x 1000 with four, and at 16384 x 1024 with two, all got
// slower).
#include "kernels/cuda/loop.cuh"

#include <algorithm>
#include <cstring>
#include <deque>
#include <type_traits>

#include "kernels/cuda/algorithm.hpp"
#include "kernels/cuda/generate.hpp"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/multiply.hpp"
#include "kernels/cuda/transfer.hpp"

namespace widedeq::cuda {
namespace {

/// Sweeps that the host enqueues before it looks: waiting costs about as much as a small sweep, and
/// the sweeps beyond the last one cost a product each.
constexpr int sweeps_at_once = 4;

/// Graphs kept ready: a training step runs a few kinds of sweeps, each on a few states.
constexpr std::size_t graphs_kept = 16;

__global__ void write_progress(Progress* progress, Progress value) {
  *progress = value;
}

__global__ void open_class(const Progress* progress, Repeat repeat) {
  repeat_sweep(repeat, *progress);
}

/// The end of a sweep of the self-test: counts.
__global__ void count_sweep(Progress* progress, Repeat repeat) {
  if (progress->running != 0) {
    ++progress->sweeps;
    progress->running = progress->sweeps < progress->most ? 1 : 0;
  }
  repeat_sweep(repeat, *progress);
}

/// The self-test's products: what the libraries do in a stream must do in a graph as well.
class TestProducts {
 public:
  static constexpr std::int32_t size = 64;

  explicit TestProducts(Context& context) : context_(context) {
    for (Matrix* matrix : {&A_, &B_, &C_})
      *matrix = context.allocate(Element::float32, size, size);
    for (Matrix* matrix : {&rows_, &q_})
      *matrix = context.allocate(Element::int8, size, size);
    sums_ = context.allocate(Element::int32, size, size);
    generate_gaussian(context, A_, 1, Tensor::probe);
    generate_gaussian(context, B_, 2, Tensor::probe);
    generate_lattice(context, rows_, 1, Tensor::probe);
    generate_lattice(context, q_, 2, Tensor::probe);
    try {
      prepare_multiply_integers(context, rows(), q(), sums());
    } catch (const DeviceError&) {
      has_integers_ = false;  // mixed precision will not run, with a reason of its own
    }
  }

  void enqueue(cudaStream_t stream) {
    gemm<float>(context_, Transpose::no, Transpose::no, 1.0F, A_.block().as<const float>(),
                B_.block().as<const float>(), 0.0F, C_.block().as<float>(), stream);
    if (has_integers_) multiply_integers(context_, rows(), q(), sums(), stream);
  }
  void clear() {
    fill(context_, C_, 0.0);
    fill(context_, sums_, 0.0);
  }
  /// Both results. Synchronises.
  std::vector<std::byte> results() {
    constexpr std::size_t bytes = std::size_t{4} * size * size;
    std::vector<std::byte> both(2 * bytes);
    save(context_, C_, std::span(both).first(bytes));
    save(context_, sums_, std::span(both).last(bytes));
    return both;
  }

 private:
  MatrixView<const std::int8_t> rows() const { return rows_.block().as<const std::int8_t>(); }
  MatrixView<const std::int8_t> q() const { return q_.block().as<const std::int8_t>(); }
  MatrixView<std::int32_t> sums() { return sums_.block().as<std::int32_t>(); }

  Context& context_;
  Matrix A_, B_, C_, rows_, q_, sums_;
  bool has_integers_ = true;
};

/// Does nothing, after whatever comes before it.
__global__ void join() {}

struct DestroyGraph {
  void operator()(cudaGraph_t graph) const { (void)cudaGraphDestroy(graph); }
};
struct DestroyExecutable {
  void operator()(cudaGraphExec_t graph) const { (void)cudaGraphExecDestroy(graph); }
};
using Graph = std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, DestroyGraph>;
using Executable = std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, DestroyExecutable>;

/// A stream to capture on, not the context's: another thread may record an event on that one.
class CaptureStream {
 public:
  CaptureStream() {
    WIDEDEQ_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  }
  ~CaptureStream() { (void)cudaStreamDestroy(stream_); }
  CaptureStream(const CaptureStream&) = delete;
  CaptureStream& operator=(const CaptureStream&) = delete;

  /// Adds what work(stream) enqueues to `graph`, to run after the node `after` (null: at once).
  /// Returns the last node of it.
  template <class Work>
  cudaGraphNode_t capture(cudaGraph_t graph, cudaGraphNode_t after, const Work& work) {
    // Relaxed: other threads may allocate and wait meanwhile, and on this one the driver may load a
    // kernel or a library when it first meets it.
    WIDEDEQ_CUDA_CHECK(cudaStreamBeginCaptureToGraph(
        stream_, graph, &after, nullptr, after == nullptr ? 0 : 1, cudaStreamCaptureModeRelaxed));
    try {
      work(stream_);
      after = last_node(after);
    } catch (...) {
      (void)cudaStreamEndCapture(stream_, &graph);
      (void)cudaGetLastError();
      throw;
    }
    WIDEDEQ_CUDA_CHECK(cudaStreamEndCapture(stream_, &graph));
    return after;
  }

 private:
  /// The node that whatever is captured next would depend on.
  cudaGraphNode_t last_node(cudaGraphNode_t before) {
    cudaStreamCaptureStatus status{};
    const cudaGraphNode_t* nodes = nullptr;
    const cudaGraphEdgeData* edges = nullptr;
    std::size_t count = 0;
    WIDEDEQ_CUDA_CHECK(
        cudaStreamGetCaptureInfo(stream_, &status, nullptr, nullptr, &nodes, &edges, &count));
    if (count > 1) {  // a library's call may fork; our own kernels come one after another
      launch(stream_, {.blocks = dim3(1), .threads = 1}, join);
      return last_node(before);
    }
    return count == 0 ? before : nodes[0];
  }

  cudaStream_t stream_ = nullptr;
};

/// Adds a WHILE node after `after`; returns it and its body.
cudaGraphNode_t add_while(cudaGraph_t graph, cudaGraphNode_t after, const Repeat& repeat,
                          cudaGraph_t& body) {
  cudaGraphNodeParams parameters{};
  parameters.type = cudaGraphNodeTypeConditional;
  parameters.conditional.handle = repeat.handle;
  parameters.conditional.type = cudaGraphCondTypeWhile;
  parameters.conditional.size = 1;
  cudaGraphNode_t node = nullptr;
  WIDEDEQ_CUDA_CHECK(cudaGraphAddNode(&node, graph, &after, nullptr, 1, &parameters));
  body = parameters.conditional.phGraph_out[0];
  return node;
}

/// One size class: sweeps of `columns` columns while more than `next_class` are open.
struct Class {
  Index columns;
  std::int32_t next_class;
};

std::vector<Class> classes_of(Index count) {
  const std::vector<Index> columns = column_classes(count);
  std::vector<Class> classes;
  for (std::size_t c = 0; c < columns.size(); ++c)
    classes.push_back(
        {columns[c], c + 1 < columns.size() ? static_cast<std::int32_t>(columns[c + 1]) : 0});
  return classes;
}

Executable build(CaptureStream& stream, const Progress* progress, Index count,
                 const SweepBody& body) {
  cudaGraph_t made = nullptr;
  WIDEDEQ_CUDA_CHECK(cudaGraphCreate(&made, 0));
  const Graph graph(made);
  cudaGraphNode_t last = nullptr;
  for (const auto& [columns, next_class] : classes_of(count)) {
    Repeat repeat{.in_graph = 1, .next_class = next_class};
    WIDEDEQ_CUDA_CHECK(cudaGraphConditionalHandleCreate(&repeat.handle, graph.get(), 0,
                                                        cudaGraphCondAssignDefault));
    last = stream.capture(graph.get(), last, [&](cudaStream_t s) {
      launch(s, {.blocks = dim3(1), .threads = 1}, open_class, progress, repeat);
    });
    cudaGraph_t inside = nullptr;
    last = add_while(graph.get(), last, repeat, inside);
    stream.capture(inside, nullptr, [&](cudaStream_t s) { body.sweep(s, columns, repeat); });
    last = stream.capture(graph.get(), last, [&](cudaStream_t s) { body.pack(s, columns); });
  }
  cudaGraphExec_t executable = nullptr;
  WIDEDEQ_CUDA_CHECK(cudaGraphInstantiate(&executable, graph.get(), 0));
  return Executable(executable);
}

ColumnRows without_extra(ColumnRows rows) {
  rows.extra = {};
  return rows;
}

Progress run_by_host(Context& context, Progress* progress, const Progress& start, Index count,
                     const SweepBody& body) {
  const ColumnRows rows = without_extra(body.rows);
  Progress now = start;
  std::int32_t packed = start.open;  // columns when last packed
  for (const auto& [columns, next_class] : classes_of(count)) {
    while (goes_on(now, next_class)) {
      const int sweeps = std::min(sweeps_at_once, now.most - now.sweeps);
      for (int k = 0; k < sweeps; ++k)
        body.sweep(context.stream(), columns, {.in_graph = 0, .next_class = next_class});
      now = read_progress(context, progress, rows);
    }
    if (now.open != packed) body.pack(context.stream(), columns);
    packed = now.open;
  }
  return now;
}

}  // namespace

struct Loop::Graphs {
  struct Entry {
    const Progress* progress;
    Index count;
    SweepKey key;
    Executable graph;
  };

  /// The graph for these arguments, built where there is none.
  cudaGraphExec_t get(const Progress* progress, Index count, const SweepKey& key,
                      const SweepBody& body) {
    const auto found = std::ranges::find_if(entries, [&](const Entry& entry) {
      return entry.progress == progress && entry.count == count && entry.key == key;
    });
    if (found != entries.end()) return found->graph.get();
    // None is running now: run() waits for the one it has started.
    const std::lock_guard lock(capture_mutex());
    if (entries.size() == graphs_kept) entries.pop_front();
    entries.push_back({progress, count, key, build(stream, progress, count, body)});
    return entries.back().graph.get();
  }

  CaptureStream stream;
  std::deque<Entry> entries;  // the oldest first
};

Loop::Loop(LoopKind kind) : kind_(kind) {}
Loop::~Loop() = default;

Progress Loop::run(Context& context, Progress* progress, const Progress& start, Index count,
                   const SweepKey& key, const SweepBody& body) {
  if (start.running == 0) return start;
  set_progress(context.stream(), progress, start);
  if (kind_ == LoopKind::host) return run_by_host(context, progress, start, count, body);
  return go_on(context, progress, count, key, body);
}

Progress Loop::go_on(Context& context, Progress* progress, Index count, const SweepKey& key,
                     const SweepBody& body) {
  if (kind_ == LoopKind::host)
    return run_by_host(context, progress,
                       read_progress(context, progress, without_extra(body.rows)), count, body);
  if (!graphs_) graphs_ = std::make_unique<Graphs>();
  WIDEDEQ_CUDA_CHECK(cudaGraphLaunch(graphs_->get(progress, count, key, body), context.stream()));
  if (body.make_extra) body.make_extra(context.stream());
  return read_progress(context, progress, body.rows);
}

void set_progress(cudaStream_t stream, Progress* progress, const Progress& value) {
  launch(stream, {.blocks = dim3(1), .threads = 1}, write_progress, progress, value);
}

Progress read_progress(Context& context, const Progress* progress, const ColumnRows& rows) {
  const auto count = static_cast<std::size_t>(rows.count);
  const auto extra_count = static_cast<std::size_t>(rows.extra.count);
  // Progress first, for it is no larger than so many doubles; then the rows.
  constexpr std::size_t first = 32;
  static_assert(sizeof(Progress) <= first * sizeof(double));
  auto* here = context.pinned<double>(first + 2 * count + extra_count);
  const auto fetch = [&](double* to, const void* from, std::size_t bytes) {
    if (bytes > 0)
      WIDEDEQ_CUDA_CHECK(
          cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, context.stream()));
  };
  fetch(here, progress, sizeof(Progress));
  double* const residuals = here + first;
  double* const sizes = residuals + count;
  double* const extra = sizes + count;
  fetch(residuals, rows.residual, count * sizeof(double));
  fetch(sizes, rows.size, count * sizeof(double));
  fetch(extra, rows.extra.data, extra_count * sizeof(double));
  context.synchronize();
  context.columns_seen() = {
      rows.residual, {residuals, sizes}, {sizes, extra}, {extra, extra + extra_count}};
  Progress now;
  std::memcpy(static_cast<void*>(&now), here, sizeof now);
  return now;
}

std::string why_not_graphs(Context& context) {
  constexpr int sweeps = 5;
  try {
    TestProducts products(context);
    products.enqueue(context.stream());
    const std::vector<std::byte> wanted = products.results();
    products.clear();

    auto* progress = context.scratch<Progress>(Scratch::sums, 1);
    Loop loop(LoopKind::graph);
    const SweepBody body{.sweep =
                             [&](cudaStream_t stream, Index, const Repeat& repeat) {
                               products.enqueue(stream);
                               launch(stream, {.blocks = dim3(1), .threads = 1}, count_sweep,
                                      progress, repeat);
                             },
                         .pack = [](cudaStream_t, Index) {}};
    const Progress start{.running = 1, .open = TestProducts::size, .most = sweeps};
    const Progress end = loop.run(context, progress, start, TestProducts::size, {}, body);
    if (end.sweeps != sweeps)
      return "a loop of " + std::to_string(sweeps) + " rounds made " + std::to_string(end.sweeps);
    if (products.results() != wanted) return "products in a loop are not what they are outside";
    return {};
  } catch (const OutOfDeviceMemory&) {
    throw;  // says nothing of loops
  } catch (const DeviceError& error) {
    (void)cudaGetLastError();
    return error.what();
  }
}

}  // namespace widedeq::cuda
