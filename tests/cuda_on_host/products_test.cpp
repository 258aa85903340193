// The library's products and the operands made for them, below the interface of Backend: what other
// stages of kernels/cuda count on (multiply.hpp, operand.hpp).
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "kernels/cuda/multiply.hpp"
#include "kernels/cuda/operand.hpp"
#include "kernels/cuda/transfer.hpp"
#include "kernels/random.hpp"
#include "tests/cuda_on_host/cuda_on_host.hpp"
#include "tests/cuda_on_host/inside_context.hpp"
#include "tests/support.hpp"

namespace widedeq::cuda {
namespace {

using test::Random;

HostMatrix download(ConstBlock from) {
  HostMatrix host(from.rows, from.columns);
  cuda::download(context(), from, host.view());
  return host;
}

/// int8 values in a block whose first entry lies `above` rows and one column into its matrix.
struct Integers {
  HostMatrix values;
  Matrix whole;
  Block block;

  Integers(Index rows, Index columns, Index above, std::uint64_t seed)
      : values(rows, columns),
        // Products read whole steps of columns.
        whole(context().allocate(Element::int8, rows + above, padded_size(columns) + 1)) {
    Random random(seed);
    std::vector<std::byte> bytes;
    for (double& value : values.values) {
      value = static_cast<double>(random.integer(-127, 127));
      bytes.push_back(static_cast<std::byte>(static_cast<std::int8_t>(value)));
    }
    block = whole.block().middle_rows(above, rows).middle_columns(1, columns);
    restore(context(), bytes, block);
  }
  MatrixView<const std::int8_t> view() const {
    return ConstBlock(block.as<std::int8_t>()).as<const std::int8_t>();
  }
};

WeightView weights(ConstBlock base, double step, ConstBlock change = {}) {
  WeightView A;
  A.base = base;
  A.step = step;
  A.change = change;
  return A;
}

/// Every entry of the memory behind a matrix, padding included.
HostMatrix padded(const Matrix& matrix) {
  ConstBlock block = matrix.block();
  block.rows = block.stride;
  block.columns = padded_size(block.columns);
  return download(block);
}

// ---- integers

TEST(CudaProducts, IntegersAreMultipliedExactlyWhateverTheSizes) {
  for (const Index a : {1, 5, 16, 33})
    for (const Index c : {1, 16, 17})
      for (const Index K : {1, 15, 16, 100}) {
        // Zeros beyond K in the rows alone: q's memory holds anything there.
        Matrix rows = context().allocate(Element::int8, K, a);
        const Integers drawn(K, a, 0, 1), q(K, c, 16, 2);
        copy(context(), drawn.block, rows);
        Matrix product = context().allocate(Element::int32, a, c);
        fill(context(), product, 77.0);
        multiply_integers(context(), rows.block().as<const std::int8_t>(), q.view(),
                          product.block().as<std::int32_t>());
        const HostMatrix wanted = oracle::multiply(oracle::transpose(drawn.values), q.values);
        EXPECT_EQ(download(product).values, wanted.values) << a << " x " << K << " x " << c;
      }
}

TEST(CudaProducts, KernelsThatDoNotRunAreLeftOut) {
  const auto before = cuda_on_host::settings();
  auto several = before;
  several.recommendations = 3;
  cuda_on_host::set_settings(several);
  const Index a = 500, c = 200, K = 512;  // large enough to be tried out
  const Integers drawn(K, a, 0, 21), q(K, c, 16, 22);
  Matrix rows = context().allocate(Element::int8, K, a);
  copy(context(), drawn.block, rows);
  Matrix product = context().allocate(Element::int32, a, c);
  const auto multiply = [&] {
    fill(context(), product, 77.0);
    multiply_integers(context(), rows.block().as<const std::int8_t>(), q.view(),
                      product.block().as<std::int32_t>());
    context().synchronize();
    return cuda_on_host::counters().library_calls;
  };
  // The kernel that was chosen the first time is the only one to run the second time.
  const long calls = multiply();
  EXPECT_EQ(multiply(), calls + 1);
  cuda_on_host::set_settings(before);
  const HostMatrix wanted = oracle::multiply(oracle::transpose(drawn.values), q.values);
  EXPECT_EQ(download(product).values, wanted.values);
}

TEST(CudaProducts, IntegersOfNothingAreZero) {
  const Integers rows(0, 5, 0, 1), q(0, 3, 0, 2);
  Matrix product = context().allocate(Element::int32, 5, 3);
  fill(context(), product, 77.0);
  multiply_integers(context(), rows.view(), q.view(), product.block().as<std::int32_t>());
  EXPECT_EQ(download(product).values, std::vector<double>(15));
  const Integers no_columns(16, 0, 0, 3), some(16, 5, 0, 4);
  Matrix empty = context().allocate(Element::int32, 5, 0);
  EXPECT_NO_THROW(multiply_integers(context(), some.view(), no_columns.view(),
                                    empty.block().as<std::int32_t>()));
}

TEST(CudaProducts, IntegersThatDoNotFitAreRefused) {
  const Integers rows(32, 48, 0, 1), q(32, 16, 0, 2), longer(48, 16, 0, 3), shifted(32, 16, 4, 4);
  Matrix product = context().allocate(Element::int32, 48, 16);
  const auto out = product.block().as<std::int32_t>();
  const auto refused = [&](MatrixView<const std::int8_t> a, MatrixView<const std::int8_t> b,
                           MatrixView<std::int32_t> c) {
    EXPECT_THROW(multiply_integers(context(), a, b, c), ShapeError);
    EXPECT_THROW(prepare_multiply_integers(context(), a, b, c), ShapeError);
  };
  refused(rows.view(), longer.view(), out);
  refused(rows.view(), q.view(), out.middle_columns(0, 0));
  refused(rows.view(), q.view(), {out.data, 16, 16, out.stride});
  refused(rows.view(), shifted.view(), out);  // not on a boundary
  refused(rows.view(), q.view(), {out.data + 1, 48, 16, out.stride});
  refused({rows.view().data, 20, 48, 20}, {q.view().data, 20, 16, 20}, out);  // strides
  refused(rows.view(), q.view(), {out.data, 48, 16, 44});  // the product's stride
}

TEST(CudaProducts, ProductsRunOnTheStreamTheyAreGiven) {
  cudaStream_t other = nullptr;
  WIDEDEQ_CUDA_CHECK(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking));
  const Integers rows(32, 16, 0, 1), q(32, 16, 0, 2);
  Matrix product = context().allocate(Element::int32, 16, 16);
  Matrix A = context().allocate(Element::float64, 3, 4),
         B = context().allocate(Element::float64, 4, 2),
         C = context().allocate(Element::float64, 3, 2);
  const HostMatrix a = Random(3).matrix(3, 4), b = Random(4).matrix(4, 2);
  upload(context(), a.view(), A);
  upload(context(), b.view(), B);
  context().synchronize();
  multiply_integers(context(), rows.view(), q.view(), product.block().as<std::int32_t>(), other);
  gemm<double>(context(), Transpose::no, Transpose::no, 1.0, A.block().as<const double>(),
               B.block().as<const double>(), 0.0, C.block().as<double>(), other);
  WIDEDEQ_CUDA_CHECK(cudaStreamSynchronize(other));
  EXPECT_EQ(download(product).values,
            oracle::multiply(oracle::transpose(rows.values), q.values).values);
  EXPECT_LT(test::relative_error(download(C), oracle::multiply(a, b)), 1e-15);
  WIDEDEQ_CUDA_CHECK(cudaStreamDestroy(other));
  // The library is back on the context's stream.
  gemm<double>(context(), Transpose::no, Transpose::no, 1.0, A.block().as<const double>(),
               B.block().as<const double>(), 1.0, C.block().as<double>());
  HostMatrix twice = oracle::multiply(a, b);
  for (double& value : twice.values)
    value *= 2.0;
  EXPECT_LT(test::relative_error(download(C), twice), 1e-15);
}

// ---- reals

TEST(CudaProducts, ProductsOfRealsKnowEmptySums) {
  Matrix C = context().allocate(Element::float32, 3, 2);
  const Matrix A = context().allocate(Element::float32, 3, 0),
               B = context().allocate(Element::float32, 0, 2);
  const auto multiply = [&](float beta) {
    gemm<float>(context(), Transpose::no, Transpose::no, 1.0F, A.block().as<const float>(),
                B.block().as<const float>(), beta, C.block().as<float>());
    return download(C).values;
  };
  fill(context(), C, NAN);
  EXPECT_EQ(multiply(0.0F), std::vector<double>(6));
  fill(context(), C, 3.0);
  EXPECT_EQ(multiply(1.0F), std::vector<double>(6, 3.0));
  EXPECT_THROW(
      gemm<float>(context(), Transpose::yes, Transpose::no, 1.0F, A.block().as<const float>(),
                  B.block().as<const float>(), 0.0F, C.block().as<float>()),
      ShapeError);
}

// ---- operands

TEST(CudaProducts, OperandsHoldTheirBaseBothWaysAndZerosBehind) {
  for (const Index m : {1, 5, 16, 63, 64, 65, 130})
    for (const Index above : {0, 3, 4}) {  // aligned, and not
      const Integers base(m, m, above, 7);
      auto operand = make_operand(Precision::mixed, m, 1);
      refresh(context(), *operand, weights(base.block, 0.5), Changed::base);
      const auto& digits = dynamic_cast<const DigitOperand&>(*operand);
      EXPECT_FALSE(digits.has_plane);
      EXPECT_EQ(digits.step, 0.5);
      EXPECT_EQ(digits.base_version, 1);
      const HostMatrix plain = padded(digits.base.plain), turned = padded(digits.base.transposed);
      ASSERT_EQ(plain.rows, padded_size(m));
      ASSERT_EQ(plain.columns, padded_size(m));
      for (Index j = 0; j < plain.columns; ++j)
        for (Index i = 0; i < plain.rows; ++i) {
          const bool inside = i < m && j < m;
          ASSERT_EQ(plain(i, j), inside ? base.values(j, i) : 0.0) << m << ": " << i << ", " << j;
          ASSERT_EQ(turned(i, j), inside ? base.values(i, j) : 0.0) << m << ": " << i << ", " << j;
        }
    }
}

TEST(CudaProducts, DigitsAddUpToTheWeightsBothWays) {
  const Index m = 70;
  for (const double size : {1e-3, 3.0}) {  // within a step, and folded
    const Integers base(m, m, 1, 8);
    Matrix change = context().allocate(Element::float32, m, m);
    const HostMatrix drawn = test::rounded(Element::float32, Random(9).matrix(m, m));
    HostMatrix values = drawn;
    for (double& value : values.values)
      value = static_cast<float>(size * value);
    upload(context(), values.view(), change);
    auto operand = make_operand(Precision::mixed, m, 1);
    const WeightView A = weights(base.block, 1.0 / 32, change);
    refresh(context(), *operand, A, Changed::base);
    const auto& digits = dynamic_cast<const DigitOperand&>(*operand);
    EXPECT_EQ(digits.own_base.empty(), size < 1.0);
    for (const Transpose transpose : {Transpose::no, Transpose::yes}) {
      prepare_plane(context(), digits, transpose, plane_digits);
      const bool turned = transpose == Transpose::no;  // plain is M'
      const auto read = [&](const BothWays& ways) {
        const HostMatrix held = download(turned ? ways.plain : ways.transposed);
        return turned ? oracle::transpose(held) : held;
      };
      const HostMatrix held = read(digits.base);
      const HostMatrix plane[] = {read(digits.plane[0]), read(digits.plane[1]),
                                  read(digits.plane[2])};
      double squares = 0.0, errors = 0.0;
      for (std::size_t k = 0; k < values.values.size(); ++k) {
        const double rest = digits.plane_step * (plane[0].values[k] + plane[1].values[k] / 256.0 +
                                                 plane[2].values[k] / 65536.0);
        const double whole = base.values.values[k] / 32.0 + values.values[k];
        ASSERT_NEAR(digits.step * held.values[k] + rest, whole, 0.8 * digits.plane_step / 65536.0)
            << "half a unit of the last digit, and the rest's rounding to single precision";
        errors += std::pow(digits.step * held.values[k] + rest - whole, 2);
        squares += std::pow(whole - digits.step * held.values[k], 2);
      }
      EXPECT_LE(std::sqrt(errors), static_cast<double>(m) * 0.35 * digits.plane_step / 65536.0);
      EXPECT_NEAR(digits.plane_size, std::sqrt(squares), 1e-5 * std::sqrt(squares));
    }
  }
}

TEST(CudaProducts, WritingOutTakesAnyPartOfA) {
  const Index m = 37;
  const Integers base(m, m, 2, 10);
  const HostMatrix change = Random(11).matrix(m, m);
  for (const Element real : {Element::float32, Element::float64}) {
    Matrix changes = context().allocate(real, m, m);
    upload(context(), change.view(), changes);
    const HostMatrix rounded = download(changes);
    const WeightView A = weights(base.block, 0.25, changes);
    for (const Index row : {0, 3, 4})
      for (const Index column : {0, 5}) {
        Matrix out = context().allocate(Element::float64, 21, 9);
        write_out(context(), A, row, column, out.block().as<double>());
        const HostMatrix is = download(out);
        for (Index j = 0; j < 9; ++j)
          for (Index i = 0; i < 21; ++i)
            ASSERT_EQ(is(i, j),
                      0.25 * base.values(row + i, column + j) + rounded(row + i, column + j));
      }
  }
}

}  // namespace
}  // namespace widedeq::cuda
