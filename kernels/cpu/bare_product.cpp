// One call of OpenBLAS or oneDNN and nothing else; see bare_product.hpp.
//
// The operands are random, not zero: some processors multiply zeros faster. The function holds
// views, which stay good when the BareProduct moves: a Matrix keeps its memory where it is.
#include "kernels/cpu/bare_product.hpp"

#include "kernels/cpu/blas.hpp"
#include "kernels/cpu/integer_product.hpp"

namespace widedeq::cpu {
namespace {

/// C = A B by dgemm or sgemm.
template <class Real>
BareProduct real_product(Backend& backend, Index m, Index n) {
  BareProduct product;
  product.A = backend.allocate(element_of<Real>(), m, m);
  product.B = backend.allocate(element_of<Real>(), m, n);
  product.C = backend.allocate(element_of<Real>(), m, n);
  backend.generate_gaussian(product.A, 1, Tensor::probe);
  backend.generate_gaussian(product.B, 2, Tensor::probe);
  const MatrixView<const Real> A = product.A.block().as<Real>();
  const MatrixView<const Real> B = product.B.block().as<Real>();
  const MatrixView<Real> C = product.C.block().as<Real>();
  product.multiply = [=] { gemm<Real>(Transpose::no, Transpose::no, Real(1), A, B, Real(0), C); };
  return product;
}

/// C = A B of int8 with int32 sums, columns rounded up as in a sweep.
BareProduct integer_product(Backend& backend, Index m, Index n) {
  BareProduct product;
  product.A = backend.allocate(Element::int8, m, m);
  product.B = backend.allocate(Element::int8, m, padded_columns(n));
  product.C = backend.allocate(Element::int32, m, padded_columns(n));
  backend.generate_lattice(product.A, 1, Tensor::probe);
  backend.generate_lattice(product.B, 2, Tensor::probe);
  PackedIntegers packed;
  packed.pack(product.A.block().as<std::int8_t>().data, m, Transpose::no);
  const std::int8_t* B = product.B.block().as<std::int8_t>().data;
  std::int32_t* C = product.C.block().as<std::int32_t>().data;
  product.multiply = [packed, B, C, columns = product.B.columns()] {
    packed.multiply(B, columns, C);
  };
  return product;
}

}  // namespace

BareProduct bare_product(Backend& backend, Precision precision, Index m, Index n) {
  if (m < 0 || n < 0)
    throw ShapeError("bare_product: B is " + std::to_string(m) + " x " + std::to_string(n));
  switch (precision) {
    case Precision::fp64:
      return real_product<double>(backend, m, n);
    case Precision::fp32:
      return real_product<float>(backend, m, n);
    case Precision::mixed:
      break;
  }
  return integer_product(backend, m, n);
}

}  // namespace widedeq::cpu
