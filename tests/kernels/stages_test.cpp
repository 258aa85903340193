// The small stages, each against its formula in double loops: on whole matrices, on blocks inside
// larger ones (strides longer than columns, starts that are not aligned), and on shapes that do not
// fit.
//
// Bounds: a sum of k products in arithmetic of precision eps is off by at most k eps times the sum
// of the products' magnitudes (Higham, Accuracy and Stability, section 3.1). That majorant is
// computed beside the sum, so no tolerance here is a guess; 2 more roundings are allowed for scale
// and store.
#include <gtest/gtest.h>

#include "tests/support.hpp"

namespace widedeq {
namespace {

using test::backend;
using test::column_of;
using test::download;
using test::Framed;
using test::Random;
using test::rounded;
using test::upload;

struct Size {
  Index rows, columns, inner;
};

class Stages : public testing::TestWithParam<Element> {
 protected:
  Element real() const { return GetParam(); }
  /// Those with such reals.
  std::vector<Precision> precisions() const {
    return real() == Element::float64 ? std::vector{Precision::fp64}
                                      : std::vector{Precision::fp32, Precision::mixed};
  }
  Precision precision() const { return precisions().back(); }
  double eps() const {
    return real() == Element::float64 ? std::numeric_limits<double>::epsilon()
                                      : std::numeric_limits<float>::epsilon();
  }
  /// Random entries as the element type holds them.
  HostMatrix random(Index rows, Index columns) {
    return rounded(real(), random_.matrix(rows, columns));
  }
  Random random_{42};

