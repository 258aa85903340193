// Rank updates of single-precision matrices by int8 products: what every backend goes by.
//
//   G = (left diag r) right'        left a x n, right b x n
//
// Each factor is taken apart into three base-256 digits, a row having one power-of-two unit:
//
//   left(i, k) r_k = u_i (e0 + e1 / 256 + e2 / 256^2)(i, k) + rest,   |rest| <= u_i / 2^17
//   right(j, k)    = v_j (d0 + d1 / 256 + d2 / 256^2)(j, k) + rest
//   G(i, j)        = u_i v_j sum over p, q of 256^-(p + q) sum over k of e_p(i, k) d_q(j, k)
//
// The inner sums are exact, so all that is lost is the rests, and the products of the last digits,
// p = q = 2, which are left out: with random signs 2e-4 u_i v_j a term, whatever n is. Normal
// entries, of which half may be zero, are off by 3e-7 of G in the Frobenius norm.
//
// The digits of a row lie one behind the other, e0 e1 e2 and d2 d1 d0. Then the products of one
// order p + q are one product, of as many times n terms an entry as there are pairs:
//
//   order 0  e0        with d0          order 2  e0 e1 e2  with d2 d1 d0
//   order 1  e0 e1     with d1 d0       order 3  e1 e2     with d2 d1
//
// Eight n in all: it pays where int8 products are more than eight times as fast as those in single
// precision.
//
// Source: K. Ozaki et al., "Error-free transformations of matrix multiplication", Numer. Algorithms
// 59 (2012); here with units by row, a fixed number of digits and integer sums.
#pragma once

#include "kernels/backend.hpp"

namespace widedeq {

inline constexpr int update_digits = most_digits;

/// What is multiplied for the sums with p + q = order: digits e_first ... of left's rows, `pairs`
/// of them, and as many d ..., of right's as they lie, from place `first_place` on.
struct DigitOrder {
  int first, pairs, first_place;
};

inline constexpr int update_orders = 4;

constexpr DigitOrder digit_order(int order) {
  const int last = order < update_digits ? order : update_digits - 1;
  const int first = order - last;
  return {first, last - first + 1, update_digits - 1 - last};
}

/// Products of two digits that an update adds up.
inline constexpr int update_products = update_digits * update_digits - 1;

/// Whether the sums are exact, and the matrices not so narrow that taking them apart takes longer
/// than multiplying them.
constexpr bool suits_digits(Index a, Index b, Index n) {
  constexpr Index narrowest = 64;
  constexpr std::int64_t largest_product = 128 * 128;
  constexpr std::int64_t longest = ((std::int64_t{1} << 31) - 1) / largest_product;
  return a >= narrowest && b >= narrowest && n >= narrowest && update_digits * n <= longest;
}

/// Whether an update of a matrix with b columns is wanted in digits: in mixed, of single-precision
/// numbers, and of a shape that suits. `left` is a x n.
inline bool wants_digits(Precision precision, const ConstBlock& left, Index b) {
  return precision == Precision::mixed && left.element == Element::float32 &&
         suits_digits(left.rows, b, left.columns);
}

}  // namespace widedeq
