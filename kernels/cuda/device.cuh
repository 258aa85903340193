// What kernels say to the hardware, each in one function: threads of a block working together,
// shared memory, asynchronous copies, tensor cores, conditions of graphs.
//
// This is the only file with PTX and with the compiler's own names in it. Tests that run kernels on
// the host put a file of the same name before it (tests/cuda_on_host).
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <cub/block/block_reduce.cuh>
#include <cub/block/block_scan.cuh>

namespace widedeq::cuda {

/// op over the values of all threads of a block of `threads`, in an order that depends on `threads`
/// alone; every thread gets the result. Every thread must call.
template <int threads, class T, class Op>
__device__ T block_reduce(T value, Op op) {
  using Reduce = cub::BlockReduce<T, threads>;
  __shared__ typename Reduce::TempStorage storage;
  __shared__ T result;
  const T total = Reduce(storage).Reduce(value, op);
  if (threadIdx.x == 0) result = total;
  __syncthreads();
  const T everywhere = result;
  __syncthreads();  // before the storage is used again
  return everywhere;
}

/// op, which must not care for the order of its two arguments, over the values of a warp's lanes,
/// in an order that is always the same; every lane gets the result. Every lane must call.
template <class T, class Op>
__device__ T warp_reduce(T value, Op op) {
  for (int distance = 16; distance > 0; distance /= 2)
    value = op(value, __shfl_xor_sync(0xffffffffU, value, distance));
  return value;
}

/// The sum of the values of the threads before this one; `total` is the sum of all.
template <int threads>
__device__ int block_exclusive_sum(int value, int& total) {
  using Scan = cub::BlockScan<int, threads>;
  __shared__ typename Scan::TempStorage storage;
  int before = 0;
  Scan(storage).ExclusiveSum(value, before, total);
  __syncthreads();
  return before;
}

/// The block's dynamic shared memory, on a 128-byte boundary.
__device__ inline unsigned char* dynamic_shared() {
  extern __shared__ __align__(128) unsigned char dynamic_shared_memory[];
  return dynamic_shared_memory;
}

/// Starts copying 16 bytes into shared memory; zeros where `inside` is false. Both addresses are
/// multiples of 16.
__device__ inline void copy_async(void* shared, const void* global, bool inside) {
  const auto to = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
  const int bytes = inside ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(to), "l"(global), "r"(bytes)
               : "memory");
}

/// Closes a group of this thread's copies.
__device__ inline void commit_copies() {
  asm volatile("cp.async.commit_group;\n" ::: "memory");
}

/// Waits until at most `pending` of this thread's groups are under way.
template <int pending>
__device__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(pending) : "memory");
}

/// Four 8 x 16-byte tiles from shared memory into a warp's registers: lane l gives the address of
/// row l % 8 of tile l / 8, and gets in words[t] bytes 4 (l % 4) ... of row l / 4 of tile t.
__device__ inline void load_tiles(std::uint32_t (&words)[4], const void* shared) {
  const auto from = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(from)
               : "memory");
}

/// sums += a b, a 16 x 32 and b 32 x 8 of int8, int32 sums, spread over a warp as PTX's
/// mma.m16n8k32 says. With g = lane / 4 and t = lane % 4:
///   a[0], a[1], a[2], a[3]  rows g, g + 8, g, g + 8, columns 4 t ... (first two), 16 + 4 t ...
///   b[0], b[1]              rows 4 t ... and 16 + 4 t ..., column g
///   sums[0], [1], [2], [3]  rows g, g, g + 8, g + 8, columns 2 t, 2 t + 1, 2 t, 2 t + 1
__device__ inline void multiply_tiles(std::int32_t (&sums)[4], const std::uint32_t (&a)[4],
                                      const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};\n"
      : "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]), "+r"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// Sets the value a conditional node of the running graph is decided by.
__device__ inline void set_condition(cudaGraphConditionalHandle handle, unsigned value) {
  cudaGraphSetConditional(handle, value);
}

}  // namespace widedeq::cuda