  static constexpr Size sizes[] = {{1, 1, 1},   {1, 5, 3},     {2, 1, 1},
                                   {5, 9, 2},   {17, 4, 33},   {65, 31, 7},
                                   {127, 3, 1}, {128, 16, 64}, {200, 66, 5}};
};

/// |is - wanted| <= (terms + 2) eps magnitude + tiny, entry by entry.
void expect_within(const HostMatrix& is, const HostMatrix& wanted, const HostMatrix& magnitude,
                   Index terms, double eps) {
  ASSERT_EQ(is.rows, wanted.rows);
  ASSERT_EQ(is.columns, wanted.columns);
  for (std::size_t i = 0; i < is.values.size(); ++i)
    ASSERT_LE(std::abs(is.values[i] - wanted.values[i]),
              static_cast<double>(terms + 2) * eps * magnitude.values[i])
        << "entry " << i << " of " << shape(is);
}

HostMatrix absolute(HostMatrix M) {
  for (double& entry : M.values)
    entry = std::abs(entry);
  return M;
}

// ---- memory

TEST_P(Stages, AllocatedMatricesAreZero) {
  for (const Element element :
       {Element::float64, Element::float32, Element::int32, Element::int8}) {
    const Matrix matrix = backend().allocate(element, 37, 5);
    EXPECT_EQ(matrix.element(), element);
    EXPECT_EQ(download(matrix).values, HostMatrix(37, 5).values) << name_of(element);
  }
}

TEST_P(Stages, UploadRoundsToTheElementAndDownloadIsExact) {
  for (const auto& [rows, columns, inner] : sizes) {
    const HostMatrix host = random_.matrix(rows, columns);
    EXPECT_EQ(download(upload(real(), host)).values, rounded(real(), host).values);
  }
}

TEST_P(Stages, UploadAndDownloadKeepToTheirBlocks) {
  const HostMatrix host = random(7, 4);
  const Framed framed(real(), host);
  EXPECT_TRUE(framed.frame_untouched());
  EXPECT_EQ(download(framed.block()).values, host.values);
  // A host view with a stride of its own: rows 2 .. 8 of a 10 x 4 matrix.
  HostMatrix wide(10, 4);
  std::fill(wide.values.begin(), wide.values.end(), Framed::sentinel);
  backend().download(framed, MatrixView<double>(wide.values.data() + 2, 7, 4, 10));
  for (Index j = 0; j < 4; ++j)
    for (Index i = 0; i < 10; ++i)
      ASSERT_EQ(wide(i, j), i >= 2 && i < 9 ? host(i - 2, j) : Framed::sentinel);
  const Framed again(real(), 7, 4);
  backend().upload(MatrixView<const double>(wide.values.data() + 2, 7, 4, 10), again);
  EXPECT_EQ(download(again.block()).values, host.values);
  EXPECT_TRUE(again.frame_untouched());
}

TEST_P(Stages, NotANumberAndInfinityTravelBothWays) {
  HostMatrix host(3, 1);
  host.values = {NAN, INFINITY, -INFINITY};
  const HostMatrix back = download(upload(real(), host));
  EXPECT_TRUE(std::isnan(back(0, 0)));
  EXPECT_EQ(back(1, 0), INFINITY);
  EXPECT_EQ(back(2, 0), -INFINITY);
}

TEST_P(Stages, CopyFillAndBroadcastKeepToTheirBlocks) {
  for (const auto& [rows, columns, inner] : sizes) {
    const HostMatrix host = random(rows, columns), column = random(rows, 1);
    const Framed from(real(), host), to(real(), rows, columns), one(real(), column);
    backend().copy(from, to);
    EXPECT_EQ(download(to.block()).values, host.values);
    EXPECT_TRUE(to.frame_untouched());

    backend().fill(to, 3.0);
    EXPECT_EQ(download(to.block()).values,
              std::vector<double>(static_cast<std::size_t>(rows * columns), 3.0));
    EXPECT_TRUE(to.frame_untouched());

    backend().broadcast(one, to);
    const HostMatrix spread = download(to.block());
    for (Index j = 0; j < columns; ++j)
      for (Index i = 0; i < rows; ++i)
        ASSERT_EQ(spread(i, j), column(i, 0));
    EXPECT_TRUE(to.frame_untouched());
  }
}

TEST_P(Stages, MiddleColumnsAreTheSameMemory) {
  const HostMatrix host = random(6, 7);
  Matrix matrix = upload(real(), host);
  backend().fill(matrix.columns(2, 3), 5.0);
  const HostMatrix is = download(matrix);
  for (Index j = 0; j < 7; ++j)
    for (Index i = 0; i < 6; ++i)
      ASSERT_EQ(is(i, j), j >= 2 && j < 5 ? 5.0 : host(i, j));
}

// ---- forward

TEST_P(Stages, InjectIsReluOfWXOverRootM) {
  for (const auto& [m, n, d] : sizes)
    for (const auto& [relu_injection, sums] : {std::pair{true, Sums::native},
                                               {false, Sums::native},
                                               {true, Sums::in_double},
                                               {false, Sums::in_double}}) {
      const HostMatrix W = random(m, d), X = random(d, n);
      const Framed Phi(real(), m, n);
      backend().inject(Framed(real(), W), Framed(real(), X),
                       relu_injection ? Injection::relu : Injection::linear, sums, Phi);
      oracle::Network net;
      net.A = HostMatrix(m, m);
      net.W = W;
      net.X = X;
      net.relu_injection = relu_injection;
      const HostMatrix wanted = oracle::injection(net);
      net.W = absolute(W);
      net.X = absolute(X);
      expect_within(download(Phi.block()), wanted, oracle::injection(net), d, eps());
      EXPECT_TRUE(Phi.frame_untouched());
    }
}

TEST_P(Stages, InjectInDoubleRoundsOnce) {
  // More rows of W than the CPU takes at a time, and sums that lose digits: |W||X| is some 20 times
  // W X.
  const Index m = 1100, n = 3, d = 700;
  const HostMatrix W = random(m, d), X = random(d, n);
  const Framed Phi(real(), m, n);
  backend().inject(Framed(real(), W), Framed(real(), X), Injection::linear, Sums::in_double, Phi);
  oracle::Network net;
  net.A = HostMatrix(m, m);
  net.W = W;
  net.X = X;
  net.relu_injection = false;
  const HostMatrix wanted = oracle::injection(net), is = download(Phi.block());
  net.W = absolute(W);
  net.X = absolute(X);
  const HostMatrix magnitude = oracle::injection(net);
  const double sum = static_cast<double>(d) * 2.3e-16;
  for (std::size_t i = 0; i < is.values.size(); ++i)
    ASSERT_LE(std::abs(is.values[i] - wanted.values[i]),
              0.5 * eps() * std::abs(wanted.values[i]) * 1.01 + sum * magnitude.values[i])
        << i;
  EXPECT_TRUE(Phi.frame_untouched());
}

TEST_P(Stages, InjectKeepsNotANumber) {
  HostMatrix W = random(3, 2);
  W(1, 0) = NAN;
  for (const Injection injection : {Injection::relu, Injection::linear}) {
    Matrix Phi = backend().allocate(real(), 3, 4);
    backend().inject(upload(real(), W), upload(real(), random(2, 4)), injection, Sums::native, Phi);
    EXPECT_TRUE(std::isnan(download(Phi)(1, 2)));
  }
}

TEST_P(Stages, ReadoutIsUZPlusVPhi) {
  for (const auto& [m, n, inner] : sizes)
    for (const bool skip : {true, false}) {
      const HostMatrix u = random(m, 1), v = random(m, 1), Z = random(m, n), Phi = random(m, n);
      const Framed skip_block(real(), v);
      const std::vector<double> yhat =
          backend().readout(Framed(real(), u), Framed(real(), Z),
                            skip ? ConstBlock(skip_block) : ConstBlock(), Framed(real(), Phi));
      oracle::Network net;
      net.A = HostMatrix(m, m);
      net.X = HostMatrix(1, n);
      net.u = u.values;
      net.v = v.values;
      net.skip = skip;
      const HostMatrix wanted = column_of(oracle::predict(net, Z, Phi));
      net.u = absolute(u).values;
      net.v = absolute(v).values;
      const HostMatrix size = column_of(oracle::predict(net, absolute(Z), absolute(Phi)));
      expect_within(column_of(yhat), wanted, size, 2 * m, eps());
    }
}

// ---- backward

TEST_P(Stages, BackwardInjectionMasksByPhi) {
  for (const auto& [m, n, inner] : sizes)
    for (const bool relu_injection : {true, false})
      for (const bool skip : {true, false}) {
        oracle::Network net;
        net.A = HostMatrix(m, m);
        net.X = HostMatrix(1, n);
        net.relu_injection = relu_injection;
        net.skip = skip;
        const HostMatrix L = random(m, n), v = random(m, 1);
        HostMatrix Phi = random(m, n);
        if (relu_injection) Phi = oracle::relu(std::move(Phi));  // exact zeros, as inject gives
        net.v = v.values;
        const Framed B(real(), m, n), v_block(real(), v);
        backend().backward_injection(Framed(real(), L), skip ? ConstBlock(v_block) : ConstBlock(),
                                     Framed(real(), Phi), test::injection_of(net), B);
        const HostMatrix wanted = oracle::backward_injection(net, L, Phi);
        // One addition in the element's arithmetic: correctly rounded, so the same bits.
        EXPECT_EQ(download(B.block()).values, rounded(real(), wanted).values);
        EXPECT_TRUE(B.frame_untouched());
      }
}

TEST_P(Stages, RankUpdateAddsAndReturnsTheSquaredNorm) {
  // Large enough for digits, where mixed precision has them; and more columns than the CPU makes at
  // a time, 1024.
  std::vector<Size> all(std::begin(sizes), std::end(sizes));
  all.insert(all.end(), {{64, 64, 64}, {130, 65, 100}, {67, 200, 129}});
  all.insert(all.end(), {{3, 1024, 2}, {3, 1025, 2}, {3, 2100, 2}, {64, 1100, 64}});
  for (const Precision precision : precisions())
    for (const auto& [a, b, n] : all) {
      const HostMatrix C = random(a, b), left = random(a, n), right = random(b, n);
      const std::vector<double> r = random_.vector(n);
      const double alpha = -0.3;
      const Framed out(real(), C), left_block(real(), left), right_block(real(), right);
      const double square =
          backend().rank_update(out, alpha, left_block, r, right_block, precision);

      const HostMatrix G = oracle::weighted_outer(1.0, left, r, right);
      const HostMatrix size = oracle::weighted_outer(
          std::abs(alpha), absolute(left), absolute(column_of(r)).values, absolute(right));
      HostMatrix wanted = C, magnitude = absolute(C);
      for (std::size_t i = 0; i < G.values.size(); ++i) {
        wanted.values[i] += alpha * G.values[i];
        magnitude.values[i] += size.values[i];
      }
      expect_within(download(out.block()), wanted, magnitude, n + 2, eps());
      EXPECT_TRUE(out.frame_untouched());
      EXPECT_TRUE(left_block.frame_untouched());
      EXPECT_TRUE(right_block.frame_untouched());
      // ||G||^2 moves by 2 ||G|| ||error||, and the error is at most (n + 2) eps of the magnitudes.
      const double norm = oracle::norm(G.values);
      const double error =
          static_cast<double>(n + 4) * eps() * oracle::norm(size.values) / std::abs(alpha);
      EXPECT_NEAR(square, norm * norm, 2.0 * norm * error + error * error)
          << shape(C) << " of " << n;
    }
}

TEST_P(Stages, AbsorbingLosesNothing) {
  for (const auto& [rows, columns, inner] : sizes) {
    const HostMatrix sums = random(rows, columns);
    HostMatrix change = random(rows, columns);
    // From much smaller than a sum's last digit to much larger than the sum.
    for (std::size_t i = 0; i < change.values.size(); ++i)
      change.values[i] = std::ldexp(change.values[i], static_cast<int>(i % 11) * 6 - 50);
    change = rounded(real(), change);
    const Framed to(real(), sums), rest(real(), change);
    backend().absorb(to, rest);
    const HostMatrix is = download(to.block()), left = download(rest.block());
    for (std::size_t i = 0; i < is.values.size(); ++i) {
      const double wanted = sums.values[i] + change.values[i];  // rounded to double
      EXPECT_EQ(is.values[i], rounded(real(), column_of({wanted})).values[0]);
      // Where numbers have 24 bits, 53 hold what both were unless they lie 2^29 apart.
      if (real() == Element::float32) {
        EXPECT_NEAR(is.values[i] + left.values[i], wanted, std::ldexp(std::abs(wanted), -52));
      }
      // In the numbers' own arithmetic, by the other order of the sum: the larger one first.
      const double a = std::max(std::abs(sums.values[i]), std::abs(change.values[i]));
      const double large = std::abs(sums.values[i]) == a ? sums.values[i] : change.values[i];
      const double small = large == sums.values[i] ? change.values[i] : sums.values[i];
      const double lost = rounded(real(), column_of({is.values[i] - large})).values[0];
      EXPECT_EQ(left.values[i], rounded(real(), column_of({small - lost})).values[0]);
    }
    EXPECT_TRUE(to.frame_untouched());
    EXPECT_TRUE(rest.frame_untouched());
  }
}

TEST_P(Stages, AddScaledAddsAndReturnsTheSquaredNorm) {
  for (const auto& [rows, columns, inner] : sizes) {
    const HostMatrix C = random(rows, columns), G = random(rows, columns);
    const double alpha = 0.7;
    const Framed out(real(), C);
    const double square = backend().add_scaled(out, alpha, Framed(real(), G));
    HostMatrix wanted = C, magnitude = absolute(C);
    for (std::size_t i = 0; i < G.values.size(); ++i) {
      wanted.values[i] += alpha * G.values[i];
      magnitude.values[i] += std::abs(alpha * G.values[i]);
    }
    expect_within(download(out.block()), wanted, magnitude, 1, eps());
    EXPECT_TRUE(out.frame_untouched());
    const double norm = oracle::norm(G.values);
    EXPECT_NEAR(square, norm * norm, static_cast<double>(rows * columns + 2) * eps() * norm * norm);
  }
}

// ---- splitting

TEST_P(Stages, SplitTakesAWholeMatrixApartWithoutError) {
  for (const double size : {1.0, 1e-20, 3e15})
    for (const Index m : {1, 2, 5, 33, 65}) {
      HostMatrix A = random_.uneven(m);
      for (double& entry : A.values)
        entry *= size;
      A = rounded(real(), A);
      Matrix change = upload(real(), A);
      Matrix base = backend().allocate(Element::int8, m, m);
      const auto [step, exact] = backend().split(change, base);
      const HostMatrix integers = download(base), rest = download(change);

      double largest = 0.0;
      EXPECT_EQ(exact, oracle::norm(rest.values) == 0.0);
      for (std::size_t i = 0; i < A.values.size(); ++i) {
        ASSERT_EQ(step * integers.values[i] + rest.values[i], A.values[i]);
        ASSERT_LE(std::abs(rest.values[i]), 0.5 * step);
        ASSERT_LE(std::abs(integers.values[i]), 127.0);
        largest = std::max(largest, std::abs(A.values[i]));
      }
      // A power of two, and half of it would not do.
      int exponent = 0;
      EXPECT_EQ(std::frexp(step, &exponent), 0.5);
      EXPECT_LE(largest, 127.5 * step);
      EXPECT_GT(largest, 127.0 * (step / 2));
    }
}

TEST_P(Stages, SplitLeavesNothingOfALattice) {
  HostMatrix A(3, 3);
  A.values = {127, -127, 1, 0, 64, -3, 90, -1, 2};
  for (double& entry : A.values)
    entry /= 32.0;
  Matrix change = upload(real(), A);
  Matrix base = backend().allocate(Element::int8, 3, 3);
  const auto [step, exact] = backend().split(change, base);
  EXPECT_EQ(step, 1.0 / 32.0);
  EXPECT_TRUE(exact);
  EXPECT_EQ(download(change).values, HostMatrix(3, 3).values);
  EXPECT_EQ(download(base)(0, 0), 127.0);
  EXPECT_EQ(download(base)(1, 0), -127.0);
}

TEST_P(Stages, SplitOfZeroIsZero) {
  Matrix change = backend().allocate(real(), 4, 4);
  Matrix base = backend().allocate(Element::int8, 4, 4);
  const auto [step, exact] = backend().split(change, base);
  EXPECT_TRUE(exact);
  EXPECT_TRUE(std::isfinite(step));
  EXPECT_GT(step, 0.0);
  EXPECT_EQ(download(change).values, HostMatrix(4, 4).values);
  EXPECT_EQ(download(base).values, HostMatrix(4, 4).values);
}

TEST_P(Stages, SplitRefusesWhatIsNotFinite) {
  for (const double bad : {double{NAN}, double{INFINITY}, -double{INFINITY}}) {
    HostMatrix A = random(5, 5);
    A(3, 2) = bad;
    Matrix change = upload(real(), A);
    Matrix base = backend().allocate(Element::int8, 5, 5);
    EXPECT_THROW(backend().split(change, base), std::domain_error);
  }
}

// ---- misuse

TEST_P(Stages, ShapesThatDoNotFitAreRefusedByName) {
  Backend& on = backend();
  Matrix a34 = on.allocate(real(), 3, 4), b35 = on.allocate(real(), 3, 5);
  HostMatrix host(3, 5);
  EXPECT_SHAPE_ERROR(on.upload(host.view(), a34), "3 x 4", "3 x 5");
  EXPECT_SHAPE_ERROR(on.download(a34, host.view()), "3 x 4", "3 x 5");
  EXPECT_SHAPE_ERROR(on.copy(a34, b35), "3 x 4", "3 x 5");
  EXPECT_SHAPE_ERROR(on.add_scaled(a34, 1.0, b35), "3 x 4", "3 x 5");
  EXPECT_SHAPE_ERROR(on.absorb(a34, b35), "3 x 4", "3 x 5");

  Matrix column2 = on.allocate(real(), 2, 1);
  EXPECT_SHAPE_ERROR(on.broadcast(column2, a34), "2 x 1", "3 x 1");

  // Phi is 3 x 5 when W is 3 x 2 and X is 2 x 5.
  Matrix W = on.allocate(real(), 3, 2), X = on.allocate(real(), 2, 5),
         X4 = on.allocate(real(), 4, 5);
  EXPECT_SHAPE_ERROR(on.inject(W, X, Injection::relu, Sums::native, a34), "3 x 4", "3 x 5");
  EXPECT_SHAPE_ERROR(on.inject(W, X4, Injection::relu, Sums::native, b35), "4 x 5", "2 x 5");

  Matrix u = on.allocate(real(), 3, 1);
  EXPECT_SHAPE_ERROR(on.readout(u, a34, u, b35), "3 x 4", "3 x 5");
  EXPECT_SHAPE_ERROR(on.readout(column2, a34, u, a34), "2 x 1", "3 x 1");
  Matrix B = on.allocate(real(), 3, 4);
  EXPECT_SHAPE_ERROR(on.backward_injection(a34, u, b35, Injection::relu, B), "3 x 4", "3 x 5");
  EXPECT_SHAPE_ERROR(on.backward_injection(a34, column2, a34, Injection::relu, B), "2 x 1",
                     "3 x 1");

  // C is 3 x 2 when left is 3 x 4 and right is 2 x 4.
  Matrix right = on.allocate(real(), 2, 4), right5 = on.allocate(real(), 2, 5);
  const std::vector<double> r(4);
  EXPECT_SHAPE_ERROR(on.rank_update(a34, 1.0, a34, r, right, precision()), "3 x 4", "3 x 2");
  EXPECT_SHAPE_ERROR(on.rank_update(W, 1.0, a34, r, right5, precision()), "2 x 5", "2 x 4");
  EXPECT_THROW(on.rank_update(W, 1.0, a34, std::vector<double>(3), right, precision()), ShapeError);

  Matrix base = on.allocate(Element::int8, 4, 4), square = on.allocate(real(), 5, 5);
  EXPECT_SHAPE_ERROR(on.split(square, base), "5 x 5", "4 x 4");
}

TEST_P(Stages, WrongElementsAreRefused) {
  Backend& on = backend();
  const Element other = real() == Element::float64 ? Element::float32 : Element::float64;
  Matrix a = on.allocate(real(), 3, 3), b = on.allocate(other, 3, 3);
  Matrix integers = on.allocate(Element::int8, 3, 3);
  EXPECT_THROW(on.copy(a, b), ShapeError);
  EXPECT_THROW(on.add_scaled(a, 1.0, b), ShapeError);
  EXPECT_THROW(on.absorb(a, b), ShapeError);
  EXPECT_THROW(on.inject(a, b, Injection::relu, Sums::native, a), ShapeError);
  EXPECT_THROW(on.generate_gaussian(integers, 1, Tensor::A), ShapeError);
  EXPECT_THROW(on.generate_lattice(a, 1, Tensor::A), ShapeError);
  EXPECT_THROW(on.upload(HostMatrix(3, 3).view(), integers), ShapeError);
}

TEST_P(Stages, ARefusedCallWritesNothing) {
  const HostMatrix before = random(3, 4);
  Matrix C = upload(real(), before);
  Matrix left = upload(real(), random(3, 2)), right = upload(real(), random(5, 2));
  EXPECT_THROW(backend().rank_update(C, 1.0, left, std::vector<double>(2), right, precision()),
               ShapeError);
  EXPECT_EQ(download(C).values, before.values);
}

INSTANTIATE_TEST_SUITE_P(, Stages, testing::Values(Element::float64, Element::float32),
                         [](const auto& it) { return std::string(name_of(it.param)); });

}  // namespace
}  // namespace widedeq
