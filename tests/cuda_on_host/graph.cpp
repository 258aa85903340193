// Graphs: captured from streams, with conditional nodes; see machine.hpp.
//
// Nodes run in an order drawn at random among those that their dependencies allow, so that a
// dependency that was forgotten shows.
#include <algorithm>
#include <map>

#include "tests/cuda_on_host/machine.hpp"
#include "tests/cuda_on_host/random_order.hpp"

struct CUgraph_st {
  cudaGraph_t parent = nullptr;  // the graph of whose conditional node it is a body
  std::vector<std::unique_ptr<CUgraphNode_st>> nodes;
  std::vector<cudaGraphConditionalHandle> handles;
  bool captured = false;  // a stream is adding to it

  bool is_in(cudaGraph_t graph) const {
    return this == graph || (parent != nullptr && parent->is_in(graph));
  }
};

struct CUgraphNode_st {
  std::vector<cudaGraphNode_t> after;  // of the same graph
  // One of these two: what it does, or what it decides about.
  cuda_on_host::Work work;
  cudaConditionalNodeParams conditional{};
  std::vector<std::unique_ptr<CUgraph_st>> bodies;
  std::vector<cudaGraph_t> body_handles;  // the array that conditional.phGraph_out points to
};

namespace cuda_on_host {
namespace {

constexpr int most_rounds = 1'000'000;  // of a while loop, which would go on for ever

/// The value that a conditional node is decided by.
struct Condition {
  unsigned value = ~0U;  // undefined unless there is a default, or a kernel sets it
  unsigned default_value = 0;
  bool has_default = false;
};

std::map<cudaGraphConditionalHandle, Condition>& conditions() {
  static auto& all = *new std::map<cudaGraphConditionalHandle, Condition>;
  return all;
}

/// A graph as it was when it was instantiated.
struct Plan {
  struct Step {
    Work work;
    cudaConditionalNodeParams conditional{};
    std::vector<Plan> bodies;
    std::vector<std::size_t> before;  // steps that wait for this one
    std::size_t waits_for = 0;        // how many steps it waits for
  };
  std::vector<Step> steps;
  std::vector<cudaGraphConditionalHandle> handles;

  void run() const;
};

Plan plan_of(const CUgraph_st& graph) {
  Plan plan;
  plan.handles = graph.handles;
  std::map<const CUgraphNode_st*, std::size_t> places;
  for (const auto& node : graph.nodes) {
    const std::size_t place = plan.steps.size();
    places[node.get()] = place;
    Plan::Step& step = plan.steps.emplace_back();
    step.work = node->work;
    step.conditional = node->conditional;
    for (const auto& body : node->bodies)
      step.bodies.push_back(plan_of(*body));
    step.waits_for = node->after.size();
    for (const cudaGraphNode_t earlier : node->after)
      plan.steps[places.at(earlier)].before.push_back(place);
  }
  return plan;
}

void decide(const Plan::Step& step) {
  const unsigned& value = conditions().at(step.conditional.handle).value;
  switch (step.conditional.type) {
    case cudaGraphCondTypeIf:
      if (value != 0) {
        step.bodies[0].run();
      } else if (step.bodies.size() > 1) {
        step.bodies[1].run();
      }
      return;
    case cudaGraphCondTypeWhile:
      for (int round = 0; value != 0; ++round) {
        if (round == most_rounds) fail("a while loop of a graph does not end");
        step.bodies[0].run();
      }
      return;
    case cudaGraphCondTypeSwitch:
      if (value < step.bodies.size()) step.bodies[value].run();
      return;
  }
}

void Plan::run() const {
  static RandomOrder random;
  std::vector<std::size_t> waiting, ready;
  for (std::size_t place = 0; place < steps.size(); ++place) {
    waiting.push_back(steps[place].waits_for);
    if (waiting.back() == 0) ready.push_back(place);
  }
  while (!ready.empty()) {
    std::swap(ready[random.below(ready.size())], ready.back());
    const Step& step = steps[ready.back()];
    ready.pop_back();
    if (step.work) {
      step.work();
    } else {
      decide(step);
    }
    for (const std::size_t next : step.before)
      if (--waiting[next] == 0) ready.push_back(next);
  }
}

/// Defaults are applied when the graph is launched, also those of the loops inside.
void reset(const Plan& plan) {
  for (const cudaGraphConditionalHandle handle : plan.handles) {
    Condition& condition = conditions()[handle];
    condition.value = condition.has_default ? condition.default_value : ~0U;
  }
  for (const Plan::Step& step : plan.steps)
    for (const Plan& body : step.bodies)
      reset(body);
}

cudaError_t begin_capture(cudaStream_t stream, cudaGraph_t graph,
                          const cudaGraphNode_t* dependencies, std::size_t count,
                          cudaStreamCaptureMode mode) {
  stream->capture_mode = mode;
  stream->capture_thread = std::this_thread::get_id();
  stream->capture = graph;
  stream->capture_after.assign(dependencies, dependencies + count);
  graph->captured = true;
  return cudaSuccess;
}

}  // namespace

bool capture_forbids() {
  return std::ranges::any_of(machine().streams, [](cudaStream_t stream) {
    const bool mine = stream->capture_thread == std::this_thread::get_id();
    return stream->capture != nullptr &&
           (stream->capture_mode == cudaStreamCaptureModeGlobal ||
            (stream->capture_mode == cudaStreamCaptureModeThreadLocal && mine));
  });
}

cudaError_t add_to_capture(cudaStream_t stream, Kind kind, Work work) {
  if (kind == Kind::event || kind == Kind::memory || kind == Kind::graph)
    return cudaErrorStreamCaptureUnsupported;
  auto node = std::make_unique<CUgraphNode_st>();
  node->after = stream->capture_after;
  node->work = std::move(work);
  stream->capture_after = {node.get()};
  stream->capture->nodes.push_back(std::move(node));
  return cudaSuccess;
}

void set_condition(cudaGraphConditionalHandle handle, unsigned value) {
  const auto found = conditions().find(handle);
  if (found == conditions().end()) fail("a condition is set that no graph has");
  found->second.value = value;
}

}  // namespace cuda_on_host

