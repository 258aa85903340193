// Whether a process may have so much more address space: a limit on it (ulimit -v) makes OpenBLAS
// wait for ever for its buffers.
#pragma once

#include <sys/mman.h>
#include <sys/resource.h>

#include <cstddef>

namespace widedeq {

/// Tries, and touches nothing. True where there is no limit.
inline bool has_address_space(std::size_t bytes) {
  struct rlimit space {};
  if (::getrlimit(RLIMIT_AS, &space) != 0 || space.rlim_cur == RLIM_INFINITY) return true;
  constexpr int anywhere = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* const room = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, anywhere, -1, 0);
  if (room == MAP_FAILED) return false;
  ::munmap(room, bytes);
  return true;
}

}  // namespace widedeq
