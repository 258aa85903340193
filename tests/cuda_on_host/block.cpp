// Blocks of a kernel, each thread a fiber; see block.hpp.
//
// Threads that can go on are in ready_, those not yet started among them. One is drawn, and runs
// until it has to wait for others or returns. A fiber that has brought a thread to its end takes
// the next one that has not started: a kernel without barriers runs on one fiber.
#include "tests/cuda_on_host/block.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <vector>

#include "tests/cuda_on_host/fiber.hpp"
#include "tests/cuda_on_host/random_order.hpp"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace cuda_on_host {
namespace {

constexpr unsigned warp_threads = 32, most_threads = 1024;
constexpr int garbage = 0xFF;

struct Copy {
  void* to;
  const void* from;
  bool inside;
};

struct Thread {
  Fiber* fiber = nullptr;  // none before it starts
  // Groups of asynchronous copies, the oldest first; the last one is still open.
  std::vector<std::vector<Copy>> copies;
};

/// Threads that wait for each other.
struct Meeting {
  Together together = nullptr;
  unsigned arrived = 0;
  void* brought[most_threads];
};

class Block {
 public:
  /// Runs one block of the launch, threadIdx aside all is set.
  void run(const Launch& launch);

  void meet_block(void* mine, unsigned threads, Together together);
  void meet_warp(void* mine, Together together);
  Thread& thread() { return threads_[threadIdx.x]; }
  unsigned char* shared() { return shared_; }

 private:
  static void fiber_main();
  unsigned draw();
  void arrive(Meeting& meeting, unsigned place, void* mine, Together together);
  void release_block();
  void wait();
  [[noreturn]] void fail_deadlocked() const;

  const std::function<void()>* body_ = nullptr;
  unsigned count_ = 0, live_ = 0;
  std::vector<Thread> threads_ = std::vector<Thread>(most_threads);
  std::vector<unsigned> ready_;
  RandomOrder random_;
  Meeting block_, warps_[most_threads / warp_threads];
  std::vector<unsigned> at_block_;  // who waits for the block

  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
  unsigned starting_ = 0;  // the thread that an idle fiber is resumed for

  std::unique_ptr<unsigned char, decltype(&std::free)> shared_memory_{nullptr, &std::free};
  std::size_t shared_capacity_ = 0;
  unsigned char* shared_ = nullptr;
};

// Never destroyed: fibers that wait for work have stacks that nobody needs to unwind.
Block& block = *new Block;

/// Who is ready, at random.
unsigned Block::draw() {
  const std::uint32_t place = random_.below(ready_.size());
  const unsigned drawn = ready_[place];
  ready_[place] = ready_.back();
  ready_.pop_back();
  return drawn;
}

void Block::run(const Launch& launch) {
  body_ = &launch.thread;
  count_ = live_ = launch.threads;
  shared_ = nullptr;
  if (launch.shared_bytes > 0) {
    // Of exactly the size asked for, so that AddressSanitizer sees what goes beyond.
    if (shared_capacity_ != launch.shared_bytes) {
      void* memory = nullptr;
      if (posix_memalign(&memory, 128, launch.shared_bytes) != 0) fail("no shared memory");
      shared_memory_.reset(static_cast<unsigned char*>(memory));
      shared_capacity_ = launch.shared_bytes;
    }
    shared_ = shared_memory_.get();
    std::memset(shared_, garbage, launch.shared_bytes);
  }

  ready_.resize(count_);
  std::iota(ready_.begin(), ready_.end(), 0U);
  while (!ready_.empty()) {
    const unsigned next = draw();
    Fiber* fiber = threads_[next].fiber;
    if (fiber == nullptr) {
      if (idle_.empty()) {
        fibers_.push_back(
            std::make_unique<Fiber>(&fiber_main, static_cast<unsigned>(fibers_.size())));
        idle_.push_back(fibers_.back().get());
      }
      fiber = idle_.back();
      idle_.pop_back();
      starting_ = next;
      threads_[next].fiber = fiber;
    }
    threadIdx.x = next;
    fiber->resume();
  }
  if (live_ > 0) fail_deadlocked();
}

/// What a fiber does for ever: run a thread, then another.
void Block::fiber_main() {
  for (unsigned mine = block.starting_;;) {
    Fiber* const fiber = block.threads_[mine].fiber;
    (*block.body_)();
    Thread& finished = block.threads_[mine];
    finished.fiber = nullptr;
    finished.copies.clear();
    --block.live_;
    if (block.live_ > 0 && block.block_.arrived == block.live_) block.release_block();

    if (!block.ready_.empty()) {
      const unsigned next = block.draw();
      if (block.threads_[next].fiber == nullptr) {
        block.threads_[next].fiber = fiber;
        threadIdx.x = mine = next;
        continue;
      }
      block.ready_.push_back(next);
    }
    block.idle_.push_back(fiber);
    fiber->suspend();
    mine = block.starting_;
  }
}

void Block::wait() {
  thread().fiber->suspend();
}

void Block::arrive(Meeting& meeting, unsigned place, void* mine, Together together) {
  if (meeting.arrived == 0) meeting.together = together;
  if (meeting.together != together)
    fail("thread %u of block (%u, %u, %u) waits at another barrier than those before it",
         threadIdx.x, blockIdx.x, blockIdx.y, blockIdx.z);
  meeting.brought[place] = mine;
  ++meeting.arrived;
}

void Block::release_block() {
  block_.arrived = 0;
  if (block_.together != nullptr) {
    if (at_block_.size() != count_) fail("threads have returned before a reduction of the block");
    block_.together(block_.brought);
  }
  ready_.insert(ready_.end(), at_block_.begin(), at_block_.end());
  at_block_.clear();
}

void Block::meet_block(void* mine, unsigned threads, Together together) {
  if (threads != 0 && threads != count_)
    fail("a reduction over %u threads in a block of %u", threads, count_);
  arrive(block_, threadIdx.x, mine, together);
  at_block_.push_back(threadIdx.x);
  if (block_.arrived == live_) release_block();
  wait();
}

void Block::meet_warp(void* mine, Together together) {
  const unsigned first = threadIdx.x / warp_threads * warp_threads;
  if (first + warp_threads > count_) fail("the last warp of a block of %u is not whole", count_);
  Meeting& warp = warps_[threadIdx.x / warp_threads];
  arrive(warp, threadIdx.x - first, mine, together);
  if (warp.arrived == warp_threads) {
    warp.arrived = 0;
    warp.together(warp.brought);
    for (unsigned lane = 0; lane < warp_threads; ++lane)
      ready_.push_back(first + lane);
  }
  wait();
}

void Block::fail_deadlocked() const {
  std::string warps;
  for (unsigned warp = 0; warp * warp_threads < count_; ++warp)
    if (warps_[warp].arrived > 0)
      warps +=
          "; " + std::to_string(warps_[warp].arrived) + " wait in warp " + std::to_string(warp);
  fail("deadlock in block (%u, %u, %u) of %u threads: %u have returned, %u wait for the block%s",
       blockIdx.x, blockIdx.y, blockIdx.z, count_, count_ - live_, block_.arrived, warps.c_str());
}

void finish_copies(Thread& thread, std::size_t groups) {
  for (std::size_t group = 0; group < groups; ++group)
    for (const Copy& copy : thread.copies[group]) {
      if (copy.inside) {
        std::memcpy(copy.to, copy.from, 16);
      } else {
        std::memset(copy.to, 0, 16);
      }
    }
  thread.copies.erase(thread.copies.begin(),
                      thread.copies.begin() + static_cast<std::ptrdiff_t>(groups));
}

}  // namespace

