// Memory of the device, which is the host's, with books kept; see machine.hpp.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "tests/cuda_on_host/machine.hpp"

namespace cuda_on_host {
namespace {

constexpr int garbage = 0xFF;

bool fits(std::size_t bytes) {
  return bytes <= machine().settings.memory &&
         machine().counters.allocated <= machine().settings.memory - bytes;
}

cudaError_t allocate(void** data, std::size_t bytes, Place place) {
  *data = nullptr;
  if (bytes == 0) return cudaSuccess;
  if (place == Place::device && !fits(bytes)) return noted(cudaErrorMemoryAllocation);
  *data = place == Place::device ? machine().device_memory.allocate(bytes) : std::malloc(bytes);
  if (*data == nullptr) return noted(cudaErrorMemoryAllocation);
  if (place == Place::pinned) std::memset(*data, garbage, bytes);
  machine().memory[reinterpret_cast<std::uintptr_t>(*data)] = {bytes, place};
  if (place == Place::device) {
    Counters& counters = machine().counters;
    counters.allocated += bytes;
    counters.most_allocated = std::max(counters.most_allocated, counters.allocated);
  }
  return cudaSuccess;
}

void release(void* data, Place place) {
  const auto found = machine().memory.find(reinterpret_cast<std::uintptr_t>(data));
  if (found == machine().memory.end() || found->second.place != place)
    fail("memory is freed that was not allocated so");
  const std::size_t bytes = found->second.bytes;
  machine().memory.erase(found);
  if (place == Place::device) {
    machine().device_memory.free(data, bytes);
    machine().counters.allocated -= bytes;
  } else {
    std::memset(data, garbage, bytes);  // for who still reads it
    std::free(data);
  }
}

/// Where an address points to; fails where [data, data + bytes) is not wholly inside.
Place place_of(const void* data, std::size_t bytes) {
  const auto address = reinterpret_cast<std::uintptr_t>(data);
  auto next = machine().memory.upper_bound(address);
  if (next == machine().memory.begin()) return Place::pageable;
  const auto& [begin, memory] = *--next;
  if (address >= begin + memory.bytes) return Place::pageable;
  if (address + bytes > begin + memory.bytes)
    fail("a copy or memset of %zu bytes goes %zu bytes beyond its memory", bytes,
         address + bytes - begin - memory.bytes);
  return memory.place;
}

/// Frees at once, after everything that may still use it.
cudaError_t free_now(void* data, Place place) {
  const Lock lock(machine().mutex);
  if (data == nullptr) return cudaSuccess;
  if (capture_forbids()) return noted(cudaErrorStreamCaptureUnsupported);
  run_everything();
  release(data, place);
  return cudaSuccess;
}

struct Rectangle {
  std::size_t width, height;
  std::size_t to_pitch, from_pitch;

  /// Bytes from the first to the last one.
  std::size_t extent(std::size_t pitch) const {
    return width == 0 || height == 0 ? 0 : (height - 1) * pitch + width;
  }
};

void copy_rows(void* to, const void* from, const Rectangle& shape) {
  for (std::size_t row = 0; row < shape.height; ++row)
    std::memcpy(static_cast<char*>(to) + row * shape.to_pitch,
                static_cast<const char*>(from) + row * shape.from_pitch, shape.width);
}

/// Copies with memory that is not pinned are the host's business too: a source is read before the
/// call returns, a destination is written before it returns.
cudaError_t copy_pageable(void* to, Place to_place, const void* from, const Rectangle& shape,
                          cudaStream_t stream) {
  if (!is_stream(stream)) return cudaErrorInvalidResourceHandle;
  if (stream->capture != nullptr) return cudaErrorStreamCaptureUnsupported;
  ++machine().counters.pageable_copies;
  if (to_place == Place::pageable) {
    run_all(stream);
    const DeviceMemory::Access access(machine().device_memory);
    copy_rows(to, from, shape);
    return cudaSuccess;
  }
  const auto* bytes = static_cast<const std::byte*>(from);
  std::vector<std::byte> staged(bytes, bytes + shape.extent(shape.from_pitch));
  return enqueue(stream, Kind::copy,
                 [to, staged = std::move(staged), shape] { copy_rows(to, staged.data(), shape); });
}

cudaError_t copy(void* to, const void* from, const Rectangle& shape, cudaMemcpyKind kind,
                 cudaStream_t stream) {
  const Lock lock(machine().mutex);
  if (shape.to_pitch < shape.width || shape.from_pitch < shape.width)
    return noted(cudaErrorInvalidValue);
  if (shape.width == 0 || shape.height == 0) return cudaSuccess;
  const Place to_place = place_of(to, shape.extent(shape.to_pitch));
  const Place from_place = place_of(from, shape.extent(shape.from_pitch));
  const bool to_device = to_place == Place::device, from_device = from_place == Place::device;
  if (kind != cudaMemcpyDefault) {
    const bool says_to = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    const bool says_from = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (says_to != to_device || says_from != from_device)
      fail("a copy from %s to %s memory says it is of kind %d", from_device ? "device" : "host",
           to_device ? "device" : "host", static_cast<int>(kind));
  }
  if (to_place == Place::pageable || from_place == Place::pageable)
    return noted(copy_pageable(to, to_place, from, shape, stream));
  return noted(enqueue(stream, Kind::copy, [=] { copy_rows(to, from, shape); }));
}

cudaError_t set(void* data, int value, const Rectangle& shape, cudaStream_t stream) {
  const Lock lock(machine().mutex);
  if (shape.to_pitch < shape.width) return noted(cudaErrorInvalidValue);
  if (shape.width == 0 || shape.height == 0) return cudaSuccess;
  if (place_of(data, shape.extent(shape.to_pitch)) == Place::pageable)
    fail("cudaMemsetAsync of memory that is not the device's");
  return noted(enqueue(stream, Kind::set, [=] {
    for (std::size_t row = 0; row < shape.height; ++row)
      std::memset(static_cast<char*>(data) + row * shape.to_pitch, value, shape.width);
  }));
}

}  // namespace
}  // namespace cuda_on_host

