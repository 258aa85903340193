// Aligned, zeroed memory; see workspace.hpp.
#include "kernels/cpu/workspace.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

namespace widedeq::cpu {

std::shared_ptr<void> allocate_zeroed(std::size_t bytes) {
  constexpr std::size_t huge_page = std::size_t{2} << 20;
  const std::size_t boundary = bytes >= 4 * huge_page ? huge_page : 64;
  const std::size_t size = (std::max<std::size_t>(bytes, 1) + boundary - 1) / boundary * boundary;
  void* memory = std::aligned_alloc(boundary, size);
  if (memory == nullptr) throw std::bad_alloc();
  // A hint: products over large matrices spend less on address translation. Failure changes
  // nothing.
  if (boundary == huge_page) static_cast<void>(madvise(memory, size, MADV_HUGEPAGE));
  std::memset(memory, 0, size);
  return {memory, [](void* p) { std::free(p); }};
}

}  // namespace widedeq::cpu
