// The yardstick is a product: C = A B, written and not added to.
#include "tests/support.hpp"

namespace widedeq {
namespace {

using test::backend;
using test::download;
using test::relative_error;

class BareProducts : public testing::TestWithParam<Precision> {
 protected:
  void SetUp() override { SKIP_UNLESS_SUPPORTED(GetParam()); }
};

TEST_P(BareProducts, MultiplyTheirOperands) {
  for (const Index m : {1, 3, 64, 130}) {
    for (const Index n : {1, 5, 64, 70}) {
      BareProduct product = backend().bare_product(GetParam(), m, n);
      ASSERT_EQ(product.A.rows(), m);
      ASSERT_EQ(product.A.columns(), m);
      ASSERT_GE(product.B.columns(), n);
      ASSERT_EQ(product.C.columns(), product.B.columns());
      backend().fill(product.C, 3.0);
      const BareProduct moved = std::move(product);
      for (int call = 0; call < 2; ++call)
        moved.multiply();
      backend().synchronize();
      const HostMatrix A = download(moved.A), B = download(moved.B);
      EXPECT_GT(oracle::norm(A.values), 0.0);
      // A dot product of m terms in Real: m/2 roundings at the most matter, relative to |A||B|.
      const double tolerance = GetParam() == Precision::mixed
                                   ? 0.0
                                   : 10.0 * static_cast<double>(m) * test::epsilon(GetParam());
      EXPECT_LE(relative_error(download(moved.C), oracle::multiply(A, B)), tolerance)
          << m << " x " << n;
    }
  }
}

TEST_P(BareProducts, RefuseShapesThatAreNone) {
  EXPECT_THROW(static_cast<void>(backend().bare_product(GetParam(), -1, 2)), ShapeError);
  EXPECT_THROW(static_cast<void>(backend().bare_product(GetParam(), 2, -1)), ShapeError);
}

INSTANTIATE_TEST_SUITE_P(, BareProducts,
                         testing::Values(Precision::fp64, Precision::fp32, Precision::mixed),
                         [](const auto& info) { return test::name_of(info.param); });

TEST(MixedBareProduct, IsLimitedToExactSums) {
  if (!backend().why_not_mixed().empty()) GTEST_SKIP() << backend().why_not_mixed();
  EXPECT_THROW(static_cast<void>(backend().bare_product(Precision::mixed, 133145, 1)), Unsupported);
}

}  // namespace
}  // namespace widedeq
