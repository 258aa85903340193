// Products: the libraries' of matrices, and our own of A with a vector.
#pragma once

#include <span>

#include "kernels/backend.hpp"
#include "kernels/cuda/context.hpp"

namespace widedeq::cuda {

/// C = alpha op(A) op(B) + beta C by cuBLAS, Real float or double, without TF32. Asynchronous, on
/// `stream`; null: the context's. May be captured into a graph.
template <class Real>
void gemm(Context& context, Transpose transpose_A, Transpose transpose_B, Real alpha,
          MatrixView<const Real> A, MatrixView<const Real> B, Real beta, MatrixView<Real> C,
          cudaStream_t stream = nullptr);

/// product = rows' q by cuBLASLt: int8 with int32 sums, exact. rows is K x a, q is K x c, product
/// a x c. Column i of `rows` is row i of the left factor, so that both factors are read along their
/// columns, which is what the library's int8 kernels want. Data on 16-byte boundaries, strides
/// multiples of 16 (int8) and 4 (int32); a, c and K are rounded up to multiples of 16, a at most to
/// the product's stride: there must be memory so far, with zeros in `rows` or `q` beyond K. Throws
/// ShapeError where strides or alignment do not allow it. Asynchronous, on `stream`; null: the
/// context's. What has not been prepared for prepares for itself first, which waits; a product that
/// is captured into a graph must have been.
void multiply_integers(Context& context, MatrixView<const std::int8_t> rows,
                       MatrixView<const std::int8_t> q, MatrixView<std::int32_t> product,
                       cudaStream_t stream = nullptr);

/// Chooses the library's kernel for such a product and allocates what it needs: tries out those
/// that the library recommends when sizes and strides like these first come, overwrites `product`
/// for that and waits. What the matrices hold and where they lie does not matter.
void prepare_multiply_integers(Context& context, MatrixView<const std::int8_t> rows,
                               MatrixView<const std::int8_t> q, MatrixView<std::int32_t> product);

/// y = op(A) x in double; see Backend::apply.
void apply(Context& context, const WeightView& A, Transpose transpose, std::span<const double> x,
           std::span<double> y);

}  // namespace widedeq::cuda
