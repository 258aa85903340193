// Stacks to run kernels' threads on, switched by hand.
//
// Boost.Context switches; the rest tells sanitizers that it happened. The library's layer of plain
// functions is used: between what ThreadSanitizer is told and the jump, no function that it sees
// may be entered or left. All is inline: every return from a function that was called before a jump
// is one that the processor mispredicts.
#pragma once

#include <boost/context/detail/fcontext.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace cuda_on_host {

/// A function on a stack of its own, which can be left in the middle and gone back to. Its stack is
/// never given back.
class Fiber {
 public:
  using Function = void (*)();

  /// `run` is called at the first resume(); it may call suspend(), and must never return.
  Fiber(Function run, unsigned number) : run_(run) {
    // A page that cannot be touched lies below every stack: a kernel that overflows it crashes.
    const auto memory = boost::context::protected_fixedsize_stack(stack_bytes).allocate();
    // Stacks begin at different places of their pages, or all would share a few lines of the cache.
    const std::size_t shift = number % 64 * 192;
    char* const top = static_cast<char*>(memory.sp) - shift;
    stack_size_ = memory.size - shift;
    stack_ = top - stack_size_;
    there_ = boost::context::detail::make_fcontext(top, stack_size_, &first_run);
#if defined(__SANITIZE_THREAD__)
    tsan_fiber_ = __tsan_create_fiber(0);
#endif
  }
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Goes on with the function, up to its next suspend().
  void resume() {
#if defined(__SANITIZE_THREAD__)
    back_tsan_fiber_ = __tsan_get_current_fiber();
#endif
    const Place to = there_;
    leave(&back_fake_stack_, stack_, stack_size_, tsan_fiber_);
    const auto from = boost::context::detail::jump_fcontext(to, this);
    enter(back_fake_stack_, nullptr, nullptr);
    there_ = from.fctx;
  }

  /// To be called by the function: back to who called resume().
  void suspend() {
    const Place to = back_;
    leave(&fake_stack_, back_stack_, back_stack_size_, back_tsan_fiber_);
    const auto from = boost::context::detail::jump_fcontext(to, nullptr);
    enter(fake_stack_, &back_stack_, &back_stack_size_);
    back_ = from.fctx;
  }

 private:
  using Place = boost::context::detail::fcontext_t;

// Instrumented functions need several times as much.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
  static constexpr std::size_t stack_bytes = 256 << 10;
#else
  static constexpr std::size_t stack_bytes = 64 << 10;
#endif

  static void first_run(boost::context::detail::transfer_t from) {
    auto& fiber = *static_cast<Fiber*>(from.data);
    enter(nullptr, &fiber.back_stack_, &fiber.back_stack_size_);
    fiber.back_ = from.fctx;
    fiber.run_();
  }

  // The two are macros in all but name: see above.

  /// Leaving a stack for another one: where the frames go that AddressSanitizer keeps elsewhere,
  /// and where the new stack is.
  [[gnu::always_inline]] static inline void leave([[maybe_unused]] void** fake_stack,
                                                  [[maybe_unused]] const void* stack,
                                                  [[maybe_unused]] std::size_t size,
                                                  [[maybe_unused]] void* tsan_fiber) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(fake_stack, stack, size);
#endif
#if defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(tsan_fiber, 0);
#endif
  }

  /// Having come to a stack: its frames, and where we come from.
  [[gnu::always_inline]] static inline void enter([[maybe_unused]] void* fake_stack,
                                                  [[maybe_unused]] const void** from_stack,
                                                  [[maybe_unused]] std::size_t* from_size) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake_stack, from_stack, from_size);
#endif
  }

  Function run_;
  Place there_ = nullptr, back_ = nullptr;  // where the two stacks were left
  // What the sanitizers want to know; unused without them.
  const void *stack_ = nullptr, *back_stack_ = nullptr;
  std::size_t stack_size_ = 0, back_stack_size_ = 0;
  void *fake_stack_ = nullptr, *back_fake_stack_ = nullptr;
  void *tsan_fiber_ = nullptr, *back_tsan_fiber_ = nullptr;
};

}  // namespace cuda_on_host
