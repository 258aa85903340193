// C += alpha (left diag r) right' by int8 products; see kernels/digit_update.hpp.
#pragma once

#include "kernels/cuda/context.hpp"
#include "kernels/digit_update.hpp"
#include "kernels/matrix_view.hpp"

namespace widedeq::cuda {

/// C += alpha G with G = (left diag r) right', C a x b, left a x n, right b x n; squares[j] =
/// ||G_j||^2, unless that is null. r (n) and squares (b) are in device memory. A row with an entry
/// that is not finite makes its row or column of C not a number. Takes the scratch memory of
/// products and digits; up to `panel_bytes` of sums exist at a time. Asynchronous, but for the
/// first products of a shape (multiply.hpp).
void rank_update_in_digits(Context& context, MatrixView<float> C, double alpha,
                           MatrixView<const float> left, const double* r,
                           MatrixView<const float> right, double* squares,
                           Index panel_bytes = Index{256} << 20);

/// Whether M'M may be made of digits, M k x n.
constexpr bool suits_symmetric_product(Index k, Index n) {
  return suits_digits(n, n, k);
}

/// product = M'M, M k x n with suits_symmetric_product(k, n), the product n x n and symmetric: from
/// digits of M's columns. The padding behind the product's columns becomes zero. A column with an
/// entry that is not finite makes its row and column of the product NaN. Scratch memory and waiting
/// as above.
void symmetric_product_in_digits(Context& context, MatrixView<const float> M,
                                 MatrixView<float> product);

}  // namespace widedeq::cuda
