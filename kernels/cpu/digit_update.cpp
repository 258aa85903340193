// Rank updates by int8 products; see digit_update.hpp.
//
// Both factors are taken apart 64 rows at a time, while those are in cache: `left` into strips, as
// kernels read them, `right` into columns of q. A strip then meets a few columns, a product for
// each order, and what comes out is added to C at once.
//
// Expected: six int8 products of depth n, at the rate of a sweep's, instead of one in single
// precision. Measured, when there were eight, on 2 cores of an Emerald Rapids without AMX, where
// that is no gain, against OpenBLAS's sgemm: 218 ms for 122 at 4096 x 1000 (1,230 Gop/s), 29.5 for
// 16.9 at 2048 x 500, 5.8 for 3.2 at 1024 x 360. What is left out: 6e-7 of G; in single precision
// it is 1.7e-7.
#include "kernels/cpu/digit_update.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/cpu/strips.hpp"
#include "kernels/digit_update.hpp"

namespace widedeq::cpu {
namespace {

/// A factor's rows `first` ..., times diag r where there is one.
struct Rows {
  MatrixView<const float> M;
  std::span<const double> r;  // empty: ones
  Index first, count;

  float factor(Index k) const {
    return r.empty() ? 1.0F : static_cast<float>(r[static_cast<std::size_t>(k)]);
  }
  const float* column(Index k) const { return M.column(k) + first; }
};

/// The rows' units; NaN for one with an entry that is not finite.
void measure(const Rows& rows, float* units) {
  // As integers, magnitudes ascend to infinity, and beyond it to what is not a number.
  std::array<std::uint32_t, strip_rows> largest{};
  for (Index k = 0; k < rows.M.columns; ++k) {
    const float* column = rows.column(k);
    const float factor = rows.factor(k);
#pragma omp simd
    for (Index i = 0; i < rows.count; ++i) {
      const auto bits = std::bit_cast<std::uint32_t>(std::abs(factor * column[i]));
      largest[static_cast<std::size_t>(i)] = std::max(largest[static_cast<std::size_t>(i)], bits);
    }
  }
  for (Index i = 0; i < rows.count; ++i) {
    const float value = std::bit_cast<float>(largest[static_cast<std::size_t>(i)]);
    units[i] = std::isfinite(value) ? int8_scale(value) : std::numeric_limits<float>::quiet_NaN();
  }
}

/// Calls put(digit, k, words) for every digit and every fourth k: a word for each of 64 rows, with
/// its four bytes from k on, the first in the lowest. They are put()'s to change.
template <class Put>
void take_apart(const Rows& rows, const float* units, Put put) {
  float inverse[strip_rows];
  for (Index i = 0; i < rows.count; ++i)
    inverse[i] = 1.0F / units[i];
  std::uint32_t words[update_digits][strip_rows];
  for (Index k = 0; k < rows.M.columns; k += 4) {
    std::memset(words, 0, sizeof words);
    for (Index kk = 0; kk < std::min<Index>(4, rows.M.columns - k); ++kk) {
      const float* column = rows.column(k + kk);
      const float factor = rows.factor(k + kk);
      const auto shift = static_cast<unsigned>(8 * kk);
      static_assert(update_digits == 3);
#pragma omp simd
      for (Index i = 0; i < rows.count; ++i) {
        const std::int32_t expanded = expand(factor * column[i] * inverse[i]);
        words[0][i] |= digit_byte(expanded, 0) << shift;
        words[1][i] |= digit_byte(expanded, 1) << shift;
        words[2][i] |= digit_byte(expanded, 2) << shift;
      }
    }
    for (int p = 0; p < update_digits; ++p)
      put(p, k, words[p]);
  }
}

/// Where the digits lie.
struct Layout {
  Index a, b, depth;  // depth: of one digit, with its padding

  Layout(Index a, Index b, Index n) : a(a), b(b), depth(padded_depth(n)) {}

  Index row() const { return update_digits * depth; }
  Index strip() const { return strip_rows * row(); }
  Index strip_bytes() const { return strips_of(a) * strip(); }
  Index q_bytes() const { return b * row(); }
  Index words() const { return a + b + update_orders * b; }  // units, and what sums start from
};

/// C += alpha u G v, one column's rows of a strip; returns ||u v G||^2.
double add_rows(float* C, float alpha, const float* u, float v, const float* sums, Index count) {
  double squares = 0.0;
#pragma omp simd reduction(+ : squares)
  for (Index i = 0; i < count; ++i) {
    const float G = u[i] * sums[i] * v;
    C[i] += alpha * G;
    squares += static_cast<double>(G) * static_cast<double>(G);
  }
  return squares;
}

/// sums = sums / 256 + more
void add_order(float* sums, const std::int32_t* more, Index count) {
  constexpr float weight = 1.0F / 256.0F;
#pragma omp simd
  for (Index i = 0; i < count; ++i)
    sums[i] = sums[i] * weight + static_cast<float>(more[i]);
}

class Update {
 public:
  Update(MatrixView<const float> left, std::span<const double> r, MatrixView<const float> right,
         std::byte* bytes)
      : layout_(left.rows, right.rows, left.columns) {
    strips_ = reinterpret_cast<std::uint8_t*>(bytes);
    q_ = reinterpret_cast<std::int8_t*>(bytes + layout_.strip_bytes());
    u_ = reinterpret_cast<float*>(bytes + layout_.strip_bytes() + layout_.q_bytes());
    v_ = u_ + layout_.a;
    starts_ = reinterpret_cast<std::int32_t*>(v_ + layout_.b);
#pragma omp parallel
    {
#pragma omp for schedule(static) nowait
      for (Index s = 0; s < strips_of(layout_.a); ++s)
        make_strip({left, r, s * strip_rows, std::min(strip_rows, layout_.a - s * strip_rows)}, s);
#pragma omp for schedule(static)
      for (Index s = 0; s < strips_of(layout_.b); ++s)
        make_columns({right, {}, s * strip_rows, std::min(strip_rows, layout_.b - s * strip_rows)});
    }
  }

