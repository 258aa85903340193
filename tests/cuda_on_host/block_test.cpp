// Threads of a block: barriers, reductions, shared memory, warp instructions.
#include "tests/cuda_on_host/block.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <random>
#include <set>

#include "kernels/cuda/device.cuh"
#include "tests/cuda_on_host/test_support.hpp"

namespace cuda_on_host::test {
namespace {

using widedeq::cuda::block_exclusive_sum;
using widedeq::cuda::block_reduce;
using widedeq::cuda::warp_reduce;

constexpr int threads = 96;

using BlockTest = CudaTest;

struct Add {
  double operator()(double a, double b) const { return a + b; }
};
struct Larger {
  double operator()(double a, double b) const { return a > b ? a : b; }
};

void write_index(int* to, int count) {
  const auto i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) to[i] = i;
}

TEST_F(BlockTest, EveryThreadOfEveryBlockRunsOnce) {
  const DeviceArray<int> found(stream_, 1000);
  launch(11, threads, write_index, found.data(), 1000);
  std::vector<int> expected(1000);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(found.values(), expected);
}

void number_arrivals(int* order) {
  __shared__ int next;
  if (threadIdx.x == 0) next = 0;
  __syncthreads();
  order[next++] = static_cast<int>(threadIdx.x);  // safe: one runs until it waits
}

TEST_F(BlockTest, ThreadsRunInAnotherOrderEveryTime) {
  const DeviceArray<int> order(stream_, threads);
  std::set<std::vector<int>> orders;
  for (int launches = 0; launches < 5; ++launches) {
    launch(1, threads, number_arrivals, order.data());
    orders.insert(order.values());
  }
  EXPECT_EQ(orders.size(), 5);
}

void reverse(int* values, int barrier) {
  __shared__ int copy[threads];
  copy[threadIdx.x] = values[threadIdx.x];
  if (barrier != 0) __syncthreads();
  values[threadIdx.x] = copy[threads - 1 - threadIdx.x];
}

TEST_F(BlockTest, AMissingBarrierShows) {
  for (const int barrier : {0, 1}) {
    std::vector<int> values(threads);
    std::iota(values.begin(), values.end(), 100 * (barrier + 1));
    const DeviceArray<int> there(stream_, values);
    launch(1, threads, reverse, there.data(), barrier);
    std::ranges::reverse(values);
    EXPECT_EQ(there.values() == values, barrier == 1);
  }
}

void return_early(double* sums) {
  if (threadIdx.x >= 40) return;
  __shared__ double values[40];
  values[threadIdx.x] = threadIdx.x;
  __syncthreads();  // of those that are left
  if (threadIdx.x == 0) *sums = std::accumulate(values, values + 40, 0.0);
}

TEST_F(BlockTest, BarriersWaitForThoseThatHaveNotReturned) {
  const DeviceArray<double> sum(stream_, 1);
  launch(1, threads, return_early, sum.data());
  EXPECT_EQ(sum.values().front(), 39.0 * 40.0 / 2.0);
}

void wait_at_two_places() {
  if (threadIdx.x == 0) {
    (void)block_reduce<threads>(1.0, Add{});
  } else {
    __syncthreads();
  }
}

void reduce_without_all() {
  if (threadIdx.x > 0) (void)block_reduce<threads>(1.0, Add{});
}

void reduce_half_a_warp() {
  if (threadIdx.x % 32 < 16) (void)warp_reduce(1.0, Add{});
}

TEST_F(BlockTest, WaitingInVainIsReported) {
  const auto run = [&](void (*kernel)()) {
    launch(1, threads, kernel);
    synchronize();
  };
  EXPECT_DEATH(run(wait_at_two_places), "waits at another barrier");
  EXPECT_DEATH(run(reduce_without_all), "returned before a reduction");
  EXPECT_DEATH(run(reduce_half_a_warp), "deadlock in block .* 16 wait in warp");
}

void reduce(double* sums, double* largest, int* before) {
  const int mine = static_cast<int>(threadIdx.x) + 1;
  const double sum = block_reduce<threads>(static_cast<double>(mine), Add{});
  const double last = block_reduce<threads>(static_cast<double>(mine), Larger{});
  int total = 0;
  const int sum_before = block_exclusive_sum<threads>(mine, total);
  const double warp = warp_reduce(static_cast<double>(mine), Add{});
  sums[threadIdx.x] = sum + total + 1e6 * warp;
  largest[threadIdx.x] = last;
  before[threadIdx.x] = sum_before;
}

TEST_F(BlockTest, ReductionsReachEveryThread) {
  const DeviceArray<double> sums(stream_, threads), largest(stream_, threads);
  const DeviceArray<int> before(stream_, threads);
  launch(1, threads, reduce, sums.data(), largest.data(), before.data());
  constexpr int total = threads * (threads + 1) / 2;
  for (int i = 0; i < threads; ++i) {
    const int first = i / 32 * 32 + 1;
    const double warp = 32.0 * first + 31 * 32 / 2;
    EXPECT_EQ(sums.values()[static_cast<std::size_t>(i)], 2 * total + 1e6 * warp);
    EXPECT_EQ(largest.values()[static_cast<std::size_t>(i)], threads);
    EXPECT_EQ(before.values()[static_cast<std::size_t>(i)], i * (i + 1) / 2);
  }
}

// ---- shared memory

void read_fresh(int* found) {
  *found = widedeq::cuda::dynamic_shared()[17];
}

TEST_F(BlockTest, DynamicSharedMemoryIsWhatTheLaunchAsksFor) {
  const DeviceArray<int> found(stream_, 1);
  shared_bytes_ = 128;
  launch(1, 1, read_fresh, found.data());
  EXPECT_EQ(found.values().front(), 0xFF);  // garbage

  shared_bytes_ = 0;
  EXPECT_DEATH(
      {
        launch(1, 1, read_fresh, found.data());
        synchronize();
      },
      "without any");

  cudaLaunchConfig_t large;
  large.dynamicSmemBytes = 64 << 10;
  large.stream = stream_;
  EXPECT_EQ(cudaLaunchKernelEx(&large, read_fresh, found.data()), cudaErrorInvalidValue);
  EXPECT_OK(
      cudaFuncSetAttribute(read_fresh, cudaFuncAttributeMaxDynamicSharedMemorySize, 64 << 10));
  EXPECT_OK(cudaLaunchKernelEx(&large, read_fresh, found.data()));
}

/// found: before the wait, and after it, of three groups of copies of which the last may be
/// pending.
void copy_in_groups(const std::uint32_t* from, std::uint32_t* found) {
  auto* here = reinterpret_cast<std::uint32_t*>(widedeq::cuda::dynamic_shared());
  for (int group = 0; group < 3; ++group) {
    widedeq::cuda::copy_async(here + 4 * group, from + 4 * group, group != 1);
    widedeq::cuda::commit_copies();
  }
  found[0] = here[0];
  widedeq::cuda::wait_for_copies<1>();
  found[1] = here[0];
  found[2] = here[4];
  found[3] = here[8];
  widedeq::cuda::wait_for_copies<0>();
  found[4] = here[8];
}

TEST_F(BlockTest, AsynchronousCopiesArriveWithTheWait) {
  const DeviceArray<std::uint32_t> from(stream_, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  const DeviceArray<std::uint32_t> found(stream_, 5);
  shared_bytes_ = 48;
  launch(1, 1, copy_in_groups, from.data(), found.data());
  const std::uint32_t garbage = ~0U;
  EXPECT_EQ(found.values(), (std::vector<std::uint32_t>{garbage, 1, 0, garbage, 9}));
}

// ---- tensor cores

// 16 x 32 (rows) times 32 x 8 (columns), both with 32 bytes in sequence, as kernels use it: tiles
// of 8 x 16 bytes. `sums` is 16 x 8 by rows.
void multiply_a_tile(const std::int8_t* a, const std::int8_t* b, std::int32_t* sums) {
  unsigned char* A = widedeq::cuda::dynamic_shared();
  unsigned char* B = A + 512;
  const unsigned lane = threadIdx.x;
  std::memcpy(A + 16 * lane, a + 16 * lane, 16);
  if (lane < 16) std::memcpy(B + 16 * lane, b + 16 * lane, 16);
  __syncthreads();

  // Tiles of A: rows 0..7 and 8..15 of bytes 0..15, then of bytes 16..31. Of B: bytes
  // 0..15, 16..31.
  std::uint32_t a_words[4], b_words[4];
  const unsigned tile = lane / 8, row = lane % 8;
  widedeq::cuda::load_tiles(a_words, A + 32 * (row + 8 * (tile % 2)) + 16 * (tile / 2));
  widedeq::cuda::load_tiles(b_words, B + 32 * row + 16 * (tile % 2));
  std::int32_t mine[4] = {1, 1, 1, 1};
  widedeq::cuda::multiply_tiles(mine, a_words, {b_words[0], b_words[1]});
  for (unsigned i = 0; i < 4; ++i)
    sums[8 * (lane / 4 + 8 * (i / 2)) + 2 * (lane % 4) + i % 2] = mine[i];
}

TEST_F(BlockTest, TilesMultiplyAsMatrices) {
  std::mt19937 engine(1);
  const auto draw = [&](std::size_t count) {
    std::vector<std::int8_t> values(count);
    for (std::int8_t& value : values)
      value = static_cast<std::int8_t>(engine());
    return values;
  };
  const std::vector<std::int8_t> a = draw(16 * 32), b = draw(8 * 32);
  const DeviceArray<std::int8_t> a_there(stream_, a), b_there(stream_, b);
  const DeviceArray<std::int32_t> sums(stream_, 16 * 8);
  shared_bytes_ = 768;
  launch(1, 32, multiply_a_tile, a_there.data(), b_there.data(), sums.data());
  const std::vector<std::int32_t> found = sums.values();
  for (std::size_t i = 0; i < 16; ++i)
    for (std::size_t j = 0; j < 8; ++j) {
      std::int32_t expected = 1;
      for (std::size_t k = 0; k < 32; ++k)
        expected += a[32 * i + k] * b[32 * j + k];
      EXPECT_EQ(found[8 * i + j], expected) << i << ", " << j;
    }
}

}  // namespace
}  // namespace cuda_on_host::test
