// The library's products for Gauss-Seidel sweeps by row panels: what a panel of rows takes from
// some of the increments.
//
//   product = op(A)(rows, from ... to - 1) q      q: the increments' rows from ... to - 1, packed
#pragma once

#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/multiply.hpp"
#include "kernels/cuda/operand.hpp"
#include "kernels/cuda/pack.hpp"
#include "kernels/cuda/panel_pass.cuh"

namespace widedeq::cuda {

/// product = rows' q for views that begin anywhere, an entry a thread: for panels of a few rows,
/// which are not what the library wants.
template <class Sum>
__global__ void multiply_plainly(MatrixView<const std::int8_t> rows,
                                 MatrixView<const std::int8_t> q, MatrixView<Sum> product) {
  const Index threads = static_cast<Index>(gridDim.x) * blockDim.x;
  for (Index at = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x;
       at < product.rows * product.columns; at += threads) {
    const Index i = at % product.rows, k = at / product.rows;
    Sum sum = 0;
    for (Index r = 0; r < rows.rows; ++r)
      sum += rows(r, i) * q(r, k);
    product(i, k) = sum;
  }
}

/// Whether the library may round such a product's sizes up (multiply_integers): what it reads
/// beyond the increments meant must be the zeros at A's end, and what it reads beyond the rows must
/// exist.
inline bool suits_library(const DigitOperand& A, const PanelRows& rows, Index from, Index to) {
  const auto even = [](Index position) { return position % column_alignment == 0; };
  return even(rows.first) && even(from) && (even(to) || to == A.width);
}

/// The product of a panel's rows with the increments of rows from ... to - 1.
template <class Real>
void multiply_panel(Context& context, const DenseOperand& A, Transpose transpose,
                    const PanelRows& rows, Index from, Index to, MatrixView<const Real> q,
                    MatrixView<Real> product, cudaStream_t stream) {
  const auto whole = A.A.block().as<const Real>();
  const bool transposed = transpose == Transpose::yes;
  const MatrixView<const Real> part(
      transposed ? &whole(from, rows.first) : &whole(rows.first, from),
      transposed ? to - from : rows.count, transposed ? rows.count : to - from, whole.stride);
  gemm<Real>(context, transpose, Transpose::no, Real(1), part, q, Real(0), product, stream);
}
inline void multiply_panel(Context& context, const DigitOperand& A, Transpose transpose,
                           const PanelRows& rows, Index from, Index to,
                           MatrixView<const std::int8_t> q, MatrixView<std::int32_t> product,
                           cudaStream_t stream) {
  const auto whole = A.base[transpose].middle_columns(rows.first, rows.count);
  const MatrixView<const std::int8_t> part(whole.data + from, to - from, rows.count, whole.stride);
  if (suits_library(A, rows, from, to)) return multiply_integers(context, part, q, product, stream);
  launch(stream, grid_for(product.rows * product.columns), multiply_plainly<std::int32_t>, part, q,
         product);
}

/// Readies the library for such a product in a captured sweep.
inline void prepare_panel(Context& context, const DigitOperand& A, Transpose transpose,
                          const PanelRows& rows, Index from, Index to,
                          MatrixView<const std::int8_t> q, MatrixView<std::int32_t> product) {
  const auto whole = A.base[transpose].middle_columns(rows.first, rows.count);
  const MatrixView<const std::int8_t> part(whole.data + from, to - from, rows.count, whole.stride);
  if (from < to && suits_library(A, rows, from, to))
    prepare_multiply_integers(context, part, q, product);
}

}  // namespace widedeq::cuda