using cuda_on_host::Lock;
using cuda_on_host::machine;
using cuda_on_host::noted;
using cuda_on_host::Place;

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  const Lock lock(machine().mutex);
  const std::size_t all = machine().settings.memory;
  *total = all;
  *free = all - std::min(all, machine().counters.allocated);
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** data, std::size_t bytes) {
  const Lock lock(machine().mutex);
  if (cuda_on_host::capture_forbids()) return noted(cudaErrorStreamCaptureUnsupported);
  return cuda_on_host::allocate(data, bytes, Place::device);
}

cudaError_t cudaFree(void* data) {
  return cuda_on_host::free_now(data, Place::device);
}

cudaError_t cudaMallocAsync(void** data, std::size_t bytes, cudaStream_t stream) {
  const Lock lock(machine().mutex);
  if (!cuda_on_host::is_stream(stream)) return noted(cudaErrorInvalidResourceHandle);
  if (stream->capture != nullptr) return noted(cudaErrorStreamCaptureUnsupported);
  if (bytes == 0) return noted(cudaErrorInvalidValue);
  // Memory that is free by the time this allocation is reached counts as free.
  if (!cuda_on_host::fits(bytes)) cuda_on_host::run_all(stream);
  return cuda_on_host::allocate(data, bytes, Place::device);
}

cudaError_t cudaFreeAsync(void* data, cudaStream_t stream) {
  const Lock lock(machine().mutex);
  if (data == nullptr) return noted(cudaErrorInvalidValue);
  return noted(enqueue(stream, cuda_on_host::Kind::memory,
                       [data] { cuda_on_host::release(data, Place::device); }));
}

cudaError_t cudaMallocHost(void** data, std::size_t bytes, unsigned) {
  const Lock lock(machine().mutex);
  if (cuda_on_host::capture_forbids()) return noted(cudaErrorStreamCaptureUnsupported);
  return cuda_on_host::allocate(data, bytes, Place::pinned);
}

cudaError_t cudaHostAlloc(void** data, std::size_t bytes, unsigned flags) {
  return cudaMallocHost(data, bytes, flags);
}

cudaError_t cudaFreeHost(void* data) {
  return cuda_on_host::free_now(data, Place::pinned);
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return cuda_on_host::copy(to, from, {bytes, 1, bytes, bytes}, kind, stream);
}

cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from,
                              std::size_t from_pitch, std::size_t width, std::size_t height,
                              cudaMemcpyKind kind, cudaStream_t stream) {
  return cuda_on_host::copy(to, from, {width, height, to_pitch, from_pitch}, kind, stream);
}

cudaError_t cudaMemsetAsync(void* data, int value, std::size_t bytes, cudaStream_t stream) {
  return cuda_on_host::set(data, value, {bytes, 1, bytes, bytes}, stream);
}

cudaError_t cudaMemset2DAsync(void* data, std::size_t pitch, int value, std::size_t width,
                              std::size_t height, cudaStream_t stream) {
  return cuda_on_host::set(data, value, {width, height, pitch, pitch}, stream);
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int) {
  *pool = nullptr;
  return cudaSuccess;
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) {
  return cudaSuccess;
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, std::size_t) {
  return cudaSuccess;
}
