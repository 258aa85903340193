// The NTK Gram from Z, L, Phi, v and X, against the formula in double loops.
#include <gtest/gtest.h>

#include <thread>
#include <tuple>

#include "tests/support.hpp"

namespace widedeq {
namespace {

using test::backend;
using test::Framed;
using test::Random;
using test::relative_error;

struct Ingredients {
  HostMatrix Z, L, Phi, X, v;
  double s;
  bool relu_injection, skip;

  HostMatrix B() const {
    oracle::Network net;
    net.A = HostMatrix(Z.rows, Z.rows);
    net.X = X;
    net.v = v.values;
    net.relu_injection = relu_injection;
    net.skip = skip;
    return oracle::backward_injection(net, L, Phi);
  }
};

/// Nothing here solves an equilibrium: the formula must hold for any matrices.
Ingredients ingredients(Element real, Index m, Index n, Index d, bool relu_injection, bool skip) {
  Random random(static_cast<std::uint64_t>(m * 1000 + n));
  Ingredients it{.Z = oracle::relu(random.matrix(m, n)),
                 .L = random.matrix(m, n),
                 .Phi = random.matrix(m, n),
                 .X = random.matrix(d, n),
                 .v = random.matrix(m, 1),
                 .s = 0.6 / std::sqrt(static_cast<double>(m)),
                 .relu_injection = relu_injection,
                 .skip = skip};
  if (relu_injection) it.Phi = oracle::relu(std::move(it.Phi));
  for (HostMatrix* matrix : {&it.Z, &it.L, &it.Phi, &it.X, &it.v})
    *matrix = test::rounded(real, *matrix);
  return it;
}

/// From blocks inside larger matrices, as chunks and pinned copies are.
void compute(Element real, const Ingredients& it, Grams& grams) {
  const Framed Z(real, it.Z), L(real, it.L), Phi(real, it.Phi), X(real, it.X), v(real, it.v);
  backend().gram({.Z = Z,
                  .L = L,
                  .Phi = Phi,
                  .v = it.skip ? ConstBlock(v) : ConstBlock(),
                  .X = X,
                  .s = it.s,
                  .injection = it.relu_injection ? Injection::relu : Injection::linear},
                 grams);
  for (const Framed* framed : {&Z, &L, &Phi, &X, &v})
    EXPECT_TRUE(framed->frame_untouched());
}

class Gram : public testing::TestWithParam<std::tuple<Element, bool, bool>> {
 protected:
  Element real() const { return std::get<0>(GetParam()); }
  bool relu_injection() const { return std::get<1>(GetParam()); }
  bool skip() const { return std::get<2>(GetParam()); }
};

struct Shape {
  Index m, n, d;
};
constexpr Shape shapes[] = {{1, 1, 1},  {1, 7, 2},   {2, 1, 3},    {5, 5, 1},     {9, 40, 3},
                            {65, 3, 8}, {64, 65, 7}, {127, 33, 2}, {200, 129, 31}};

TEST_P(Gram, IsTheFormula) {
  for (const auto& [m, n, d] : shapes) {
    const Ingredients it = ingredients(real(), m, n, d, relu_injection(), skip());
    Grams grams;
    compute(real(), it, grams);
    const HostMatrix H = oracle::ntk(it.s, it.skip, it.L, it.Z, it.B(), it.X, it.Phi);
    // Computed in double whatever the elements (L + v in B is rounded to the element type at most).
    const double bound = real() == Element::float64 || !it.skip ? 1e-13 : 1e-7;
    EXPECT_LT(relative_error(grams.ntk, H), bound) << m << " " << n << " " << d;
    EXPECT_LT(relative_error(grams.features, oracle::inner_products(it.Phi)), 1e-13);
    EXPECT_LT(relative_error(grams.states, oracle::inner_products(it.Z)), 1e-13);
    EXPECT_LT(relative_error(grams.adjoints, oracle::inner_products(it.L)), 1e-13);
  }
}

TEST_P(Gram, IsExactlySymmetric) {
  for (const auto& [m, n, d] : shapes) {
    Grams grams;
    compute(real(), ingredients(real(), m, n, d, relu_injection(), skip()), grams);
    for (const HostMatrix* matrix : {&grams.ntk, &grams.features, &grams.states, &grams.adjoints})
      EXPECT_EQ(matrix->values, oracle::transpose(*matrix).values);
  }
}

TEST_P(Gram, IsPositiveSemidefiniteToRounding) {
  // Rank at most m (d + 2 + rank of L'L o Z'Z) < n for the first shapes: eigenvalues that are zero.
  for (const auto& [m, n, d] :
       {Shape{1, 30, 1}, Shape{2, 40, 1}, Shape{3, 60, 2}, Shape{64, 65, 7}}) {
    Grams grams;
    compute(real(), ingredients(real(), m, n, d, relu_injection(), skip()), grams);
    const double rounding = static_cast<double>(n) * std::numeric_limits<double>::epsilon();
    for (const HostMatrix& matrix : {grams.ntk, grams.features}) {
      const oracle::Vector eigenvalues = oracle::eigenvalues(matrix);
      EXPECT_GE(eigenvalues.front(), -rounding * eigenvalues.back()) << m << " " << n;
    }
  }
}

TEST_P(Gram, GivesTheSameBitsFromAnotherThreadWhileStagesRun) {
  const Ingredients it = ingredients(real(), 64, 65, 7, relu_injection(), skip());
  Grams grams, others;
  compute(real(), it, grams);
  const Matrix Z = test::upload(real(), it.Z), L = test::upload(real(), it.L),
               Phi = test::upload(real(), it.Phi), X = test::upload(real(), it.X),
               v = test::upload(real(), it.v);
  std::thread thread([&] {
    backend().gram({.Z = Z,
                    .L = L,
                    .Phi = Phi,
                    .v = it.skip ? v.block() : ConstBlock(),
                    .X = X,
                    .s = it.s,
                    .injection = it.relu_injection ? Injection::relu : Injection::linear},
                   others);
  });
  Matrix C = backend().allocate(real(), 64, 64);
  for (int k = 0; k < 50; ++k)
    backend().rank_update(C, 0.1, Z, std::vector<double>(65, 1.0), L, Precision::fp64);
  thread.join();
  EXPECT_EQ(others.ntk.values, grams.ntk.values);
  EXPECT_EQ(others.features.values, grams.features.values);
}

TEST_P(Gram, ReplacesWhatTheOutputsHeld) {
  const Ingredients it = ingredients(real(), 9, 5, 3, relu_injection(), skip());
  Grams grams, used;
  used.ntk = HostMatrix(7, 2);
  for (HostMatrix* matrix : {&used.features, &used.states, &used.adjoints}) {
    *matrix = HostMatrix(9, 9);
    std::fill(matrix->values.begin(), matrix->values.end(), 3.0);
  }
  used.eigenvalues = used.feature_eigenvalues = {1.0, 2.0};
  compute(real(), it, grams);
  compute(real(), it, used);
  EXPECT_EQ(used.eigenvalues, grams.eigenvalues);
  EXPECT_EQ(used.feature_eigenvalues, grams.feature_eigenvalues);
  EXPECT_EQ(used.ntk.values, grams.ntk.values);
  EXPECT_EQ(used.ntk.rows, 5);
  EXPECT_EQ(used.features.values, grams.features.values);
  EXPECT_EQ(used.states.values, grams.states.values);
  EXPECT_EQ(used.adjoints.values, grams.adjoints.values);
}

TEST_P(Gram, ShapesThatDoNotFitAreRefused) {
  Ingredients it = ingredients(real(), 4, 5, 3, relu_injection(), skip());
  Grams grams;
  it.L = HostMatrix(4, 6);
  EXPECT_SHAPE_ERROR(compute(real(), it, grams), "4 x 6", "4 x 5");
  it.L = HostMatrix(4, 5);
  it.X = HostMatrix(3, 2);
  EXPECT_SHAPE_ERROR(compute(real(), it, grams), "3 x 2", "3 x 5");
}

TEST_P(Gram, IsTheFormulaForMoreRowsThanArePutTogether) {
  // 256 rows are converted at a time: one and a part of one, two and one row.
  for (const auto& [m, n, d] : {Shape{300, 7, 3}, Shape{513, 97, 2}}) {
    const Ingredients it = ingredients(real(), m, n, d, relu_injection(), skip());
    Grams grams;
    compute(real(), it, grams);
    const HostMatrix H = oracle::ntk(it.s, it.skip, it.L, it.Z, it.B(), it.X, it.Phi);
    const double bound = real() == Element::float64 || !it.skip ? 1e-13 : 1e-7;  // as above
    EXPECT_LT(relative_error(grams.ntk, H), bound) << m << " " << n << " " << d;
    EXPECT_LT(relative_error(grams.features, oracle::inner_products(it.Phi)), 1e-13);
    EXPECT_LT(relative_error(grams.states, oracle::inner_products(it.Z)), 1e-13);
    EXPECT_LT(relative_error(grams.adjoints, oracle::inner_products(it.L)), 1e-13);
  }
}

INSTANTIATE_TEST_SUITE_P(, Gram,
                         testing::Combine(testing::Values(Element::float64, Element::float32),
                                          testing::Bool(), testing::Bool()),
                         [](const auto& it) {
                           return std::string(name_of(std::get<0>(it.param))) +
                                  (std::get<1>(it.param) ? "_relu" : "_linear") +
                                  (std::get<2>(it.param) ? "_skip" : "");
                         });

}  // namespace
}  // namespace widedeq
