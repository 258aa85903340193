// Products of A with pending increments, and of A with a vector.
#pragma once

#include <span>

#include "kernels/backend.hpp"
#include "kernels/cpu/blas.hpp"
#include "kernels/cpu/operand.hpp"

namespace widedeq::cpu {

/// product = op(A) pending. fp64, fp32: `columns` columns. A is used whole.
template <class Real>
void multiply(const DenseOperand<Real>& A, Transpose transpose, MatrixView<const Real> pending,
              Index columns, Real* product) {
  const Index m = A.width;
  gemm(transpose, Transpose::no, Real(1), A.view(), pending.middle_columns(0, columns), Real(0),
       MatrixView<Real>(product, m, columns));
}

/// product = op(digit) pending, exact; padded up to a multiple of column_step, so `pending` and
/// `product` must have room for padded_columns(columns).
inline void multiply(const BothWays<PackedIntegers>& digit, Transpose transpose,
                     MatrixView<const std::int8_t> pending, Index columns, std::int32_t* product) {
  digit[transpose].multiply(pending.data, padded_columns(columns), product);
}

/// y = op(A) x in double; see Backend::apply.
void apply(const WeightView& A, Transpose transpose, std::span<const double> x,
           std::span<double> y);

}  // namespace widedeq::cpu
