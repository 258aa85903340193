// Dense products by element type: the names of one product become one.
//
// They are OpenBLAS's, but large ones in single precision oneDNN's. Measured on a Xeon (Emerald
// Rapids, 2 cores, OpenBLAS 0.3.21, oneDNN 2.6.3), Gflop/s of the two: the update of A at
// 4096 x 1000 212 and 223, an m x m product with A 195 and 214, with A' 206 and 231, with 256 rows
// of A 186 and 214. oneDNN takes 35 ms to write its code first, as long as a small run takes.
#pragma once

#include <cblas.h>
#include <oneapi/dnnl/dnnl.h>

#include <limits>
#include <new>
#include <string>
#include <type_traits>

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

constexpr char letter(Transpose transpose) {
  return transpose == Transpose::yes ? 'T' : 'N';
}

/// Additions and multiplications from which on a product is oneDNN's.
inline constexpr double large_product = 2e8;

/// C = alpha op(A) op(B) + beta C, column-major.
template <class Real>
void gemm(Transpose a, Transpose b, Real alpha, MatrixView<const Real> A, MatrixView<const Real> B,
          Real beta, MatrixView<Real> C) {
  if (C.empty()) return;
  const Index inner = a == Transpose::yes ? A.rows : A.columns;
  const auto call = [&](auto function) {
    function(CblasColMajor, blas(a), blas(b), blas_size(C.rows), blas_size(C.columns),
             blas_size(inner), alpha, A.data, blas_size(A.stride), B.data, blas_size(B.stride),
             beta, C.data, blas_size(C.stride));
  };
  if constexpr (std::is_same_v<Real, double>) {
    call(cblas_dgemm);
  } else {
    const double entries = static_cast<double>(C.rows) * static_cast<double>(C.columns);
    if (2.0 * entries * static_cast<double>(inner) < large_product) return call(cblas_sgemm);
    // oneDNN thinks in rows, so that C' = alpha op(B)' op(A)' + beta C'.
    const dnnl_status_t status =
        dnnl_sgemm(letter(b), letter(a), C.columns, C.rows, inner, alpha, B.data, B.stride, A.data,
                   A.stride, beta, C.data, C.stride);
    if (status == dnnl_out_of_memory) throw std::bad_alloc();
    if (status != dnnl_success)
      throw DeviceError("oneDNN: sgemm: " + shape(A) + " times " + shape(B) + " (status " +
                        std::to_string(static_cast<int>(status)) + ")");
  }
}

}  // namespace widedeq::cpu
