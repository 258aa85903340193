// Exact products of int8 matrices by oneDNN: int32 sums, no rounding, hence the same bits whatever
// the blocking, the number of threads or the order of summation (exact while m <= 132,104).
#pragma once

#include <cstdint>
#include <dnnl.hpp>
#include <string>

#include "kernels/matrix_view.hpp"

namespace widedeq::cpu {

/// The number of columns a product is rounded up to: oneDNN generates code per shape, and a solve
/// whose open columns dwindle one by one must not wait for a new kernel each time.
inline constexpr Index column_step = 64;

constexpr Index padded_columns(Index columns) {
  return (columns + column_step - 1) / column_step * column_step;
}

/// op(M) of an m x m int8 matrix M, in the layout oneDNN's kernels read fastest.
class PackedIntegers {
 public:
  PackedIntegers() = default;

  /// Packs op(M). M is column-major and dense, and may be freed afterwards.
  void pack(const std::int8_t* M, Index m, Transpose transpose);

  /// product = op(M) q; q and product are m x columns, column-major and dense (oneDNN is fast on
  /// dense matrices alone), columns a multiple of column_step.
  void multiply(const std::int8_t* q, Index columns, std::int32_t* product) const;

 private:
  Index width_ = 0;
  dnnl::memory weights_;
};

/// Why int8 products are not exact on this machine, or an empty string: a small product at the ends
/// of the range is compared with ordinary arithmetic (processors without VNNI saturate at 16 bits).
std::string why_integers_are_inexact();

/// Whether the processor has int8 dot products that oneDNN uses well (AVX512-VNNI, AMX).
bool has_fast_integers();

/// "oneDNN 2.6.3 (avx512_core_amx)" and the like.
std::string integer_library();

}  // namespace widedeq::cpu
