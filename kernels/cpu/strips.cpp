// Packing; see strips.hpp.
#include "kernels/cpu/strips.hpp"

#include <cstring>

#include "kernels/cpu/workspace.hpp"

namespace widedeq::cpu {
namespace {

/// op(M)(i, k) = M(k, i): four k of a row lie side by side. In squares, which the first-level cache
/// holds.
void pack_rows(const std::int8_t* M, Index m, Index first, Index rows, std::uint8_t* strip) {
  for (Index begin = 0; begin < m; begin += strip_depth) {
    const Index end = std::min(m, begin + strip_depth);
    for (Index i = 0; i < rows; ++i) {
      const std::int8_t* row = M + (first + i) * m;
      std::uint8_t* out = strip + 4 * i;
      Index k = begin;
      for (; k + 4 <= end; k += 4) {
        std::uint32_t four;
        std::memcpy(&four, row + k, sizeof four);
        four ^= add_128;
        std::memcpy(out + k * strip_rows, &four, sizeof four);
      }
      for (; k < end; ++k)
        out[k / 4 * 4 * strip_rows + k % 4] = static_cast<std::uint8_t>(row[k] + 128);
    }
  }
}

/// op(M)(i, k) = M(i, k): the 64 rows of a column lie side by side.
void pack_columns(const std::int8_t* M, Index m, Index first, Index rows, std::uint8_t* strip) {
  for (Index k = 0; k < m; k += 4) {
    std::uint8_t* out = strip + k * strip_rows;
    for (Index kk = 0; kk < std::min<Index>(4, m - k); ++kk) {
      const std::int8_t* column = M + (k + kk) * m + first;
      for (Index i = 0; i < rows; ++i)
        out[4 * i + kk] = static_cast<std::uint8_t>(column[i] + 128);
    }
  }
}

}  // namespace

void PackedStrips::pack(const std::int8_t* M, Index m, bool transposed) {
  if (width_ != m) {
    width_ = m;
    memory_.reset();
    memory_ = allocate_zeroed(static_cast<std::size_t>(strips() * strip_bytes()));
  }
#pragma omp parallel for schedule(static)
  for (Index s = 0; s < strips(); ++s) {
    const Index first = s * strip_rows;
    const Index rows = std::min(strip_rows, m - first);
    std::uint8_t* strip = bytes() + s * strip_bytes();
    if (transposed) {
      pack_rows(M, m, first, rows, strip);
    } else {
      pack_columns(M, m, first, rows, strip);
    }
  }
}

}  // namespace widedeq::cpu
