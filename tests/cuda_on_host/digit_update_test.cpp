// Rank updates in digits on a device against the CPU's, which have their own test: the same digits,
// the same exact sums, so the same bits, at sizes that no panel, tile or pack divides.
#include "kernels/cuda/digit_update.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cpu/digit_update.hpp"
#include "kernels/cpu/workspace.hpp"
#include "kernels/cuda/transfer.hpp"
#include "kernels/cuda/vectors.hpp"
#include "tests/cuda_on_host/inside_context.hpp"
#include "tests/support.hpp"

namespace widedeq::cuda {
namespace {

using test::Random;

/// Random entries in single precision, rows of different sizes, on both sides; on the device one
/// row and one column into a larger matrix, or aligned.
struct Factor {
  HostMatrix values;
  std::vector<float> entries;
  Matrix whole;
  Block block;

  Factor(Index rows, Index columns, bool aligned, std::uint64_t seed)
      : values(test::rounded(Element::float32, Random(seed).matrix(rows, columns))) {
    for (Index j = 0; j < columns; ++j)
      for (Index i = 0; i < rows; ++i)
        values(i, j) = std::ldexp(values(i, j), static_cast<int>(i % 5) * 4 - 8);
    const Index above = aligned ? 0 : 1;
    whole = context().allocate(Element::float32, rows + above, columns + 1);
    block = whole.block().middle_rows(above, rows).middle_columns(1, columns);
    send();
  }
  /// After a change of `values`.
  void send() {
    entries.assign(values.values.begin(), values.values.end());
    upload(context(), values.view(), block);
  }
  MatrixView<const float> here() const { return {entries.data(), values.rows, values.columns}; }
  MatrixView<const float> there() const { return ConstBlock(block).as<const float>(); }
};

struct Result {
  HostMatrix C;
  double squares;
};

Result on_device(const HostMatrix& before, bool aligned, double alpha, const Factor& left,
                 const std::vector<double>& r, const Factor& right, Index panel_bytes) {
  const Index n = left.values.columns;
  Factor C(before.rows, before.columns, aligned, 1);
  C.values = before;
  C.send();
  Matrix numbers = context().allocate_row(Element::float64, n + before.columns);
  auto* r_there = numbers.block().as<double>().data;
  send(context(), r, r_there);
  rank_update_in_digits(context(), C.block.as<float>(), alpha, left.there(), r_there, right.there(),
                        r_there + n, panel_bytes);
  const double squares = fetch_sum(context(), r_there + n, before.columns);
  HostMatrix after(before.rows, before.columns);
  download(context(), C.block, after.view());
  return {after, squares};
}

Result on_cpu(const HostMatrix& before, double alpha, const Factor& left,
              const std::vector<double>& r, const Factor& right) {
  std::vector<float> C(before.values.begin(), before.values.end());
  cpu::Workspace workspace;
  auto* buffer = workspace.get<std::byte>(
      cpu::digit_update_bytes(left.values.rows, right.values.rows, left.values.columns));
  const double squares =
      cpu::rank_update_in_digits({C.data(), before.rows, before.columns}, alpha, left.here(), r,
                                 right.here(), cpu::strip_kernel(), buffer);
  HostMatrix after(before.rows, before.columns);
  after.values.assign(C.begin(), C.end());
  return {after, squares};
}

constexpr struct {
  Index a, b, n;
} shapes[] = {{64, 64, 64}, {1, 1, 1}, {65, 130, 67}, {130, 300, 129}, {200, 257, 16}};

TEST(CudaDigitUpdate, HasTheBitsOfTheCpus) {
  for (const bool aligned : {true, false})
    for (const auto& [a, b, n] : shapes) {
      const Factor left(a, n, aligned, 2), right(b, n, aligned, 3);
      const std::vector<double> r = Random(4).vector(n);
      const HostMatrix before = test::rounded(Element::float32, Random(5).matrix(a, b));
      const double alpha = -0.25;  // so that it does not matter who fuses multiply and add
      const Result wanted = on_cpu(before, alpha, left, r, right);
      // All columns at once, and panels of 128.
      for (const Index panel_bytes : {Index{1} << 28, Index{1}}) {
        const Result is = on_device(before, aligned, alpha, left, r, right, panel_bytes);
        EXPECT_EQ(is.C.values, wanted.C.values) << a << " x " << b << ", n = " << n;
        EXPECT_NEAR(is.squares, wanted.squares, 1e-12 * wanted.squares);
      }
    }
}

HostMatrix symmetric_product(const Factor& M) {
  const Index n = M.values.columns;
  Matrix product = context().allocate(Element::float32, n, n);
  fill(context(), product, 77.0);
  symmetric_product_in_digits(context(), M.there(), product.block().as<float>());
  HostMatrix found(n, n);
  download(context(), product, found.view());
  return found;
}

TEST(CudaDigitUpdate, ASymmetricProductIsTheUpdateWithItsFactorOnBothSides) {
  for (const bool aligned : {true, false})
    for (const auto& [m, n] : {std::pair<Index, Index>{64, 64}, {1, 1}, {130, 67}, {999, 130}}) {
      const Factor M(m, n, aligned, 11);
      Factor turned(n, m, aligned, 12);
      turned.values = oracle::transpose(M.values);
      turned.send();
      const std::vector<double> ones(static_cast<std::size_t>(m), 1.0);
      const HostMatrix found = symmetric_product(M);
      EXPECT_EQ(found.values, on_cpu(HostMatrix(n, n), 1.0, turned, ones, turned).C.values)
          << m << " x " << n;
      EXPECT_EQ(found.values, oracle::transpose(found).values);
    }
}

TEST(CudaDigitUpdate, AColumnThatIsNotFiniteIsNotANumber) {
  Factor M(100, 70, true, 13);
  M.values(99, 3) = std::nan("");
  M.values(0, 69) = std::numeric_limits<double>::infinity();
  M.send();
  const HostMatrix found = symmetric_product(M);
  const auto is_bad = [](Index j) { return j == 3 || j == 69; };
  for (Index j = 0; j < 70; ++j)
    for (Index i = 0; i < 70; ++i)
      ASSERT_EQ(std::isnan(found(i, j)), is_bad(i) || is_bad(j)) << i << ' ' << j;
}

TEST(CudaDigitUpdate, ARowThatIsNotFiniteIsNotANumber) {
  const Index a = 66, b = 70, n = 200;
  for (const double bad : {std::nan(""), -std::numeric_limits<double>::infinity()}) {
    Factor left(a, n, true, 6), right(b, n, true, 7);
    left.values(65, 3) = bad;
    left.send();
    right.values(2, 199) = bad;
    right.send();
    const Result is =
        on_device(HostMatrix(a, b), true, 1.0, left, Random(8).vector(n), right, 1 << 28);
    EXPECT_TRUE(std::isnan(is.squares));
    for (Index i = 0; i < a; ++i)
      for (Index j = 0; j < b; ++j)
        ASSERT_EQ(std::isnan(is.C(i, j)), i == 65 || j == 2) << i << ' ' << j;
  }
}

TEST(CudaDigitUpdate, IsWhatMixedPrecisionDoesToLargeMatrices) {
  Backend& on = test::backend();
  const auto difference = [&](Precision precision, Index m, Index n) {
    Matrix C = on.allocate(Element::float32, m, m);
    const Matrix left = test::upload(Element::float32, Random(9).matrix(m, n));
    const Operations before = on.operations();
    on.rank_update(C, 1.0, left, std::vector<double>(static_cast<std::size_t>(n), 1.0), left,
                   precision);
    const Operations after = on.operations();
    return std::pair(after.int8 - before.int8, after.fp32 - before.fp32);
  };
  const double product = 2.0 * 128.0 * 128.0 * 64.0;
  EXPECT_EQ(difference(Precision::mixed, 128, 64), std::pair(6.0 * product, 0.0));
  EXPECT_EQ(difference(Precision::fp32, 128, 64), std::pair(0.0, product));
  EXPECT_EQ(difference(Precision::mixed, 128, 1), std::pair(0.0, product / 64.0));
}

}  // namespace
}  // namespace widedeq::cuda
