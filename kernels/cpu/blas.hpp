// OpenBLAS by element type: the two names of one product become one.
#pragma once

#include <cblas.h>

#include <limits>
#include <stdexcept>

#include "kernels/backend.hpp"

namespace widedeq::cpu {

/// A size as BLAS takes it. Throws ShapeError beyond 2^31 - 1.
inline blasint blas_size(Index size) {
  if (size > std::numeric_limits<blasint>::max())
    throw ShapeError("a size of " + std::to_string(size) + " is more than BLAS can index");
  return static_cast<blasint>(size);
}

constexpr CBLAS_TRANSPOSE blas(Transpose transpose) {
  return transpose == Transpose::yes ? CblasTrans : CblasNoTrans;
}

/// C = alpha op(A) op(B) + beta C, column-major.
template <class Real>
void gemm(Transpose a, Transpose b, Real alpha, MatrixView<const Real> A, MatrixView<const Real> B,
          Real beta, MatrixView<Real> C) {
  if (C.empty()) return;
  const blasint inner = blas_size(a == Transpose::yes ? A.rows : A.columns);
  const auto call = [&](auto function) {
    function(CblasColMajor, blas(a), blas(b), blas_size(C.rows), blas_size(C.columns), inner, alpha,
             A.data, blas_size(A.stride), B.data, blas_size(B.stride), beta, C.data,
             blas_size(C.stride));
  };
  if constexpr (std::is_same_v<Real, double>) {
    call(cblas_dgemm);
  } else {
    call(cblas_sgemm);
  }
}

}  // namespace widedeq::cpu
