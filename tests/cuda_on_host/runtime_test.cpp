// Streams, events, memory, graphs.
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <thread>

#include "kernels/cuda/device.cuh"
#include "tests/cuda_on_host/test_support.hpp"

namespace cuda_on_host::test {
namespace {

using RuntimeTest = CudaTest;

void write(int* to, int value) {
  *to = value;
}
void append(int* list, int value) {
  list[++list[0]] = value;
}  // list[0]: how many
void add_one(int* to) {
  ++*to;
}

/// Pinned memory of one int.
class Pinned {
 public:
  explicit Pinned(int value) {
    EXPECT_OK(cudaMallocHost(&data_, sizeof(int)));
    *data_ = value;
  }
  ~Pinned() { EXPECT_OK(cudaFreeHost(data_)); }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  int* data() const { return data_; }
  int value() const { return *data_; }

 private:
  int* data_ = nullptr;
};

// ---- streams

TEST_F(RuntimeTest, NothingRunsBeforeTheHostWaits) {
  const DeviceArray<int> there(stream_, 1);
  const Pinned here(5);
  launch(1, 1, write, there.data(), 7);
  EXPECT_OK(
      cudaMemcpyAsync(here.data(), there.data(), sizeof(int), cudaMemcpyDeviceToHost, stream_));
  const long waits = counters().synchronizations, launches = counters().launches;
  EXPECT_EQ(here.value(), 5);
  synchronize();
  EXPECT_EQ(here.value(), 7);
  EXPECT_EQ(counters().synchronizations, waits + 1);
  EXPECT_EQ(counters().launches, launches + 1);
}

TEST_F(RuntimeTest, PinnedMemoryIsReadWhenTheStreamComesToIt) {
  const DeviceArray<int> there(stream_, 1);
  const Pinned here(1);
  EXPECT_OK(
      cudaMemcpyAsync(there.data(), here.data(), sizeof(int), cudaMemcpyHostToDevice, stream_));
  *here.data() = 2;  // too early: the mistake is to be seen
  EXPECT_EQ(there.values().front(), 2);
}

TEST_F(RuntimeTest, PageableMemoryIsReadAtOnce) {
  const DeviceArray<int> there(stream_, 1);
  int here = 1;
  EXPECT_OK(cudaMemcpyAsync(there.data(), &here, sizeof(int), cudaMemcpyHostToDevice, stream_));
  here = 2;
  EXPECT_EQ(there.values().front(), 1);
}

TEST_F(RuntimeTest, AStreamWaitsForAnEventOfAnother) {
  cudaStream_t other = nullptr;
  cudaEvent_t event = nullptr;
  EXPECT_OK(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking));
  EXPECT_OK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  const DeviceArray<int> list(stream_, {0, 0, 0, 0});
  launch(1, 1, append, list.data(), 1);
  EXPECT_OK(cudaEventRecord(event, stream_));
  launch(1, 1, append, list.data(), 3);  // after the event: not waited for
  EXPECT_OK(cudaStreamWaitEvent(other, event));
  std::swap(stream_, other);
  launch(1, 1, append, list.data(), 2);
  synchronize();
  std::swap(stream_, other);
  EXPECT_EQ(list.values(), (std::vector{3, 1, 2, 3}));
  EXPECT_OK(cudaEventDestroy(event));
  EXPECT_OK(cudaStreamDestroy(other));
}

TEST_F(RuntimeTest, TheDefaultStreamIsNotUsed) {
  const DeviceArray<int> there(stream_, 1);
  EXPECT_EQ(cudaMemsetAsync(there.data(), 0, sizeof(int), nullptr), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST_F(RuntimeTest, TwoHostThreadsHaveStreamsOfTheirOwn) {
  const auto count_to = [](int* sum) {
    cudaStream_t stream = nullptr;
    EXPECT_OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    const DeviceArray<int> there(stream, {0});
    cudaLaunchConfig_t configuration;
    configuration.stream = stream;
    for (int i = 0; i < 200; ++i) {
      EXPECT_OK(cudaLaunchKernelEx(&configuration, add_one, there.data()));
      if (i % 3 == 0) {
        EXPECT_OK(cudaStreamSynchronize(stream));
      }
    }
    *sum = there.values().front();
    EXPECT_OK(cudaStreamDestroy(stream));
  };
  std::array<int, 2> sums{};
  std::thread other(count_to, &sums[0]);
  count_to(&sums[1]);
  other.join();
  EXPECT_EQ(sums, (std::array{200, 200}));
}

// ---- memory

TEST_F(RuntimeTest, FreshMemoryIsGarbage) {
  const DeviceArray<double> there(stream_, 3);
  for (const double value : there.values())
    EXPECT_TRUE(std::isnan(value));
}

TEST_F(RuntimeTest, TheHostCannotTouchTheDevicesMemory) {
  const DeviceArray<int> there(stream_, {1});
  synchronize();
  EXPECT_DEATH(*there.data() = 2, "");
  EXPECT_EQ(there.values().front(), 1);
}

TEST_F(RuntimeTest, FreedMemoryIsUsedAgain) {
  std::vector<void*> places(20);
  const auto fill = [&](std::size_t step) {
    for (std::size_t i = 0; i < places.size(); ++i)
      EXPECT_OK(cudaMalloc(&places[i], 1000 + step * i));
  };
  const auto clear = [&] {
    for (std::size_t i = 0; i < places.size(); ++i)
      EXPECT_OK(cudaFree(places[i * 7 % places.size()]));
  };
  fill(10);
  const auto [first, last] = std::minmax_element(places.begin(), places.end());
  void* const begin = *first;
  void* const end = *last;
  clear();
  fill(0);
  EXPECT_TRUE(
      std::ranges::all_of(places, [&](void* place) { return begin <= place && place <= end; }));
  clear();
}

TEST_F(RuntimeTest, MemoryIsLimited) {
  set_settings({.memory = 1000 + counters().allocated});
  void* large = nullptr;
  EXPECT_EQ(cudaMalloc(&large, 1001), cudaErrorMemoryAllocation);
  std::size_t free = 0, total = 0;
  EXPECT_OK(cudaMemGetInfo(&free, &total));
  EXPECT_EQ(free, 1000);
  // What the stream gives back is there again.
  for (int i = 0; i < 3; ++i) {
    EXPECT_OK(cudaMallocAsync(&large, 900, stream_));
    EXPECT_OK(cudaFreeAsync(large, stream_));
  }
}

TEST_F(RuntimeTest, CopiesStayInsideTheirMemory) {
  const DeviceArray<int> there(stream_, 4);
  std::array<int, 8> here{};
  EXPECT_DEATH((void)cudaMemcpyAsync(there.data(), here.data(), sizeof here, cudaMemcpyHostToDevice,
                                     stream_),
               "16 bytes beyond");
  EXPECT_DEATH(
      (void)cudaMemcpyAsync(there.data(), here.data(), 16, cudaMemcpyDeviceToHost, stream_),
      "says it is of kind 2");
}

TEST_F(RuntimeTest, RectanglesAreCopied) {
  const DeviceArray<int> there(stream_, {0, 0, 0, 0, 0, 0});
  const std::array<int, 6> here{1, 2, 3, 4, 5, 6};
  EXPECT_OK(cudaMemcpy2DAsync(there.data() + 1, 12, here.data(), 12, 8, 2, cudaMemcpyHostToDevice,
                              stream_));
  EXPECT_EQ(there.values(), (std::vector{0, 1, 2, 0, 4, 5}));
  EXPECT_OK(cudaMemset2DAsync(there.data(), 8, 0, 4, 3, stream_));
  EXPECT_EQ(there.values(), (std::vector{0, 1, 0, 0, 0, 5}));
}

// ---- the machine

TEST_F(RuntimeTest, ThereMayBeNoDevice) {
  int count = -1;
  set_settings({.devices = 0});
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorNoDevice);
  set_settings({.driver_version = 11080});
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorInsufficientDriver);
  set_settings({});
  EXPECT_OK(cudaGetDeviceCount(&count));
  EXPECT_EQ(count, 1);
}

// ---- graphs

using GraphTest = RuntimeTest;

/// Captures what `work` enqueues into `graph`.
template <class Work>
void capture(cudaStream_t stream, cudaGraph_t graph, cudaGraphNode_t after, Work work) {
  EXPECT_OK(cudaStreamBeginCaptureToGraph(stream, graph, &after, nullptr, after == nullptr ? 0 : 1,
                                          cudaStreamCaptureModeThreadLocal));
  work();
  EXPECT_OK(cudaStreamEndCapture(stream, &graph));
}

/// A conditional node; returns its bodies.
cudaGraph_t* add_conditional(cudaGraph_t graph, cudaGraphNode_t after,
                             cudaGraphConditionalHandle handle, cudaGraphConditionalNodeType type,
                             unsigned size) {
  cudaGraphNodeParams parameters{};
  parameters.type = cudaGraphNodeTypeConditional;
  parameters.conditional.handle = handle;
  parameters.conditional.type = type;
  parameters.conditional.size = size;
  cudaGraphNode_t node = nullptr;
  EXPECT_OK(cudaGraphAddNode(&node, graph, &after, nullptr, after == nullptr ? 0 : 1, &parameters));
  return parameters.conditional.phGraph_out;
}

void count_down(int* left, cudaGraphConditionalHandle handle) {
  --*left;
  widedeq::cuda::set_condition(handle, *left > 0 ? 1 : 0);
}

TEST_F(GraphTest, AWhileNodeRepeats) {
  const DeviceArray<int> left(stream_, {0}), rounds(stream_, {0});
  cudaGraph_t graph = nullptr;
  EXPECT_OK(cudaGraphCreate(&graph, 0));
  cudaGraphConditionalHandle handle = 0;
  EXPECT_OK(cudaGraphConditionalHandleCreate(&handle, graph, 1, cudaGraphCondAssignDefault));
  cudaGraph_t* body = add_conditional(graph, nullptr, handle, cudaGraphCondTypeWhile, 1);
  capture(stream_, body[0], nullptr, [&] {
    launch(1, 1, add_one, rounds.data());
    launch(1, 1, count_down, left.data(), handle);
  });
  cudaGraphExec_t executable = nullptr;
  EXPECT_OK(cudaGraphInstantiate(&executable, graph));
  EXPECT_OK(cudaGraphDestroy(graph));
  for (const int count : {5, 3}) {  // the default holds for each launch
    launch(1, 1, write, left.data(), count);
    EXPECT_OK(cudaGraphLaunch(executable, stream_));
  }
  EXPECT_OK(cudaGraphExecDestroy(executable));
  EXPECT_EQ(rounds.values().front(), 8);
}

void choose(cudaGraphConditionalHandle handle, const int* which) {
  widedeq::cuda::set_condition(handle, static_cast<unsigned>(*which));
}

TEST_F(GraphTest, SwitchAndIfNodesChoose) {
  const DeviceArray<int> which(stream_, {0}), chosen(stream_, {0});
  for (const auto type : {cudaGraphCondTypeSwitch, cudaGraphCondTypeIf}) {
    cudaGraph_t graph = nullptr;
    EXPECT_OK(cudaGraphCreate(&graph, 0));
    cudaGraphConditionalHandle handle = 0;
    EXPECT_OK(cudaGraphConditionalHandleCreate(&handle, graph));
    cudaGraphNode_t setter = nullptr;
    EXPECT_OK(cudaStreamBeginCaptureToGraph(stream_, graph, nullptr, nullptr, 0,
                                            cudaStreamCaptureModeRelaxed));
    launch(1, 1, choose, handle, static_cast<const int*>(which.data()));
    cudaStreamCaptureStatus status{};
    const cudaGraphNode_t* last = nullptr;
    std::size_t count = 0;
    EXPECT_OK(cudaStreamGetCaptureInfo(stream_, &status, nullptr, nullptr, &last, nullptr, &count));
    ASSERT_EQ(count, 1);
    setter = *last;
    EXPECT_OK(cudaStreamEndCapture(stream_, &graph));
    cudaGraph_t* bodies = add_conditional(graph, setter, handle, type, 2);
    for (int body = 0; body < 2; ++body)
      capture(stream_, bodies[body], nullptr,
              [&] { launch(1, 1, write, chosen.data(), 10 + body); });
    cudaGraphExec_t executable = nullptr;
    EXPECT_OK(cudaGraphInstantiate(&executable, graph));
    std::vector<int> found;
    for (const int value : {0, 1, 2}) {
      launch(1, 1, write, which.data(), value);
      launch(1, 1, write, chosen.data(), -1);
      EXPECT_OK(cudaGraphLaunch(executable, stream_));
      found.push_back(chosen.values().front());
    }
    EXPECT_EQ(found, type == cudaGraphCondTypeSwitch ? (std::vector{10, 11, -1})
                                                     : (std::vector{11, 10, 10}));
    EXPECT_OK(cudaGraphExecDestroy(executable));
    EXPECT_OK(cudaGraphDestroy(graph));
  }
}

TEST_F(GraphTest, NodesWithoutDependenciesRunInAnyOrder) {
  const DeviceArray<int> list(stream_, {0, 0, 0});
  cudaGraph_t graph = nullptr;
  EXPECT_OK(cudaGraphCreate(&graph, 0));
  for (const int value : {1, 2})
    capture(stream_, graph, nullptr, [&] { launch(1, 1, append, list.data(), value); });
  cudaGraphExec_t executable = nullptr;
  EXPECT_OK(cudaGraphInstantiate(&executable, graph));
  int forward = 0;
  for (int launches = 0; launches < 40; ++launches) {
    launch(1, 1, write, list.data(), 0);
    EXPECT_OK(cudaGraphLaunch(executable, stream_));
    forward += list.values()[1] == 1 ? 1 : 0;
  }
  EXPECT_GT(forward, 0);
  EXPECT_LT(forward, 40);
  EXPECT_OK(cudaGraphExecDestroy(executable));
  EXPECT_OK(cudaGraphDestroy(graph));
}

TEST_F(GraphTest, CaptureForbidsWhatGraphsCannotHold) {
  const DeviceArray<int> there(stream_, 1);
  int here = 0;
  void* data = nullptr;
  EXPECT_OK(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
  EXPECT_EQ(cudaStreamSynchronize(stream_), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(cudaMalloc(&data, 1), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(cudaMallocAsync(&data, 1, stream_), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(cudaMemcpyAsync(&here, there.data(), 4, cudaMemcpyDeviceToHost, stream_),
            cudaErrorStreamCaptureUnsupported);
  std::thread([] {  // another thread goes on
    void* its_own = nullptr;
    EXPECT_OK(cudaMalloc(&its_own, 1));
    EXPECT_OK(cudaFree(its_own));
  })
      .join();
  cudaGraph_t graph = nullptr;
  EXPECT_OK(cudaStreamEndCapture(stream_, &graph));
  EXPECT_OK(cudaGraphDestroy(graph));
}

TEST_F(GraphTest, ThereMayBeNoConditionalNodes) {
  set_settings({.conditional_graphs = false});
  cudaGraph_t graph = nullptr;
  EXPECT_OK(cudaGraphCreate(&graph, 0));
  cudaGraphConditionalHandle handle = 0;
  EXPECT_EQ(cudaGraphConditionalHandleCreate(&handle, graph), cudaErrorNotSupported);
  EXPECT_OK(cudaGraphDestroy(graph));
}

}  // namespace
}  // namespace cuda_on_host::test
