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
// The inner sums are exact, so all that is lost is the rests, 1.9e-4 u_i v_j a term with random
// signs, and what is left out, the products with p + q > 2: 4.6e-4 u_i v_j. Whatever n is, normal
// entries, of which half may be zero, are off by 6e-7 of G in the Frobenius norm, as a gradient is
// by solves to 1e-6. (With p + q = 3 it would be 3e-7, for a third more work.)
//
// The digits of a row lie one behind the other, e0 e1 e2 and d2 d1 d0. Then the products of one
// order p + q are one product, of as many times n terms an entry as there are pairs:
//
//   order 0  e0        with d0
//   order 1  e0 e1     with d1 d0
//   order 2  e0 e1 e2  with d2 d1 d0
//
// Six n in all: it pays where int8 products are more than six times as fast as those in single
// precision.
//
// Source: K. Ozaki et al., "Error-free transformations of matrix multiplication", Numer. Algorithms
// 59 (2012); here with units by row, a fixed number of digits and integer sums.
#pragma once

#include "kernels/backend.hpp"

namespace widedeq {

inline constexpr int update_digits = most_digits;

/// What is multiplied for the sums with p + q = order: digits e0 ... of left's rows, `pairs` of
/// them, and as many d ..., of right's as they lie, from place `first_place` on.
struct DigitOrder {
  int pairs, first_place;
};

inline constexpr int update_orders = update_digits;

constexpr DigitOrder digit_order(int order) {
  return {order + 1, update_digits - 1 - order};
}

/// Products of two digits that an update adds up.
inline constexpr int update_products = update_digits * (update_digits + 1) / 2;

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
