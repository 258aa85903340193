// Exact products of one strip of int8 rows with a few columns: the innermost loop of every mixed
// sweep, once for each kind of int8 instruction a processor may have.
//
//   sums(i, c) = start[c] + sum over k in [from, to) of a(i, k) q(k, c),    i < 64, c < columns
//
// The instructions multiply unsigned with signed bytes, so a strip holds a = A + 128 and `start`
// takes the surplus away: start[c] = -128 sum_k q(k, c). Sums wrap modulo 2^32 and come out right
// whenever the true one fits an int32, that is up to m = 132,104.
//
// A strip lies as k-groups of four: byte 64 k + 4 i + kk is a(i, k + kk), k a multiple of 4, zero
// beyond the matrix. So one register holds 16 rows by 4 k, whatever the kind of instruction.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/matrix_view.hpp"

namespace widedeq::cpu {

/// The rows of a strip.
inline constexpr Index strip_rows = 64;
/// The k that strips are padded to, and by how many bytes a kernel may read beyond a column of q.
inline constexpr Index strip_depth = 64;
/// No kernel takes more columns at a time.
inline constexpr Index most_strip_columns = 32;

struct StripKernel {
  const char* name;  // of the instructions
  Index columns;     // at a time, at most
  /// Six of its products are expected to take less time than one in single precision
  /// (kernels/digit_update.hpp).
  bool is_worth_digits;
  /// sums is 64 x columns, column-major. `from` is a multiple of 64; `to` is one as well or the
  /// height of q. Columns of q are `stride` apart and readable to the next multiple of 64.
  void (*multiply)(const std::uint8_t* strip, Index from, Index to, const std::int8_t* q,
                   Index stride, Index columns, const std::int32_t* start, std::int32_t* sums);
};

/// The kernels this processor can run and that agree with plain C++ in a trial at start-up, the
/// fastest first; the last one is plain C++.
std::span<const StripKernel> strip_kernels();

/// The first of them.
inline const StripKernel& strip_kernel() {
  return strip_kernels().front();
}

}  // namespace widedeq::cpu
