// int8 matrices cut into strips of 64 rows, as strip kernels read them, and products with them.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/cpu/strip_kernel.hpp"

namespace widedeq::cpu {

/// How many strips cover m rows.
constexpr int strips_of(Index m) {
  return static_cast<int>((m + strip_rows - 1) / strip_rows);
}

/// n rounded up to what strips are padded to.
constexpr Index padded_depth(Index n) {
  return (n + strip_depth - 1) / strip_depth * strip_depth;
}

/// What turns four int8 into four bytes with 128 added, in one exclusive or.
inline constexpr std::uint32_t add_128 = 0x80808080U;

/// op(M) of an m x m int8 matrix M, packed strip by strip.
class PackedStrips {
 public:
  /// Packs op(M). M is column-major and dense, and may be freed afterwards.
  void pack(const std::int8_t* M, Index m, Transpose transpose);

  Index width() const { return width_; }
  Index strips() const { return strips_of(width_); }
  const std::uint8_t* strip(Index s) const { return bytes() + s * strip_bytes(); }

 private:
  std::uint8_t* bytes() const { return static_cast<std::uint8_t*>(memory_.get()); }
  Index strip_bytes() const { return strip_rows * padded_depth(width_); }

  Index width_ = 0;
  std::shared_ptr<void> memory_;
};

/// The columns an int8 matrix of that height must have beyond its last one, so that kernels may
/// read past the end of it.
constexpr Index spare_columns(Index height) {
  return (strip_depth + height - 1) / std::max<Index>(height, 1);
}

/// What the bytes of a strip have too much (strip_kernel.hpp): 128 times the sum of a column,
/// modulo 2^32 like all sums with them.
inline std::uint32_t surplus_of(const std::int8_t* q, Index count) {
  std::int32_t sum = 0;
#pragma omp simd reduction(+ : sum)
  for (Index i = 0; i < count; ++i)
    sum += q[i];
  return 128U * static_cast<std::uint32_t>(sum);
}

/// What a kernel's sums start from, given the surplus.
inline std::int32_t without(std::uint32_t surplus) {
  return static_cast<std::int32_t>(0U - surplus);
}

/// A thread's share of the columns. Every column goes through all strips on one thread, in order:
/// nothing depends on how many threads there are.
struct ColumnShare {
  Index first, last;

  explicit ColumnShare(Index columns) {
    const Index threads = omp_get_num_threads();
    const Index thread = omp_get_thread_num();
    first = columns * thread / threads;
    last = columns * (thread + 1) / threads;
  }
};

/// op(M) q, handed out in pieces: finish(k, first, count, sums) gets rows [first, first + count) of
/// column k of the product, exact, in ascending order of rows for each column. Called on all
/// threads at once, each with its own columns. q is m x columns, with spare_columns(m) behind.
template <class Finish>
void multiply_strips(const PackedStrips& M, MatrixView<const std::int8_t> q, Index columns,
                     Finish finish) {
  const StripKernel& kernel = strip_kernel();
  const Index m = M.width();
  std::vector<std::int32_t> start(static_cast<std::size_t>(columns));
#pragma omp parallel
  {
    const ColumnShare mine(columns);
    for (Index k = mine.first; k < mine.last; ++k)
      start[static_cast<std::size_t>(k)] = without(surplus_of(q.column(k), m));
    alignas(64) std::int32_t sums[most_strip_columns * strip_rows];
    for (Index s = 0; s < M.strips(); ++s) {
      const Index first = s * strip_rows;
      const Index count = std::min(strip_rows, m - first);
      for (Index k = mine.first; k < mine.last; k += kernel.columns) {
        const Index group = std::min(kernel.columns, mine.last - k);
        kernel.multiply(M.strip(s), 0, m, q.column(k), q.stride, group, start.data() + k, sums);
        for (Index c = 0; c < group; ++c)
          finish(k + c, first, count, sums + c * strip_rows);
      }
    }
  }
}

}  // namespace widedeq::cpu
