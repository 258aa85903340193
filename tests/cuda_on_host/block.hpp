// What kernels call while they run: threads of a block that meet, shared memory, asynchronous
// copies. The stand-in's device.cuh puts the device's names on it; block.cpp is the inside.
#pragma once

#include <cstddef>
#include <functional>

#include "cuda_runtime.h"

namespace cuda_on_host {

/// Prints what is wrong and aborts: for what a device would answer by hanging or by garbage.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

// ---- threads that meet

/// What the last to arrive does for all; it gets what each of them brought, by number.
using Together = void (*)(void* const* brought);

/// Waits for all `threads` of the block, or all that have not returned where it is 0.
void meet_block(void* mine, int threads, Together together);
/// Waits for the 32 threads of the warp.
void meet_warp(void* mine, Together together);

// The same with types. `together` is a lambda that captures nothing; each has a type of its own,
// and so a function of its own, by which the meeting is known: threads that wait at different ones
// are noticed.
template <class Place, class Action>
void meet_block(Place& mine, int threads, Action) {
  meet_block(&mine, threads,
             [](void* const* brought) { Action{}(reinterpret_cast<Place* const*>(brought)); });
}
template <class Place, class Action>
void meet_warp(Place& mine, Action) {
  meet_warp(&mine,
            [](void* const* brought) { Action{}(reinterpret_cast<Place* const*>(brought)); });
}

// ---- memory

/// The running block's dynamic shared memory; fails where the launch asked for none.
unsigned char* dynamic_shared();
void expect_aligned(const void* address, std::size_t bytes, const char* by);

/// cp.async of 16 bytes: what is copied arrives with the wait, the last moment that hardware may
/// choose; until then `to` holds garbage, from the first moment it may choose.
void start_copy(void* to, const void* from, bool inside);
void commit_copies();
void wait_for_copies(int pending);

/// Of the graph that is running (graph.cpp).
void set_condition(cudaGraphConditionalHandle handle, unsigned value);

// ---- running a grid

struct Launch {
  dim3 blocks;
  unsigned threads = 0;
  std::size_t shared_bytes = 0;
  std::function<void()> thread;  // what every thread calls
};

/// Runs all blocks, one after another, in an order drawn at random. Not to be called by two host
/// threads at once.
void run_grid(const Launch& launch);

}  // namespace cuda_on_host
