// What the parts of the stand-in share: the lock, streams as queues, events, memory.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "cuda_runtime.h"
#include "tests/cuda_on_host/block.hpp"
#include "tests/cuda_on_host/cuda_on_host.hpp"
#include "tests/cuda_on_host/device_memory.hpp"

namespace cuda_on_host {

/// Something enqueued, to be done later.
using Work = std::function<void()>;

/// What a queue is asked to take; graphs do not take everything.
enum class Kind : std::uint8_t { kernel, copy, set, library, event, memory, graph };

}  // namespace cuda_on_host

struct CUstream_st {
  std::deque<cuda_on_host::Work> queue;
  std::uint64_t enqueued = 0, done = 0;
  // While it is captured: the graph, and the nodes that the next one comes after.
  cudaGraph_t capture = nullptr;
  std::vector<cudaGraphNode_t> capture_after;
  cudaStreamCaptureMode capture_mode = cudaStreamCaptureModeGlobal;
  std::thread::id capture_thread;
};

struct CUevent_st {
  bool timed = true;
  cudaStream_t stream = nullptr;  // the one that records it; none before
  std::uint64_t place = 0;        // in that stream's queue
  // Shared with the record in the queue, which may outlive the event.
  std::shared_ptr<std::chrono::steady_clock::time_point> time;
};

namespace cuda_on_host {

enum class Place : std::uint8_t { pageable, pinned, device };

struct Memory {
  std::size_t bytes = 0;
  Place place = Place::device;
};

/// The one device and what is on it. Guarded by `mutex`, which every function of the runtime takes.
struct Machine {
  std::mutex mutex;
  Settings settings;
  Counters counters;
  std::set<cudaStream_t> streams;
  DeviceMemory device_memory;
  std::map<std::uintptr_t, Memory> memory;                   // by address
  std::map<const void*, std::size_t> dynamic_shared_limits;  // by kernel
};
Machine& machine();

using Lock = std::lock_guard<std::mutex>;

/// Remembers a failure for cudaGetLastError, as the runtime does; returns it.
cudaError_t noted(cudaError_t error);

// All of these with the lock held.

/// Appends to the stream's queue, or to the graph it is being captured into. In a graph, `work` may
/// run many times.
cudaError_t enqueue(cudaStream_t stream, Kind kind, Work work);
/// Runs the stream's queue up to a place.
void run_until(cudaStream_t stream, std::uint64_t place);
void run_all(cudaStream_t stream);
/// Runs everything that is enqueued anywhere.
void run_everything();
/// Whether the stream exists. The default stream does not: widedeq never uses it.
bool is_stream(cudaStream_t stream);
/// Whether a capture, of this thread or of all, forbids the caller to allocate and free.
bool capture_forbids();
/// graph.cpp's part of enqueue().
cudaError_t add_to_capture(cudaStream_t stream, Kind kind, Work work);

}  // namespace cuda_on_host
