// The stand-in for kernels/cuda/device.cuh: the same functions with the same meaning, on the host.
//
// Where threads meet, the last of them to arrive does the work for all and lets them go on
// (../../../block.hpp): each gives the address of what it brings and of what it gets, both in one
// struct on its own stack.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

#include "tests/cuda_on_host/block.hpp"

namespace widedeq::cuda {

/// op over the values of all threads of a block of `threads`, in an order that depends on `threads`
/// alone; every thread gets the result. Every thread must call.
template <int threads, class T, class Op>
T block_reduce(T value, Op op) {
  struct Place {
    T value;
    Op op;
  };
  Place mine{value, op};
  cuda_on_host::meet_block<Place>(mine, threads, [](Place* const* places) {
    // Neighbours first, then neighbouring pairs, and so on: the shape of a tree, as on a device.
    for (int step = 1; step < threads; step *= 2)
      for (int i = 0; i + step < threads; i += 2 * step)
        places[i]->value = places[i]->op(places[i]->value, places[i + step]->value);
    for (int i = 1; i < threads; ++i)
      places[i]->value = places[0]->value;
  });
  return mine.value;
}

/// op, which must not care for the order of its two arguments, over the values of a warp's lanes,
/// in an order that is always the same; every lane gets the result. Every lane must call.
template <class T, class Op>
T warp_reduce(T value, Op op) {
  struct Lane {
    T value;
    Op op;
  };
  Lane mine{value, op};
  cuda_on_host::meet_warp<Lane>(mine, [](Lane* const* lanes) {
    for (int distance = 16; distance > 0; distance /= 2) {
      T before[32];
      for (int lane = 0; lane < 32; ++lane)
        before[lane] = lanes[lane]->value;
      for (int lane = 0; lane < 32; ++lane)
        lanes[lane]->value = lanes[lane]->op(before[lane], before[lane ^ distance]);
    }
  });
  return mine.value;
}

/// The sum of the values of the threads before this one; `total` is the sum of all.
template <int threads>
int block_exclusive_sum(int value, int& total) {
  struct Place {
    int value, total;
  };
  Place mine{value, 0};
  cuda_on_host::meet_block<Place>(mine, threads, [](Place* const* places) {
    int sum = 0;
    for (int i = 0; i < threads; ++i) {
      const int before = sum;
      sum += places[i]->value;
      places[i]->value = before;
    }
    for (int i = 0; i < threads; ++i)
      places[i]->total = sum;
  });
  total = mine.total;
  return mine.value;
}

/// The block's dynamic shared memory, on a 128-byte boundary.
inline unsigned char* dynamic_shared() {
  return cuda_on_host::dynamic_shared();
}

/// Starts copying 16 bytes into shared memory; zeros where `inside` is false. Both addresses are
/// multiples of 16. Here the bytes arrive when the thread waits for them, and are garbage until
/// then.
inline void copy_async(void* shared, const void* global, bool inside) {
  cuda_on_host::start_copy(shared, global, inside);
}

/// Closes a group of this thread's copies.
inline void commit_copies() {
  cuda_on_host::commit_copies();
}

/// Waits until at most `pending` of this thread's groups are under way.
template <int pending>
void wait_for_copies() {
  cuda_on_host::wait_for_copies(pending);
}

/// Four 8 x 16-byte tiles from shared memory into a warp's registers: lane l gives the address of
/// row l % 8 of tile l / 8, and gets in words[t] bytes 4 (l % 4) ... of row l / 4 of tile t.
inline void load_tiles(std::uint32_t (&words)[4], const void* shared) {
  struct Lane {
    const void* row;
    std::uint32_t* words;
  };
  cuda_on_host::expect_aligned(shared, 16, "load_tiles");
  Lane mine{shared, words};
  cuda_on_host::meet_warp<Lane>(mine, [](Lane* const* lanes) {
    for (int lane = 0; lane < 32; ++lane)
      for (int tile = 0; tile < 4; ++tile) {
        const auto* row = static_cast<const unsigned char*>(lanes[8 * tile + lane / 4]->row);
        std::memcpy(&lanes[lane]->words[tile], row + 4 * (lane % 4), 4);
      }
  });
}

/// sums += a b, a 16 x 32 and b 32 x 8 of int8, int32 sums, spread over a warp as PTX's
/// mma.m16n8k32 says. With g = lane / 4 and t = lane % 4:
///   a[0], a[1], a[2], a[3]  rows g, g + 8, g, g + 8, columns 4 t ... (first two), 16 + 4 t ...
///   b[0], b[1]              rows 4 t ... and 16 + 4 t ..., column g
///   sums[0], [1], [2], [3]  rows g, g, g + 8, g + 8, columns 2 t, 2 t + 1, 2 t, 2 t + 1
inline void multiply_tiles(std::int32_t (&sums)[4], const std::uint32_t (&a)[4],
                           const std::uint32_t (&b)[2]) {
  struct Lane {
    std::int32_t* sums;
    const std::uint32_t *a, *b;
  };
  Lane mine{sums, a, b};
  cuda_on_host::meet_warp<Lane>(mine, [](Lane* const* lanes) {
    std::int8_t A[16][32], B[8][32];  // B by columns
    for (int lane = 0; lane < 32; ++lane) {
      const int g = lane / 4, t = lane % 4;
      for (int i = 0; i < 4; ++i)
        std::memcpy(&A[g + 8 * (i % 2)][16 * (i / 2) + 4 * t], &lanes[lane]->a[i], 4);
      for (int i = 0; i < 2; ++i)
        std::memcpy(&B[g][16 * i + 4 * t], &lanes[lane]->b[i], 4);
    }
    for (int lane = 0; lane < 32; ++lane)
      for (int i = 0; i < 4; ++i) {
        const int row = lane / 4 + 8 * (i / 2), column = 2 * (lane % 4) + i % 2;
        std::int32_t sum = 0;
        for (int k = 0; k < 32; ++k)
          sum += A[row][k] * B[column][k];
        lanes[lane]->sums[i] += sum;
      }
  });
}

/// Sets the value a conditional node of the running graph is decided by.
inline void set_condition(cudaGraphConditionalHandle handle, unsigned value) {
  cuda_on_host::set_condition(handle, value);
}

}  // namespace widedeq::cuda