struct CUgraphExec_st {
  std::shared_ptr<const cuda_on_host::Plan> plan;
};

using cuda_on_host::Lock;
using cuda_on_host::machine;
using cuda_on_host::noted;

cudaError_t cudaGraphCreate(cudaGraph_t* graph, unsigned) {
  const Lock lock(machine().mutex);
  *graph = new CUgraph_st;
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  const Lock lock(machine().mutex);
  if (graph->parent != nullptr) cuda_on_host::fail("the body of a conditional node is destroyed");
  if (graph->captured) cuda_on_host::fail("a graph is destroyed while it is captured");
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphConditionalHandleCreate(cudaGraphConditionalHandle* handle, cudaGraph_t graph,
                                             unsigned default_value, unsigned flags) {
  const Lock lock(machine().mutex);
  if (!machine().settings.conditional_graphs) return noted(cudaErrorNotSupported);
  *handle = cuda_on_host::conditions().size() + 1;
  cuda_on_host::conditions()[*handle] = {.default_value = default_value,
                                         .has_default = flags == cudaGraphCondAssignDefault};
  graph->handles.push_back(*handle);
  return cudaSuccess;
}

cudaError_t cudaGraphAddNode(cudaGraphNode_t* node, cudaGraph_t graph,
                             const cudaGraphNode_t* dependencies, const cudaGraphEdgeData*,
                             std::size_t count, cudaGraphNodeParams* parameters) {
  const Lock lock(machine().mutex);
  if (!machine().settings.conditional_graphs) return noted(cudaErrorNotSupported);
  if (parameters->type != cudaGraphNodeTypeConditional)
    cuda_on_host::fail("only conditional nodes are added so here, all others by capture");
  cudaConditionalNodeParams& conditional = parameters->conditional;
  const bool right_size = conditional.type == cudaGraphCondTypeIf      ? conditional.size <= 2
                          : conditional.type == cudaGraphCondTypeWhile ? conditional.size == 1
                                                                       : true;
  if (conditional.size == 0 || !right_size) return noted(cudaErrorInvalidValue);
  // The handle is of this graph or of one around it.
  bool known = false;
  for (cudaGraph_t around = graph; around != nullptr; around = around->parent)
    known = known || std::ranges::count(around->handles, conditional.handle) > 0;
  if (!known) return noted(cudaErrorInvalidValue);

  auto made = std::make_unique<CUgraphNode_st>();
  made->after.assign(dependencies, dependencies + count);
  for (unsigned i = 0; i < conditional.size; ++i) {
    made->bodies.push_back(std::make_unique<CUgraph_st>());
    made->bodies.back()->parent = graph;
    made->body_handles.push_back(made->bodies.back().get());
  }
  conditional.phGraph_out = made->body_handles.data();
  made->conditional = conditional;
  *node = made.get();
  graph->nodes.push_back(std::move(made));
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long flags) {
  const Lock lock(machine().mutex);
  if (flags != 0 || graph->captured || graph->parent != nullptr)
    return noted(cudaErrorInvalidValue);
  *executable =
      new CUgraphExec_st{std::make_shared<const cuda_on_host::Plan>(cuda_on_host::plan_of(*graph))};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  const Lock lock(machine().mutex);
  return noted(enqueue(stream, cuda_on_host::Kind::graph, [plan = executable->plan] {
    ++machine().counters.graph_launches;
    cuda_on_host::reset(*plan);
    plan->run();
  }));
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  const Lock lock(machine().mutex);
  delete executable;  // launches that are enqueued keep the plan
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  const Lock lock(machine().mutex);
  if (!cuda_on_host::is_stream(stream)) return noted(cudaErrorInvalidResourceHandle);
  if (stream->capture != nullptr) return noted(cudaErrorInvalidValue);
  return cuda_on_host::begin_capture(stream, new CUgraph_st, nullptr, 0, mode);
}

cudaError_t cudaStreamBeginCaptureToGraph(cudaStream_t stream, cudaGraph_t graph,
                                          const cudaGraphNode_t* dependencies,
                                          const cudaGraphEdgeData*, std::size_t count,
                                          cudaStreamCaptureMode mode) {
  const Lock lock(machine().mutex);
  if (!machine().settings.conditional_graphs) return noted(cudaErrorNotSupported);
  if (!cuda_on_host::is_stream(stream)) return noted(cudaErrorInvalidResourceHandle);
  if (stream->capture != nullptr || graph->captured) return noted(cudaErrorInvalidValue);
  return cuda_on_host::begin_capture(stream, graph, dependencies, count, mode);
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const Lock lock(machine().mutex);
  if (!cuda_on_host::is_stream(stream)) return noted(cudaErrorInvalidResourceHandle);
  if (stream->capture == nullptr) return noted(cudaErrorInvalidValue);
  if (graph != nullptr) *graph = stream->capture;
  stream->capture->captured = false;
  stream->capture = nullptr;
  stream->capture_after.clear();
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  return cudaStreamGetCaptureInfo(stream, status);
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status,
                                     unsigned long long* id, cudaGraph_t* graph,
                                     const cudaGraphNode_t** dependencies,
                                     const cudaGraphEdgeData** dependency_data,
                                     std::size_t* count) {
  const Lock lock(machine().mutex);
  if (!cuda_on_host::is_stream(stream)) return noted(cudaErrorInvalidResourceHandle);
  const bool active = stream->capture != nullptr;
  *status = active ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  if (!active) return cudaSuccess;
  if (id != nullptr) *id = reinterpret_cast<std::uintptr_t>(stream->capture);
  if (graph != nullptr) *graph = stream->capture;
  if (dependencies != nullptr) *dependencies = stream->capture_after.data();
  if (dependency_data != nullptr) *dependency_data = nullptr;
  if (count != nullptr) *count = stream->capture_after.size();
  return cudaSuccess;
}

cudaError_t cudaStreamUpdateCaptureDependencies(cudaStream_t stream, cudaGraphNode_t* dependencies,
                                                const cudaGraphEdgeData*, std::size_t count,
                                                unsigned flags) {
  const Lock lock(machine().mutex);
  if (!cuda_on_host::is_stream(stream)) return noted(cudaErrorInvalidResourceHandle);
  if (stream->capture == nullptr) return noted(cudaErrorInvalidValue);
  if (flags == cudaStreamSetCaptureDependencies) stream->capture_after.clear();
  stream->capture_after.insert(stream->capture_after.end(), dependencies, dependencies + count);
  return cudaSuccess;
}
