// Products with A and A': Backend::apply, one sweep, and settling, against double loops; and
// adjointness
//
//   <A q, w> = <q, A' w>
//
// which two wrong transposes could satisfy only together. Its denominator: computing A q in
// arithmetic of precision eps leaves an error of norm at most m eps ||A||_F ||q||, so each side is
// off by at most m eps ||A||_F ||q|| ||w||, and that product is what the difference is measured by.
#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>

#include "host/weight_operator.hpp"
#include "tests/support.hpp"

namespace widedeq {
namespace {

using test::backend;
using test::download;
using test::Draw;
using test::Random;
using test::relative_error;

/// A in the backend, and the same numbers as doubles.
struct Recurrent {
  WeightOperator A;
  HostMatrix values;
};

Recurrent draw(Precision precision, Draw kind, Index m, std::uint64_t seed) {
  const auto make = [&]() -> WeightOperator {
    if (kind == Draw::given) return {backend(), precision, Random(seed).uneven(m).view()};
    return {backend(), precision, m,
            kind == Draw::lattice ? WeightLaw::lattice : WeightLaw::gaussian, seed};
  };
  WeightOperator A = make();
  HostMatrix values = A.download_columns(0, m);
  return {std::move(A), std::move(values)};
}

HostMatrix op(Transpose transpose, const HostMatrix& A) {
  return transpose == Transpose::yes ? oracle::transpose(A) : A;
}

HostMatrix absolute(HostMatrix M) {
  for (double& entry : M.values)
    entry = std::abs(entry);
  return M;
}

class Products : public testing::TestWithParam<std::tuple<Precision, Draw>> {
 protected:
  Precision precision() const { return std::get<0>(GetParam()); }
  Draw kind() const { return std::get<1>(GetParam()); }
  void SetUp() override { SKIP_UNLESS_SUPPORTED(precision()); }

