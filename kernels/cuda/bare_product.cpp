// One call of cuBLAS or cuBLASLt and nothing else; see bare_product.hpp.
//
// The operands are random, not zero: multiplying zeros takes less power, and a GPU that draws less
// runs faster. The function holds views, which stay good when the BareProduct moves: a Matrix keeps
// its memory where it is.
#include "kernels/cuda/bare_product.hpp"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/cuda/multiply.hpp"
#include "kernels/cuda/operand.hpp"

namespace widedeq::cuda {
namespace {

/// C = A B by cuBLAS.
template <class Real>
BareProduct real_product(Backend& backend, Context& context, Index m, Index n) {
  BareProduct product;
  product.A = backend.allocate(element_of<Real>(), m, m);
  product.B = backend.allocate(element_of<Real>(), m, n);
  product.C = backend.allocate(element_of<Real>(), m, n);
  backend.generate_gaussian(product.A, 1, Tensor::probe);
  backend.generate_gaussian(product.B, 2, Tensor::probe);
  const MatrixView<const Real> A = product.A.block().as<Real>();
  const MatrixView<const Real> B = product.B.block().as<Real>();
  const MatrixView<Real> C = product.C.block().as<Real>();
  product.multiply = [&context, A, B, C] {
    gemm<Real>(context, Transpose::no, Transpose::no, Real(1), A, B, Real(0), C);
  };
  return product;
}

/// The first rows of a matrix, as a matrix that keeps the whole one's memory.
Matrix upper_rows(Matrix whole, Index rows) {
  const Block block = whole.block();
  auto owner = std::make_shared<Matrix>(std::move(whole));
  return {std::shared_ptr<void>(std::move(owner), block.data), block.element, rows, block.columns,
          block.stride};
}

/// C = A B of int8 with int32 sums by cuBLASLt, rows and columns rounded up as in a sweep.
BareProduct integer_product(Backend& backend, Context& context, Index m, Index n) {
  BareProduct product;
  product.A = backend.allocate(Element::int8, m, m);
  product.B = backend.allocate(Element::int8, m, padded_size(n));
  product.C = upper_rows(
      backend.allocate(Element::int32, padded_rows(m, sizeof(std::int8_t)), padded_size(n)), m);
  backend.generate_lattice(product.A, 1, Tensor::probe);
  backend.generate_lattice(product.B, 2, Tensor::probe);
  // The library wants the rows of A in its columns.
  const auto rows = std::make_shared<const Matrix>(transposed(context, product.A));
  const MatrixView<const std::int8_t> B = product.B.block().as<std::int8_t>();
  const MatrixView<std::int32_t> C = product.C.block().as<std::int32_t>();
  product.multiply = [&context, rows, B, C] {
    multiply_integers(context, rows->block().as<const std::int8_t>(), B, C);
  };
  return product;
}

}  // namespace

BareProduct bare_product(Backend& backend, Context& context, Precision precision, Index m,
                         Index n) {
  if (m < 0 || n < 0)
    throw ShapeError("bare_product: B is " + std::to_string(m) + " x " + std::to_string(n));
  switch (precision) {
    case Precision::fp64:
      return real_product<double>(backend, context, m, n);
    case Precision::fp32:
      return real_product<float>(backend, context, m, n);
    case Precision::mixed:
      break;
  }
  return integer_product(backend, context, m, n);
}

}  // namespace widedeq::cuda
