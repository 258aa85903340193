// Products of int8 strips against the sum they stand for, in 64-bit integers: every kernel this
// processor runs, every number of columns, both orientations, widths around the strips' height.
#include "kernels/cpu/strips.hpp"

#include <gtest/gtest.h>

#include <random>

#include "kernels/matrix.hpp"

namespace widedeq::cpu {
namespace {

std::vector<std::int8_t> random_digits(Index count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<int> digit(-127, 127);
  std::vector<std::int8_t> digits(static_cast<std::size_t>(count));
  for (std::int8_t& entry : digits)
    entry = static_cast<std::int8_t>(digit(random));
  return digits;
}

/// sum over k in [from, to) of op(M)(i, k) q(k)
std::int64_t dot(const std::vector<std::int8_t>& M, Index m, bool transposed, Index i,
                 const std::int8_t* q, Index from, Index to) {
  std::int64_t sum = 0;
  for (Index k = from; k < to; ++k)
    sum += std::int64_t{M[static_cast<std::size_t>(transposed ? k + i * m : i + k * m)]} * q[k];
  return sum;
}

constexpr Index widths[] = {1, 3, 4, 63, 64, 65, 130, 257};

TEST(Strips, EveryKernelMultipliesEveryRangeOfRows) {
  for (const StripKernel& kernel : strip_kernels())
    for (const Index m : widths)
      for (const bool transposed : {false, true}) {
        const std::vector<std::int8_t> M = random_digits(m * m, 1);
        // Columns end where the next one begins; beyond the last there is what a kernel may read.
        const std::vector<std::int8_t> q =
            random_digits(m * (kernel.columns + spare_columns(m)), 2);
        PackedStrips packed;
        packed.pack(M.data(), m, transposed ? Transpose::yes : Transpose::no);
        ASSERT_EQ(packed.strips(), (m + 63) / 64);
        for (Index s = 0; s < packed.strips(); ++s)
          for (const auto& [from, to] : {std::pair<Index, Index>{0, m}, {0, 64 * s}, {64 * s, m}})
            for (Index columns = 1; columns <= kernel.columns; ++columns) {
              std::vector<std::int32_t> start;
              for (Index c = 0; c < columns; ++c)
                start.push_back(static_cast<std::int32_t>(5 * c) +
                                without(surplus_of(q.data() + c * m + from, to - from)));
              std::vector<std::int32_t> sums(static_cast<std::size_t>(columns * strip_rows));
              kernel.multiply(packed.strip(s), from, to, q.data(), m, columns, start.data(),
                              sums.data());
              for (Index c = 0; c < columns; ++c)
                for (Index i = 0; i < std::min<Index>(64, m - 64 * s); ++i)
                  ASSERT_EQ(sums[static_cast<std::size_t>(i + c * 64)],
                            5 * c + dot(M, m, transposed, 64 * s + i, q.data() + c * m, from, to))
                      << kernel.name << ", m = " << m << ", strip " << s << ", k from " << from
                      << " to " << to << ", column " << c << " of " << columns;
            }
      }
}

TEST(Strips, SumsBeyondThirtyOneBitsOfUnsignedProductsAreStillExact) {
  // a = A + 128 = 255 and q = 127 add up to 2^31 after 66,313 products, A q = 127 127 not before
  // 133,144: in between the sums wrap and come back. A strip is enough to see it.
  constexpr Index depth = 131072;
  const std::vector<std::uint8_t> strip(static_cast<std::size_t>(depth * strip_rows), 255);
  const std::vector<std::int8_t> q(static_cast<std::size_t>(depth), 127);
  const auto surplus = static_cast<std::uint32_t>(128 * 127) * static_cast<std::uint32_t>(depth);
  const auto start = static_cast<std::int32_t>(0U - surplus);
  for (const StripKernel& kernel : strip_kernels()) {
    std::vector<std::int32_t> sums(strip_rows);
    kernel.multiply(strip.data(), 0, depth, q.data(), depth, 1, &start, sums.data());
    for (const std::int32_t sum : sums)
      ASSERT_EQ(sum, 127 * 127 * depth) << kernel.name;
  }
}

TEST(Strips, ProductsComeInPiecesThatCoverTheWhole) {
  for (const Index m : widths)
    for (const Index n : {1, 2, 7, 40}) {
      const std::vector<std::int8_t> M = random_digits(m * m, 3);
      const std::vector<std::int8_t> q = random_digits(m * (n + spare_columns(m)), 4);
      PackedStrips packed;
      packed.pack(M.data(), m, Transpose::no);
      std::vector<std::int64_t> product(static_cast<std::size_t>(m * n), -1);
      std::vector<Index> next(static_cast<std::size_t>(n), 0);
      multiply_strips(packed, {q.data(), m, n}, n,
                      [&](Index k, Index first, Index count, const std::int32_t* sums) {
                        EXPECT_EQ(first, next[static_cast<std::size_t>(k)]) << "rows in order";
                        next[static_cast<std::size_t>(k)] = first + count;
                        std::copy_n(sums, count, product.data() + first + k * m);
                      });
      for (Index k = 0; k < n; ++k) {
        ASSERT_EQ(next[static_cast<std::size_t>(k)], m);
        for (Index i = 0; i < m; ++i)
          ASSERT_EQ(product[static_cast<std::size_t>(i + k * m)],
                    dot(M, m, false, i, q.data() + k * m, 0, m))
              << "m = " << m << ", n = " << n << ", entry " << i << ", " << k;
      }
    }
}

TEST(Strips, PackingAgainForgetsTheOldMatrix) {
  PackedStrips packed;
  for (const Index m : {70, 70, 9}) {
    const std::vector<std::int8_t> M = random_digits(m * m, static_cast<std::uint64_t>(m) + 5);
    const std::vector<std::int8_t> q = random_digits(m * (1 + spare_columns(m)), 6);
    packed.pack(M.data(), m, Transpose::yes);
    multiply_strips(packed, {q.data(), m, 1}, 1,
                    [&](Index, Index first, Index count, const std::int32_t* sums) {
                      for (Index i = 0; i < count; ++i)
                        EXPECT_EQ(sums[i], dot(M, m, true, first + i, q.data(), 0, m));
                    });
  }
}

}  // namespace
}  // namespace widedeq::cpu
