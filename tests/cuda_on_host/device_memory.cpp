// One reserved range, opened and closed as a whole; see device_memory.hpp.
#include "tests/cuda_on_host/device_memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "tests/cuda_on_host/block.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) (void)(address)
#define ASAN_UNPOISON_MEMORY_REGION(address, size) (void)(address)
#endif

namespace cuda_on_host {
namespace {

// Addresses alone: pages come when they are first touched.
constexpr std::size_t reserved = std::size_t{64} << 30;
constexpr std::size_t alignment = 256;
constexpr int garbage = 0xFF;  // NaN in every precision, -1 as an integer

/// Garbage everywhere, but of large memory only in the first and the last part: every page that was
/// once written makes opening and closing slower.
void spoil(char* data, std::size_t bytes) {
  constexpr std::size_t part = 256 << 10;
  std::memset(data, garbage, std::min(bytes, part));
  if (bytes > part) {
    const std::size_t last = std::min(bytes - part, part);
    std::memset(data + bytes - last, garbage, last);
  }
}

/// With a gap behind it, which AddressSanitizer watches.
std::size_t taken(std::size_t bytes) {
  return (bytes + alignment - 1) / alignment * alignment + alignment;
}

}  // namespace

DeviceMemory::DeviceMemory() {
  void* range =
      mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) fail("no addresses for the device's memory");
  begin_ = end_ = static_cast<char*>(range);
}

void DeviceMemory::protect(bool closed) const {
  if (begin_ == end_) return;
  const auto size = static_cast<std::size_t>(end_ - begin_);
  if (mprotect(begin_, size, closed ? PROT_NONE : PROT_READ | PROT_WRITE) != 0)
    fail("the device's memory cannot be %s", closed ? "closed" : "opened");
}

void* DeviceMemory::allocate(std::size_t bytes) {
  const std::size_t size = taken(bytes);
  char* data = nullptr;
  // The first place that is large enough; what is left of it stays free.
  const auto found =
      std::ranges::find_if(free_, [&](const auto& place) { return place.second >= size; });
  if (found != free_.end()) {
    data = found->first;
    const std::size_t left = found->second - size;
    free_.erase(found);
    if (left > 0) free_[data + size] = left;
  } else {
    if (size > reserved - static_cast<std::size_t>(end_ - begin_)) return nullptr;
    data = end_;
    end_ += size;
    if (accesses_ > 0) protect(false);
  }
  ASAN_UNPOISON_MEMORY_REGION(data, bytes);
  const Access access(*this);
  spoil(data, bytes);
  ASAN_POISON_MEMORY_REGION(data + bytes, size - bytes);
  return data;
}

void DeviceMemory::free(void* data, std::size_t bytes) {
  {
    const Access access(*this);
    spoil(static_cast<char*>(data), bytes);
  }
  auto place = free_.emplace(static_cast<char*>(data), taken(bytes)).first;
  ASAN_POISON_MEMORY_REGION(place->first, place->second);
  const auto join = [&](auto first, auto second) {
    if (first->first + first->second != second->first) return;
    first->second += second->second;
    free_.erase(second);
  };
  if (const auto next = std::next(place); next != free_.end()) join(place, next);
  if (place != free_.begin()) join(std::prev(place), place);
}

}  // namespace cuda_on_host
