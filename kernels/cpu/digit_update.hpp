// C += alpha (left diag r) right' by int8 products; see kernels/digit_update.hpp.
#pragma once

#include <cstddef>
#include <span>

#include "kernels/cpu/strip_kernel.hpp"

namespace widedeq::cpu {

/// C += alpha G with G = (left diag r) right', C a x b, left a x n, right b x n. Returns ||G||_F^2.
/// A row with an entry that is not finite makes its row or column of C not a number. The shapes
/// must have gone by suits_digits().
double rank_update_in_digits(MatrixView<float> C, double alpha, MatrixView<const float> left,
                             std::span<const double> r, MatrixView<const float> right,
                             const StripKernel& kernel, std::byte* buffer);

/// The bytes of its buffer, which begins on a 64-byte boundary.
std::size_t digit_update_bytes(Index a, Index b, Index n);

}  // namespace widedeq::cpu
