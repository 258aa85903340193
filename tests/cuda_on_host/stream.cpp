// Streams, events and launches: everything enqueued waits until the host does; see machine.hpp.
#include <algorithm>

#include "tests/cuda_on_host/machine.hpp"

namespace cuda_on_host {

Machine& machine() {
  static Machine& the_machine = *new Machine;  // never destroyed: tests free memory at exit
  return the_machine;
}

bool is_stream(cudaStream_t stream) {
  return machine().streams.contains(stream);
}

cudaError_t enqueue(cudaStream_t stream, Kind kind, Work work) {
  if (!is_stream(stream)) return cudaErrorInvalidResourceHandle;
  if (stream->capture != nullptr) return add_to_capture(stream, kind, std::move(work));
  stream->queue.push_back(std::move(work));
  ++stream->enqueued;
  return cudaSuccess;
}

void run_until(cudaStream_t stream, std::uint64_t place) {
  if (stream->done >= place) return;
  const DeviceMemory::Access access(machine().device_memory);
  while (stream->done < place && !stream->queue.empty()) {
    // Out of the queue first: the work may be to wait for another stream, which waits for this one.
    const Work work = std::move(stream->queue.front());
    stream->queue.pop_front();
    work();
    ++stream->done;
  }
}

void run_all(cudaStream_t stream) {
  run_until(stream, stream->enqueued);
}

void run_everything() {
  for (cudaStream_t stream : machine().streams)
    run_all(stream);
}

cudaError_t launch(const cudaLaunchConfig_t& configuration, const void* kernel,
                   std::function<void()> thread) {
  const Lock lock(machine().mutex);
  const dim3 blocks = configuration.gridDim, threads = configuration.blockDim;
  if (blocks.x == 0 || blocks.y == 0 || blocks.z == 0 || blocks.x > 0x7FFFFFFF ||
      blocks.y > 0xFFFF || blocks.z > 0xFFFF || threads.x == 0 || threads.x > 1024)
    return noted(cudaErrorInvalidConfiguration);
  if (threads.y != 1 || threads.z != 1) fail("blocks of more than one dimension are not done here");
  if (configuration.numAttrs != 0) fail("attributes of launches are not done here");

  // More than 48 KiB must have been asked for with cudaFuncSetAttribute.
  std::size_t limit = 48 << 10;
  const auto& limits = machine().dynamic_shared_limits;
  if (const auto found = limits.find(kernel); found != limits.end())
    limit = std::max(limit, found->second);
  if (configuration.dynamicSmemBytes > limit) return noted(cudaErrorInvalidValue);

  Launch launch{blocks, threads.x, configuration.dynamicSmemBytes, std::move(thread)};
  return noted(enqueue(configuration.stream, Kind::kernel, [launch = std::move(launch)] {
    ++machine().counters.launches;
    run_grid(launch);
  }));
}

}  // namespace cuda_on_host

using cuda_on_host::is_stream;
using cuda_on_host::Lock;
using cuda_on_host::machine;
using cuda_on_host::noted;
using cuda_on_host::run_all;
using cuda_on_host::run_until;

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  const Lock lock(machine().mutex);
  if (flags != cudaStreamNonBlocking && flags != cudaStreamDefault)
    return noted(cudaErrorInvalidValue);
  *stream = *machine().streams.insert(new CUstream_st).first;
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const Lock lock(machine().mutex);
  if (!is_stream(stream)) return noted(cudaErrorInvalidResourceHandle);
  if (stream->capture != nullptr) cuda_on_host::fail("a stream is destroyed while it is captured");
  run_all(stream);
  machine().streams.erase(stream);
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const Lock lock(machine().mutex);
  if (!is_stream(stream)) return noted(cudaErrorInvalidResourceHandle);
  if (stream->capture != nullptr) return noted(cudaErrorStreamCaptureUnsupported);
  ++machine().counters.synchronizations;
  run_all(stream);
  return cudaSuccess;
}

/// Not ready whenever there is something left; who asks again finds it done.
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  const Lock lock(machine().mutex);
  if (!is_stream(stream)) return noted(cudaErrorInvalidResourceHandle);
  if (stream->capture != nullptr) return noted(cudaErrorStreamCaptureUnsupported);
  if (stream->queue.empty()) return cudaSuccess;
  run_all(stream);
  return cudaErrorNotReady;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  const Lock lock(machine().mutex);
  if (flags != 0) return noted(cudaErrorInvalidValue);
  if (event->stream == nullptr) return cudaSuccess;  // never recorded: nothing to wait for
  return noted(
      enqueue(stream, cuda_on_host::Kind::event, [other = event->stream, place = event->place] {
        // A stream that is gone has done all it had to do.
        if (is_stream(other)) run_until(other, place);
      }));
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  const Lock lock(machine().mutex);
  if (flags != cudaEventDefault && flags != cudaEventDisableTiming)
    return noted(cudaErrorInvalidValue);
  *event = new CUevent_st;
  (*event)->timed = flags == cudaEventDefault;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const Lock lock(machine().mutex);
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const Lock lock(machine().mutex);
  auto time = std::make_shared<std::chrono::steady_clock::time_point>();
  const cudaError_t error = enqueue(stream, cuda_on_host::Kind::event,
                                    [time] { *time = std::chrono::steady_clock::now(); });
  if (error != cudaSuccess) return noted(error);
  event->stream = stream;
  event->place = stream->enqueued;
  event->time = std::move(time);
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const Lock lock(machine().mutex);
  ++machine().counters.synchronizations;
  if (event->stream != nullptr && is_stream(event->stream)) run_until(event->stream, event->place);
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  const Lock lock(machine().mutex);
  if (event->stream == nullptr || !is_stream(event->stream) || event->stream->done >= event->place)
    return cudaSuccess;
  run_until(event->stream, event->place);
  return cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  const Lock lock(machine().mutex);
  const auto reached = [](cudaEvent_t event) {
    return !is_stream(event->stream) || event->stream->done >= event->place;
  };
  if (!start->timed || !end->timed || start->stream == nullptr || end->stream == nullptr)
    return noted(cudaErrorInvalidResourceHandle);
  if (!reached(start) || !reached(end)) return noted(cudaErrorNotReady);
  *milliseconds = std::chrono::duration<float, std::milli>(*end->time - *start->time).count();
  return cudaSuccess;
}
