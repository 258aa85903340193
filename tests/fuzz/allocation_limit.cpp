// The allocation limit of the fuzzers: through AddressSanitizer's hooks, which see every malloc, or
// else through operator new.
#include <atomic>
#include <new>

#include "tests/fuzz/fuzz_support.hpp"

namespace {

std::atomic<std::size_t> limit{SIZE_MAX};

void check(std::size_t size) {
  if (size <= limit.load(std::memory_order_relaxed)) return;
  limit = SIZE_MAX;  // what is done now may allocate
  std::fprintf(stderr, "an allocation of %zu bytes\n", size);
  widedeq::fuzz::promise(false, "memory in proportion to the input");
}

}  // namespace

namespace widedeq::fuzz {

AllocationLimit::AllocationLimit(std::size_t bytes) {
  limit = bytes;
}

AllocationLimit::~AllocationLimit() {
  limit = SIZE_MAX;
}

}  // namespace widedeq::fuzz

#if defined(__SANITIZE_ADDRESS__)
#define WIDEDEQ_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WIDEDEQ_ASAN
#endif
#endif

#if defined(WIDEDEQ_ASAN)

extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*malloc_hook)(const volatile void*,
                                                                             std::size_t),
                                                         void (*free_hook)(const volatile void*));

static const int installed = __sanitizer_install_malloc_and_free_hooks(
    [](const volatile void*, std::size_t size) { check(size); }, [](const volatile void*) {});

#else

void* operator new(std::size_t size) {
  check(size);
  if (void* memory = std::malloc(size > 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}

void operator delete(void* memory) noexcept {
  std::free(memory);
}

void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

#endif
