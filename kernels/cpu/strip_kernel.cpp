// The kernels and the choice among them; see strip_kernel.hpp.
#include "kernels/cpu/strip_kernel.hpp"

#include <cstring>
#include <vector>

#include "kernels/cpu/has_amx.hpp"
#include "kernels/cpu/strip_kernel_amx.hpp"
#include "kernels/cpu/strip_kernel_vnni.hpp"

namespace widedeq::cpu {
namespace {

/// Plain C++, for processors with none of the instructions. Four k at a time, as they lie.
void multiply_plainly(const std::uint8_t* strip, Index from, Index to, const std::int8_t* q,
                      Index stride, Index columns, const std::int32_t* start, std::int32_t* sums) {
  for (Index c = 0; c < columns; ++c) {
    std::uint32_t sum[strip_rows];  // unsigned: wraps without undefined behaviour
    for (std::uint32_t& entry : sum)
      entry = static_cast<std::uint32_t>(start[c]);
    for (Index k = from; k < to; k += 4) {
      const std::uint8_t* a = strip + k * strip_rows;
      const std::int8_t* four = q + c * stride + k;
#pragma omp simd
      for (Index i = 0; i < strip_rows; ++i) {
        std::int32_t dot = 0;
        for (Index kk = 0; kk < 4; ++kk)
          dot += a[4 * i + kk] * four[kk];
        sum[i] += static_cast<std::uint32_t>(dot);
      }
    }
    std::memcpy(sums + c * strip_rows, sum, sizeof sum);
  }
}

constexpr StripKernel plain_kernel{"plain C++", 1, false, multiply_plainly};

/// Whether a kernel computes what the plain one does, over the whole range of the digits and for
/// every number of columns it may be given.
bool agrees(const StripKernel& kernel) {
  constexpr Index from = strip_depth, to = 3 * strip_depth, stride = to + strip_depth;
  std::vector<std::uint8_t> strip(strip_rows * to);
  std::vector<std::int8_t> q(static_cast<std::size_t>(stride * most_strip_columns));
  std::vector<std::int32_t> start(most_strip_columns);
  for (std::size_t i = 0; i < strip.size(); ++i)
    strip[i] = static_cast<std::uint8_t>(i * 37 % 256);
  for (std::size_t i = 0; i < q.size(); ++i)
    q[i] = static_cast<std::int8_t>(static_cast<int>(i * 91 % 256) - 128);
  for (std::size_t i = 0; i < start.size(); ++i)
    start[i] = static_cast<std::int32_t>(i * 1001) - 7;
  for (Index columns = 1; columns <= kernel.columns; ++columns) {
    const auto count = static_cast<std::size_t>(columns * strip_rows);
    std::vector<std::int32_t> sums(count, -1), wanted(count);
    kernel.multiply(strip.data(), from, to, q.data(), stride, columns, start.data(), sums.data());
    multiply_plainly(strip.data(), from, to, q.data(), stride, columns, start.data(),
                     wanted.data());
    if (sums != wanted) return false;
  }
  return true;
}

}  // namespace

std::span<const StripKernel> strip_kernels() {
  static const std::vector<StripKernel> kernels = [] {
    std::vector<StripKernel> found;
    if (has_amx() && agrees(amx_kernel)) found.push_back(amx_kernel);
    if (has_vnni() && agrees(vnni_kernel)) found.push_back(vnni_kernel);
    found.push_back(plain_kernel);
    return found;
  }();
  return kernels;
}

}  // namespace widedeq::cpu
