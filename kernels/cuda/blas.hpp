// What of cuBLAS several stages call beside gemm (multiply.hpp): symmetric products, by element
// type.
#pragma once

#include <limits>
#include <string>

#include "kernels/cuda/context.hpp"

namespace widedeq::cuda {

/// A size as cuBLAS takes it. Throws ShapeError beyond 2^31 - 1.
inline int blas_size(Index size) {
  if (size > std::numeric_limits<int>::max())
    throw ShapeError("a size of " + std::to_string(size) + " is more than cuBLAS can index");
  return static_cast<int>(size);
}

/// The lower triangle of C += M'M. M is k x n, C n x n.
inline void add_symmetric_product(Context& context, MatrixView<const double> M,
                                  MatrixView<double> C) {
  if (M.empty()) return;
  const double one = 1.0;
  WIDEDEQ_CUDA_CHECK(cublasDsyrk(context.blas(), CUBLAS_FILL_MODE_LOWER, CUBLAS_OP_T,
                                 blas_size(C.columns), blas_size(M.rows), &one, M.data,
                                 blas_size(M.stride), &one, C.data, blas_size(C.stride)));
}

/// C = 0 for C without gaps between its columns.
template <class Real>
void clear(Context& context, MatrixView<Real> C) {
  WIDEDEQ_CUDA_CHECK(cudaMemsetAsync(
      C.data, 0, static_cast<std::size_t>(C.stride * C.columns) * sizeof(Real), context.stream()));
}

}  // namespace widedeq::cuda