  static constexpr Index widths[] = {1, 2, 3, 5, 17, 33, 64, 65, 127, 128, 200};
  static constexpr Index counts[] = {1, 7, 2, 16, 33, 3, 65, 5, 9, 64, 11};
};

struct Product {
  HostMatrix q;               // what was multiplied: c, after rounding to what a sweep can hold
  HostMatrix base_P;          // P after the sweep, which may leave a plane of A out
  HostMatrix P;               // P = c + s op(A) q as a whole
  std::vector<double> moved;  // before settling
  double gain = 0.0;          // of settling
};

/// One sweep on P = c that is told to stop there: the increment is c itself, so P = c + s op(A) c.
Product multiply_in_a_sweep(const Operand& A, Transpose transpose, double s, const HostMatrix& c,
                            int digits = 3) {
  Backend& on = backend();
  SweepState state = on.make_sweep_state(A.precision, A.width, c.columns);
  on.upload(c.view(), state.P);
  state.count = c.columns;
  Sweep sweep{.A = A,
              .transpose = transpose,
              .s = s,
              .epilogue = Epilogue::none,
              .gate = {},
              .tolerance = 0.0};
  on.measure(state, sweep, true);
  Product product;
  sweep.tolerance = 1e30;
  const SweepStatus status = on.iterate(state, sweep, 1);
  EXPECT_EQ(status.sweeps, 1);
  EXPECT_EQ(status.open, 0);
  EXPECT_EQ(state.open_count, 0);
  EXPECT_TRUE(status.finite);
  product.q = download(state.applied);
  product.base_P = download(state.P);
  if (A.has_plane) {
    product.moved = on.unsettled(state);
    product.gain = on.settle(state, sweep, settled_columns(product.moved, all_to(digits)));
  }
  product.P = download(state.P);
  return product;
}

TEST_P(Products, ApplyIsTheDoubleLoop) {
  for (const Index m : widths) {
    const Recurrent recurrent = draw(precision(), kind(), m, 17);
    const std::vector<double> x = Random(3).vector(m);
    for (const Transpose transpose : {Transpose::no, Transpose::yes}) {
      std::vector<double> y(x.size(), NAN);
      backend().apply(recurrent.A.view(), transpose, x, y);
      const HostMatrix A = op(transpose, recurrent.values);
      const oracle::Vector wanted = oracle::weighted_sum(A, x);
      const oracle::Vector magnitude =
          oracle::weighted_sum(absolute(A), absolute(test::column_of(x)).values);
      // Accumulated in double whatever the elements; base and change may be summed apart.
      for (std::size_t i = 0; i < y.size(); ++i)
        ASSERT_LE(std::abs(y[i] - wanted[i]),
                  static_cast<double>(2 * m + 2) * 2.3e-16 * magnitude[i])
            << "m = " << m << ", row " << i;
    }
  }
}

/// Blocks inside larger matrices begin where no pack of entries does; 300 rows are more than one
/// block of threads takes by single ones.
TEST(Factors, ApplyTakesBlocksThatBeginAnywhere) {
  constexpr Index m = 300, k = 5;
  Random random(32);
  Matrix larger = backend().allocate(Element::int8, m + 4, m + 4);
  backend().generate_lattice(larger, 3, Tensor::A);
  const Block base = larger.columns(1, m).middle_rows(1, m);
  const test::Framed change(Element::float32, random.matrix(m, m)),
      left(Element::float32, random.matrix(m, k)), right(Element::float32, random.matrix(m, k));
  const WeightView A{base, 0.03125, change, left, right, 1e3};
  HostMatrix whole = download(change.block());
  const HostMatrix integers = download(base), outer = download(left.block()),
                   inner = download(right.block());
  for (Index j = 0; j < m; ++j)
    for (Index i = 0; i < m; ++i) {
      whole(i, j) += 0.03125 * integers(i, j);
      for (Index c = 0; c < k; ++c)
        whole(i, j) += outer(i, c) * inner(j, c);
    }
  const std::vector<double> x = random.vector(m);
  const double size = oracle::norm(whole.values) * oracle::norm(x);
  for (const Transpose transpose : {Transpose::no, Transpose::yes}) {
    std::vector<double> y(x.size(), NAN);
    backend().apply(A, transpose, x, y);
    const oracle::Vector wanted = oracle::weighted_sum(op(transpose, whole), x);
    for (std::size_t i = 0; i < y.size(); ++i)
      ASSERT_NEAR(y[i], wanted[i], static_cast<double>(m) * 2.3e-16 * size) << i;
  }
}

/// On a GPU sums over many columns are made in parts, and a part in steps: 8300 columns are 65
/// parts of two steps or less.
TEST(Factors, ApplyTakesAnyNumberOfThem) {
  constexpr Index m = 70, k = 8300;
  Random random(31);
  const Recurrent recurrent = draw(Precision::fp32, Draw::lattice, m, 17);
  Matrix left = backend().allocate(Element::float32, m, k);
  Matrix right = backend().allocate(Element::float32, m, k);
  backend().upload(random.matrix(m, k).view(), left);
  backend().upload(random.matrix(m, k).view(), right);
  const HostMatrix left_values = download(left), right_values = download(right);
  WeightView A = recurrent.A.view();
  A.left = left;
  A.right = right;
  const std::vector<double> x = random.vector(m);
  for (const Transpose transpose : {Transpose::no, Transpose::yes}) {
    std::vector<double> y(x.size(), NAN);
    backend().apply(A, transpose, x, y);
    const bool is_transposed = transpose == Transpose::yes;
    const HostMatrix& outer = is_transposed ? right_values : left_values;
    const HostMatrix& inner = is_transposed ? left_values : right_values;
    oracle::Vector wanted = oracle::weighted_sum(op(transpose, recurrent.values), x);
    const oracle::Vector more =
        oracle::weighted_sum(outer, oracle::weighted_sum(oracle::transpose(inner), x));
    const double size =
        oracle::norm(left_values.values) * oracle::norm(right_values.values) * oracle::norm(x);
    for (std::size_t i = 0; i < y.size(); ++i)
      ASSERT_NEAR(y[i], wanted[i] + more[i], static_cast<double>(k) * 2.3e-16 * size) << i;
  }
}

TEST_P(Products, ApplyIsAdjoint) {
  for (const Index m : widths) {
    const Recurrent recurrent = draw(precision(), kind(), m, 23);
    Random random(4);
    const std::vector<double> q = random.vector(m), w = random.vector(m);
    std::vector<double> Aq(q.size()), Atw(q.size());
    backend().apply(recurrent.A.view(), Transpose::no, q, Aq);
    backend().apply(recurrent.A.view(), Transpose::yes, w, Atw);
    const double size = oracle::norm(recurrent.values.values) * oracle::norm(q) * oracle::norm(w);
    EXPECT_LE(std::abs(test::dot(Aq, w) - test::dot(q, Atw)),
              static_cast<double>(m) * 2.3e-16 * size)
        << "m = " << m;
  }
}

TEST_P(Products, ApplyRefusesVectorsOfOtherLengths) {
  const Recurrent recurrent = draw(precision(), kind(), 5, 1);
  const std::vector<double> x(4);
  std::vector<double> y(5), short_y(4);
  EXPECT_THROW(backend().apply(recurrent.A.view(), Transpose::no, x, y), ShapeError);
  EXPECT_THROW(backend().apply(recurrent.A.view(), Transpose::no, y, short_y), ShapeError);
  const Element element = real_of(precision());
  const Matrix left = backend().allocate(element, 4, 2), right = backend().allocate(element, 5, 2);
  WeightView A = recurrent.A.view();
  A.left = A.right = left;  // of another height
  EXPECT_THROW(backend().apply(A, Transpose::no, y, y), ShapeError);
  A.left = right;
  EXPECT_THROW(backend().apply(A, Transpose::no, y, y), ShapeError);
}

TEST_P(Products, OneSweepAddsSTimesTheProduct) {
  for (std::size_t k = 0; k < std::size(widths); ++k) {
    const Index m = widths[k], n = counts[k];
    const Recurrent recurrent = draw(precision(), kind(), m, 31);
    const double s = 0.5 / std::sqrt(static_cast<double>(m));
    const HostMatrix c = test::rounded(real_of(precision()), Random(5).matrix(m, n));
    for (const Transpose transpose : {Transpose::no, Transpose::yes}) {
      const Product is = multiply_in_a_sweep(recurrent.A.operand(), transpose, s, c);
      // The increment is c; in mixed, c to 1/254 of its column's largest entry or better.
      for (Index j = 0; j < n; ++j) {
        double largest = 0.0;
        for (Index i = 0; i < m; ++i)
          largest = std::max(largest, std::abs(c(i, j)));
        for (Index i = 0; i < m; ++i)
          ASSERT_LE(std::abs(is.q(i, j) - c(i, j)),
                    precision() == Precision::mixed ? largest / 127.0 : 0.0);
      }
      const HostMatrix A = op(transpose, recurrent.values);
      HostMatrix wanted = oracle::multiply(A, is.q);
      HostMatrix magnitude = oracle::multiply(absolute(A), absolute(is.q));
      for (std::size_t i = 0; i < wanted.values.size(); ++i) {
        wanted.values[i] = c.values[i] + s * wanted.values[i];
        magnitude.values[i] = std::abs(c.values[i]) + s * magnitude.values[i];
      }
      if (recurrent.A.operand().has_plane) {
        // The plane's digits carry 1e-6 of the product; without it P is off by what int8 rounds.
        EXPECT_LE(relative_error(is.P, wanted), 1e-6) << "m = " << m << " n = " << n;
        continue;
      }
      // m products and a few roundings; in mixed the products are summed in integers, exactly.
      const double terms = precision() == Precision::mixed ? 4.0 : static_cast<double>(m + 4);
      for (std::size_t i = 0; i < wanted.values.size(); ++i)
        ASSERT_LE(std::abs(is.P.values[i] - wanted.values[i]),
                  terms * test::epsilon(precision()) * magnitude.values[i])
            << "m = " << m << " n = " << n << ", entry " << i;
    }
  }
}

TEST_P(Products, SweepsAreAdjoint) {
  for (std::size_t k = 0; k < std::size(widths); ++k) {
    const Index m = widths[k], n = counts[k];
    const Recurrent recurrent = draw(precision(), kind(), m, 37);
    Random random(6);
    const Element real = real_of(precision());
    const HostMatrix c = test::rounded(real, random.matrix(m, n)),
                     b = test::rounded(real, random.matrix(m, n));
    const Product forward = multiply_in_a_sweep(recurrent.A.operand(), Transpose::no, 1.0, c);
    const Product backward = multiply_in_a_sweep(recurrent.A.operand(), Transpose::yes, 1.0, b);
    const double A_norm = oracle::norm(recurrent.values.values);
    for (Index j = 0; j < n; ++j) {
      double left = 0.0, right = 0.0;
      for (Index i = 0; i < m; ++i) {
        left += (forward.P(i, j) - c(i, j)) * backward.q(i, j);
        right += forward.q(i, j) * (backward.P(i, j) - b(i, j));
      }
      // Besides the product, P = c + A q is rounded: eps ||P|| ||w||, with ||P|| <= ||c|| + ||A||
      // ||q||.
      const double size = (1.0 + A_norm) * oracle::column_norm(c, j) * oracle::column_norm(b, j);
      EXPECT_LE(std::abs(left - right),
                static_cast<double>(m + 4) * test::epsilon(precision()) * size)
          << "m = " << m << ", sample " << j;
    }
  }
}

/// What sweeps leave out of A: everything but the base.
HostMatrix plane_of(const Recurrent& recurrent) {
  const WeightView view = recurrent.A.view();
  const HostMatrix base = download(view.base);
  HostMatrix plane = recurrent.values;
  for (std::size_t i = 0; i < base.values.size(); ++i)
    plane.values[i] -= view.step * base.values[i];
  return plane;
}

TEST_P(Products, OnlyMixedWithWeightsThatInt8CannotHoldHasAPlane) {
  const Recurrent recurrent = draw(precision(), kind(), 65, 43);
  const Operand& operand = recurrent.A.operand();
  EXPECT_EQ(operand.width, 65);
  EXPECT_EQ(operand.precision, precision());
  EXPECT_EQ(operand.has_plane, precision() == Precision::mixed && kind() != Draw::lattice);
}

TEST_P(Products, CoarseSettlingIsRightToTwoDigitsOfThePlane) {
  for (std::size_t k = 0; k < std::size(widths); ++k) {
    const Index m = widths[k], n = counts[k];
    const Recurrent recurrent = draw(precision(), kind(), m, 41);
    const Operand& operand = recurrent.A.operand();
    if (!operand.has_plane) continue;
    const double plane_norm = oracle::norm(plane_of(recurrent).values);
    const HostMatrix c = test::rounded(Element::float32, Random(7).matrix(m, n));
    for (const Transpose transpose : {Transpose::no, Transpose::yes}) {
      const Product fine = multiply_in_a_sweep(operand, transpose, 1.0, c);
      const Product coarse = multiply_in_a_sweep(operand, transpose, 1.0, c, 1);
      const HostMatrix wanted = oracle::multiply(op(transpose, recurrent.values), fine.q);
      double error = 0.0, left_out = 0.0;
      for (std::size_t i = 0; i < wanted.values.size(); ++i) {
        const double whole = c.values[i] + wanted.values[i];
        error += std::pow(coarse.P.values[i] - whole, 2);
        left_out += std::pow(coarse.base_P.values[i] - whole, 2);
      }
      const double size = plane_norm * oracle::norm(fine.q.values);
      const double rounding = 1e-6 * oracle::norm(wanted.values);
      // A digit is right to half of 1/127 of its largest entry, and there are two factors.
      EXPECT_LE(std::sqrt(error), size / 64.0 + rounding) << "m = " << m;
      EXPECT_LE(std::sqrt(left_out), size + rounding) << "m = " << m;
    }
  }
}

TEST_P(Products, UnsettledSaysHowMuchItMovedAndSettlingThePlanesGain) {
  for (std::size_t k = 0; k < std::size(widths); ++k) {
    const Index m = widths[k], n = counts[k];
    const Recurrent recurrent = draw(precision(), kind(), m, 43);
    if (!recurrent.A.operand().has_plane) continue;
    const HostMatrix c = test::rounded(Element::float32, Random(12).matrix(m, n));
    for (const Transpose transpose : {Transpose::no, Transpose::yes}) {
      const double s = 0.3;
      const Product is = multiply_in_a_sweep(recurrent.A.operand(), transpose, s, c);
      // Nothing was settled before, so everything moved: ||applied - 0|| / ||applied||.
      EXPECT_NEAR(*std::ranges::max_element(is.moved), 1.0, 1e-5);
      const HostMatrix image = oracle::multiply(op(transpose, plane_of(recurrent)), is.q);
      double gain = 0.0;
      for (Index j = 0; j < n; ++j)
        gain = std::max(gain, s * oracle::column_norm(image, j) / oracle::column_norm(is.q, j));
      EXPECT_NEAR(is.gain, gain, 0.02 * gain) << "m = " << m;
    }
  }
}

TEST_P(Products, SettlingTakesEachColumnToItsDigitsAndLeavesTheOthers) {
  // What a column gets is what it gets when all are settled alike, bit for bit.
  const Index m = 66, n = 9;
  const Recurrent recurrent = draw(precision(), kind(), m, 44);
  const Operand& operand = recurrent.A.operand();
  if (!operand.has_plane) return;
  Backend& on = backend();
  // Column j has moved by 4^-j of its length.
  const HostMatrix z = test::rounded(Element::float32, Random(13).matrix(m, n));
  HostMatrix before = z;
  for (Index j = 0; j < n; ++j)
    for (Index i = 0; i < m; ++i)
      before(i, j) *= 1.0 - std::pow(4.0, -static_cast<double>(j));
  const HostMatrix P = test::rounded(Element::float32, Random(14).matrix(m, n));
  const auto settle_by = [&](Transpose transpose, const DigitLimits& limits, SweepState& state) {
    state = on.make_sweep_state(precision(), m, n);
    on.upload(z.view(), state.applied);
    on.upload(before.view(), state.settled);
    on.upload(P.view(), state.P);
    const Sweep sweep{.A = operand,
                      .transpose = transpose,
                      .s = 0.3,
                      .epilogue = Epilogue::none,
                      .gate = {},
                      .tolerance = 0.0};
    const std::vector<double> moved = on.unsettled(state);
    EXPECT_NEAR(moved[0], 1.0, 1e-6);
    for (Index j = 0; j < n; ++j)
      EXPECT_NEAR(moved[static_cast<std::size_t>(j)] * std::pow(4.0, j), 1.0, 1e-2) << j;
    const SettledColumns columns = settled_columns(moved, limits);
    on.settle(state, sweep, columns);
    return columns;
  };
  const auto digits_of = [](Index j) { return j < 2 ? 3 : j < 3 ? 2 : j < 6 ? 1 : 0; };
  const DigitLimits limits{0.5 * std::pow(4.0, -5), 0.5 * std::pow(4.0, -2),
                           0.5 * std::pow(4.0, -1)};
  for (const Transpose transpose : {Transpose::no, Transpose::yes}) {
    SweepState state;
    const SettledColumns columns = settle_by(transpose, limits, state);
    EXPECT_EQ(columns.count, (std::array<Index, plane_digits>{6, 3, 2}));
    EXPECT_NEAR(columns.left, std::pow(4.0, -6), 1e-3 * std::pow(4.0, -6));
    for (int digits = 0; digits <= plane_digits; ++digits) {
      SweepState alike;
      if (digits > 0) settle_by(transpose, all_to(digits), alike);
      const HostMatrix wanted_P = digits > 0 ? download(alike.P) : P;
      const HostMatrix wanted_settled =
          digits > 0 ? download(alike.settled) : test::rounded(Element::float32, before);
      const HostMatrix got_P = download(state.P), got_settled = download(state.settled);
      for (Index j = 0; j < n; ++j)
        for (Index i = 0; i < m && digits_of(j) == digits; ++i) {
          ASSERT_EQ(got_P(i, j), wanted_P(i, j)) << "row " << i << " of column " << j;
          ASSERT_EQ(got_settled(i, j), wanted_settled(i, j)) << "row " << i << " of column " << j;
        }
    }
  }
}

TEST_P(Products, SettlingAndMeasuringAreWhatTheyAreApart) {
  const Index m = 66, n = 9;
  const Recurrent recurrent = draw(precision(), kind(), m, 45);
  const Operand& operand = recurrent.A.operand();
  if (!operand.has_plane) return;
  Backend& on = backend();
  const HostMatrix z = test::rounded(Element::float32, Random(15).matrix(m, n));
  const HostMatrix P = test::rounded(Element::float32, Random(16).matrix(m, n));
  const Sweep sweep{.A = operand,
                    .transpose = Transpose::no,
                    .s = 0.1,
                    .epilogue = Epilogue::relu,
                    .gate = {},
                    .tolerance = 1.2};  // some columns have stopped, others have not
  const auto start = [&] {
    SweepState state = on.make_sweep_state(precision(), m, n);
    on.upload(z.view(), state.applied);
    on.upload(P.view(), state.P);
    return state;
  };
  for (const DigitLimits& limits : {all_to(2), DigitLimits{2.0, 3.0, 4.0}}) {  // all, or none
    SweepState apart = start(), together = start();
    const SettledColumns columns = settled_columns(on.unsettled(apart), limits);
    const double gain = on.settle(apart, sweep, columns);
    const SweepStatus look = on.measure(apart, sweep, false);
    const SettledLook both = on.settle_and_measure(together, sweep, columns);
    EXPECT_EQ(both.gain, gain);
    EXPECT_EQ(gain > 0.0, columns.size() > 0);
    EXPECT_EQ(both.look.open, look.open);
    EXPECT_TRUE(0 < look.open && look.open < n) << look.open;
    EXPECT_EQ(both.look.worst_residual, look.worst_residual);
    EXPECT_EQ(on.residuals(together), on.residuals(apart));
    EXPECT_EQ(download(together.P).values, download(apart.P).values);
    EXPECT_EQ(download(together.settled).values, download(apart.settled).values);
    EXPECT_EQ(download(together.applied).values, download(apart.applied).values);
  }
}

TEST_P(Products, SettlingRefusesOpenColumnsAndOnesThatAreNotThere) {
  const Index m = 20, n = 3;
  const Recurrent recurrent = draw(precision(), kind(), m, 46);
  if (!recurrent.A.operand().has_plane) return;
  Backend& on = backend();
  SweepState state = on.make_sweep_state(precision(), m, n);
  on.upload(Random(17).matrix(m, n).view(), state.P);
  const Sweep sweep{.A = recurrent.A.operand(),
                    .transpose = Transpose::no,
                    .s = 0.1,
                    .epilogue = Epilogue::none,
                    .gate = {},
                    .tolerance = 0.0};
  const std::vector<double> all(static_cast<std::size_t>(n) + 1, 1.0);
  EXPECT_THROW(on.settle(state, sweep, settled_columns(all, all_to(1))), ShapeError);
  const SettledColumns good = settled_columns({1.0}, all_to(1));
  SettledColumns bad = good;
  for (const Index j : {Index{-1}, n}) {
    bad.order = {j};
    EXPECT_THROW(on.settle(state, sweep, bad), ShapeError) << j;
  }
  bad.order = {1, 1};
  bad.count = {2, 0, 0};
  EXPECT_THROW(on.settle(state, sweep, bad), ShapeError);  // twice
  bad = good;
  bad.order = {0, 1};  // of which one has a digit
  EXPECT_THROW(on.settle(state, sweep, bad), ShapeError);
  bad = good;
  bad.count[2] = 1;  // three digits without a second one
  EXPECT_THROW(on.settle(state, sweep, bad), ShapeError);
  Sweep masked = sweep;  // without a gate
  masked.epilogue = Epilogue::mask;
  EXPECT_THROW(on.settle_and_measure(state, masked, good), ShapeError);
  EXPECT_EQ(test::download(state.settled).values, HostMatrix(m, n).values);
  on.measure(state, sweep, true);
  ASSERT_EQ(state.open_count, n);
  EXPECT_THROW(on.settle(state, sweep, settled_columns({1.0}, all_to(1))), ShapeError);
}

TEST_P(Products, OperandKeepsItsValuesUntilRefreshed) {
  const Index m = 33, n = 4;
  Recurrent recurrent = draw(precision(), kind(), m, 47);
  const HostMatrix c = test::rounded(real_of(precision()), Random(8).matrix(m, n));
  const Product before = multiply_in_a_sweep(recurrent.A.operand(), Transpose::no, 0.1, c);
  const Block change = recurrent.A.change();
  const HostMatrix added = test::rounded(real_of(precision()), Random(9).matrix(m, m));
  backend().add_scaled(change, 0.125, test::upload(real_of(precision()), added));
  const Product during = multiply_in_a_sweep(recurrent.A.operand(), Transpose::no, 0.1, c);
  EXPECT_EQ(during.P.values, before.P.values);

  recurrent.A.refresh();
  const HostMatrix A = recurrent.A.download_columns(0, m);
  const Product after = multiply_in_a_sweep(recurrent.A.operand(), Transpose::no, 0.1, c);
  HostMatrix wanted = oracle::multiply(A, after.q);
  for (std::size_t i = 0; i < wanted.values.size(); ++i)
    wanted.values[i] = c.values[i] + 0.1 * wanted.values[i];
  EXPECT_LE(relative_error(after.P, wanted), precision() == Precision::fp64 ? 1e-14 : 1e-6);
  EXPECT_GT(relative_error(after.P, before.P), 1e-3);
}

TEST_P(Products, AChangeOfEveryRelativeSizeIsMultipliedAccurately) {
  // Training adds to `change` updates of all sizes; the product must be right for each of them.
  const Index m = 66, n = 5;
  for (const double size : {1e-7, 1e-4, 1e-1, 3.0}) {
    Recurrent recurrent = draw(precision(), kind(), m, 53);
    const HostMatrix added = Random(10).matrix(m, m);
    backend().add_scaled(recurrent.A.change(), size, test::upload(real_of(precision()), added));
    recurrent.A.refresh();
    const HostMatrix A = recurrent.A.download_columns(0, m);
    const HostMatrix c = test::rounded(real_of(precision()), Random(11).matrix(m, n));
    const Product is = multiply_in_a_sweep(recurrent.A.operand(), Transpose::yes, 0.1, c);
    HostMatrix wanted = oracle::multiply(oracle::transpose(A), is.q);
    for (std::size_t i = 0; i < wanted.values.size(); ++i)
      wanted.values[i] = c.values[i] + 0.1 * wanted.values[i];
    EXPECT_LE(relative_error(is.P, wanted), precision() == Precision::fp64 ? 1e-14 : 2e-6)
        << "change of size " << size;
  }
}

INSTANTIATE_TEST_SUITE_P(
    , Products,
    testing::Combine(testing::Values(Precision::fp64, Precision::fp32, Precision::mixed),
                     testing::Values(Draw::lattice, Draw::gaussian, Draw::given)),
    [](const auto& it) {
      return std::string(test::name_of(std::get<0>(it.param))) + "_" +
             test::name_of(std::get<1>(it.param));
    });

}  // namespace
}  // namespace widedeq