  /// C += alpha G; returns ||G||^2 of every column.
  std::vector<double> add(MatrixView<float> C, double alpha, const StripKernel& kernel) const {
    std::vector<double> squares(static_cast<std::size_t>(layout_.b));
#pragma omp parallel
    {
      const ColumnShare mine(layout_.b);
      for (Index s = 0; s < strips_of(layout_.a); ++s)
        for (Index j = mine.first; j < mine.last; j += kernel.columns)
          add_piece(C, static_cast<float>(alpha), s, j, std::min(kernel.columns, mine.last - j),
                    kernel, squares.data() + j);
    }
    return squares;
  }

 private:
  void make_strip(const Rows& rows, Index s) {
    measure(rows, u_ + rows.first);
    std::uint8_t* strip = strips_ + s * layout_.strip();
    take_apart(rows, u_ + rows.first, [&](int digit, Index k, std::uint32_t* words) {
#pragma omp simd
      for (Index i = 0; i < strip_rows; ++i)
        words[i] ^= add_128;
      std::memcpy(strip + strip_rows * (digit * layout_.depth + k), words, 4 * strip_rows);
    });
    // Beyond n, q is zero and a strip may hold what it likes.
  }

  void make_columns(const Rows& rows) {
    measure(rows, v_ + rows.first);
    std::int8_t* columns = q_ + rows.first * layout_.row();
    const Index n = rows.M.columns;
    for (Index i = 0; i < rows.count; ++i)
      for (int digit = 0; digit < update_digits; ++digit)
        std::fill_n(columns + i * layout_.row() + digit * layout_.depth + n / 4 * 4,
                    layout_.depth - n / 4 * 4, std::int8_t{0});
    take_apart(rows, v_ + rows.first, [&](int digit, Index k, const std::uint32_t* words) {
      std::int8_t* to = columns + (update_digits - 1 - digit) * layout_.depth + k;
      for (Index i = 0; i < rows.count; ++i)
        std::memcpy(to + i * layout_.row(), words + i, 4);
    });
    for (Index i = 0; i < rows.count; ++i)
      for (int order = 0; order < update_orders; ++order)
        starts(order)[rows.first + i] =
            without(surplus_of(q_of(order, rows.first + i), depth_of(order)));
  }

  /// How many terms an order's sums have.
  Index depth_of(int order) const {
    return digit_order(order).pairs * layout_.depth;
  }
  /// The digits of row j of `right` that belong to an order, and those of a strip, its first ones.
  const std::int8_t* q_of(int order, Index j) const {
    return q_ + j * layout_.row() + digit_order(order).first_place * layout_.depth;
  }
  const std::uint8_t* strip_of(Index s) const {
    return strips_ + s * layout_.strip();
  }
  /// What the sums of an order's products start from, for every row of `right`.
  std::int32_t* starts(int order) const {
    return starts_ + order * layout_.b;
  }

  /// A strip's rows of a few columns.
  void add_piece(MatrixView<float> C, float alpha, Index s, Index j, Index columns,
                 const StripKernel& kernel, double* squares) const {
    alignas(64) std::int32_t exact[most_strip_columns * strip_rows];
    alignas(64) float sums[most_strip_columns * strip_rows] = {};
    for (int order = update_orders - 1; order >= 0; --order) {  // small terms first
      kernel.multiply(strip_of(s), 0, depth_of(order), q_of(order, j), layout_.row(), columns,
                      starts(order) + j, exact);
      add_order(sums, exact, columns * strip_rows);
    }
    const Index first = s * strip_rows;
    const Index count = std::min(strip_rows, layout_.a - first);
    for (Index c = 0; c < columns; ++c)
      squares[c] += add_rows(C.column(j + c) + first, alpha, u_ + first, v_[j + c],
                             sums + c * strip_rows, count);
  }

  Layout layout_;
  std::uint8_t* strips_;  // u (e0 e1 e2), strip after strip
  std::int8_t* q_;        // v (d2 d1 d0), row after row of `right`
  float *u_, *v_;         // units
  std::int32_t* starts_;  // update_orders x b
};

}  // namespace

std::size_t digit_update_bytes(Index a, Index b, Index n) {
  const Layout layout(a, b, n);
  constexpr Index word = sizeof(float);
  return static_cast<std::size_t>(layout.strip_bytes() + layout.q_bytes() + word * layout.words());
}

double rank_update_in_digits(MatrixView<float> C, double alpha, MatrixView<const float> left,
                             std::span<const double> r, MatrixView<const float> right,
                             const StripKernel& kernel, std::byte* buffer) {
  const Update update(left, r, right, buffer);
  double total = 0.0;  // in ascending order, so threads do not change the bits
  for (const double squares : update.add(C, alpha, kernel))
    total += squares;
  return total;
}

}  // namespace widedeq::cpu
