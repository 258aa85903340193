// Rank updates of single-precision matrices by int8 products: what every backend goes by.
//
//   G = (left diag r) right'        left a x n, right b x n
//
// Each factor is taken apart into three base-256 digits, a row having one power-of-two unit:
//
//   left(i, k) r_k = u_i (e0 + e1 / 256 + e2 / 256^2)(i, k) + rest,   |rest| <= u_i / 2^17
//   right(j, k)    = v_j (d0 + d1 / 256 + d2 / 256^2)(j, k) + rest
//   G(i, j)        = u_i v_j sum over p + q < 3 of 256^-(p + q) sum over k of e_p(i, k) d_q(j, k)
//
// The inner sums are exact, so all that is lost is the rests and the products with p + q > 2: with
// random signs about 5e-4 u_i v_j a term, whatever n is. Normal entries, of which half may be zero,
// are off by 1e-6 of G in the Frobenius norm, a tenth of what gradients may be off by.
//
// The digits of a row lie one behind the other, e0 e1 e2 and d2 d1 d0. Then products of one order
// p + q are one product: of e0 .. e_order with d_order .. d0, (order + 1) n terms an entry. Six n
// in all: it pays where int8 products are more than six times as fast as those in single precision.
//
// Source: K. Ozaki et al., "Error-free transformations of matrix multiplication", Numer. Algorithms
// 59 (2012); here with units by row, a fixed number of digits and integer sums.
#pragma once

#include "kernels/element.hpp"
#include "kernels/matrix_view.hpp"

namespace widedeq {

inline constexpr int update_digits = most_digits;

/// Products of two digits that an update adds up: those with p + q < update_digits.
inline constexpr int update_products = update_digits * (update_digits + 1) / 2;

/// Whether the sums are exact, and the matrices not so narrow that taking them apart takes longer
/// than multiplying them.
constexpr bool suits_digits(Index a, Index b, Index n) {
  constexpr Index narrowest = 64;
  constexpr std::int64_t largest_product = 128 * 128;
  constexpr std::int64_t longest = ((std::int64_t{1} << 31) - 1) / largest_product;
  return a >= narrowest && b >= narrowest && n >= narrowest && update_digits * n <= longest;
}

}  // namespace widedeq