void fail(const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  std::fputs("cuda_on_host: ", stderr);
  std::vfprintf(stderr, format, arguments);
  std::fputc('\n', stderr);
  va_end(arguments);
  std::abort();
}

void meet_block(void* mine, int threads, Together together) {
  block.meet_block(mine, static_cast<unsigned>(threads), together);
}

void meet_warp(void* mine, Together together) {
  block.meet_warp(mine, together);
}

unsigned char* dynamic_shared() {
  if (block.shared() == nullptr) fail("dynamic shared memory in a launch without any");
  return block.shared();
}

void expect_aligned(const void* address, std::size_t bytes, const char* by) {
  if (reinterpret_cast<std::uintptr_t>(address) % bytes != 0)
    fail("%s: an address that is no multiple of %zu", by, bytes);
}

void start_copy(void* to, const void* from, bool inside) {
  expect_aligned(to, 16, "copy_async, to");
  expect_aligned(from, 16, "copy_async, from");
  std::memset(to, garbage, 16);
  Thread& thread = block.thread();
  if (thread.copies.empty()) thread.copies.emplace_back();
  thread.copies.back().push_back({to, from, inside});
}

void commit_copies() {
  Thread& thread = block.thread();
  if (thread.copies.empty()) thread.copies.emplace_back();  // an empty group is one too
  thread.copies.emplace_back();
}

void wait_for_copies(int pending) {
  Thread& thread = block.thread();
  const std::size_t closed = thread.copies.empty() ? 0 : thread.copies.size() - 1;
  const auto left = static_cast<std::size_t>(pending);
  if (closed > left) finish_copies(thread, closed - left);
}

void run_grid(const Launch& launch) {
  blockDim = dim3(launch.threads);
  gridDim = launch.blocks;
  threadIdx = {0, 0, 0};
  const std::size_t count = std::size_t{launch.blocks.x} * launch.blocks.y * launch.blocks.z;
  static RandomOrder random;
  static auto& order = *new std::vector<std::uint32_t>;  // kernels still run at exit
  order.resize(count);
  std::iota(order.begin(), order.end(), 0U);
  for (std::size_t left = count; left > 0; --left) {
    std::swap(order[left - 1], order[random.below(left)]);
    const std::uint32_t index = order[left - 1];
    blockIdx = {index % launch.blocks.x, index / launch.blocks.x % launch.blocks.y,
                index / launch.blocks.x / launch.blocks.y};
    block.run(launch);
  }
}

}  // namespace cuda_on_host

void __syncthreads() {
  cuda_on_host::meet_block(nullptr, 0, nullptr);
}
