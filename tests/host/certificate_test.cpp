// What certificates say where something is wrong: too large a norm, no proof, wrong Z or L, signs
// in doubt, samples that are equal or dead, numbers that are not finite.
#include <gtest/gtest.h>

#include "host/certificate.hpp"
#include "host/state_bounds.hpp"
#include "tests/host/extended.hpp"
#include "tests/support.hpp"

namespace widedeq {
namespace {

using test::backend;
using Real = extended::Real;

/// A solved network of given weights.
struct Solved {
  oracle::Network net;
  Model model;
  Trainer trainer;

  explicit Solved(oracle::Network network, const TrainerOptions& how = {})
      : net(std::move(network)),
        model(test::model_of(net, Precision::fp64)),
        trainer(backend(), model, net.X, net.y, {.tolerance = 1e-10, .max_sweeps = 1000}, how) {
    trainer.evaluate();
  }
};

TEST(Certificate, ThatTheNormIsTooLargeIsSaid) {
  oracle::Network net = test::random_network({20, 3, 4, 0.5}, true, true, 3);
  for (double& entry : net.A.values)
    entry *= 2.0;
  Model model = test::model_of(net, Precision::fp64);
  const Matrix X = test::upload(Element::float64, net.X);
  const Matrix Z = backend().allocate(Element::float64, 20, 3);
  const Certificates is = certify(backend(), model, X, Z, Z);
  for (const Certificate& one : {is.contraction, is.distance, is.lambda_min}) {
    EXPECT_EQ(one.verdict, Verdict::refused);
    EXPECT_NE(one.reason.find("not below 1"), std::string::npos) << one.reason;
  }
  EXPECT_NEAR(is.contraction.value, net.s() * oracle::operator_norm(net.A), 1e-6);
}

TEST(Certificate, WithoutAProofThereAreEstimates) {
  const Solved it(test::random_network({30, 4, 5, 0.3}, true, true, 4));
  // No draw is known and Cholesky is not tried: the Frobenius norm is all there is.
  const CertifyOptions options{.norm = {.cholesky_limit = 0}};
  const Certificates is = certify(backend(), it.model, it.trainer, options);
  const double q = it.net.s() * oracle::operator_norm(it.net.A);
  EXPECT_EQ(is.contraction.verdict, Verdict::estimated);
  EXPECT_NEAR(is.contraction.value, q, 1e-6 * q);
  EXPECT_NE(is.contraction.reason.find("Frobenius"), std::string::npos);
  EXPECT_EQ(is.distance.verdict, Verdict::estimated);
  EXPECT_LT(is.distance.value, 1e-9);
  EXPECT_EQ(is.lambda_min.verdict, Verdict::estimated);
  const double lambda_min = oracle::eigenvalues(oracle::solve(it.net).H).front();
  EXPECT_NEAR(is.lambda_min.value, lambda_min, 1e-6 * lambda_min);
}

TEST(Certificate, TellsCertaintyFromProbability) {
  constexpr Index m = 400;
  Model model(backend(), Precision::fp64, {.gamma = 0.4}, m, 5, WeightLaw::lattice, 8);
  const CertifyOptions drawn{.norm = {.draw = Draw{WeightLaw::lattice, 8},
                                      .failure_probability = 1e-9,
                                      .cholesky_limit = 0}};
  const Matrix X = test::upload(Element::float64, test::Random(1).sphere(5, 2));
  const Certificate probable = certify(backend(), model, X, {}, {}, drawn).contraction;
  const Certificate certain = certify(backend(), model, X, {}, {}).contraction;
  EXPECT_EQ(probable.verdict, Verdict::certified);
  EXPECT_EQ(probable.probability, 1.0 - 1e-9);
  EXPECT_NE(probable.reason.find("Gaussian"), std::string::npos);
  EXPECT_EQ(certain.verdict, Verdict::certified);
  EXPECT_EQ(certain.probability, 1.0);
  EXPECT_NE(certain.reason.find("Cholesky"), std::string::npos);
  EXPECT_LT(certain.value, probable.value);
}

TEST(Certificate, OfAWrongZIsLargeAndTrue) {
  const Solved it(test::random_network({25, 5, 4, 0.3}, true, true, 5));
  const extended::Truth truth = extended::truth_of(it.model, it.net.X);
  const HostMatrix Z = test::download(it.trainer.Z());
  for (const int steps : {0, 1, 60}) {
    for (const double wrong : {1e-8, 1e-3, 1.0, 100.0}) {
      test::Random random(6);
      HostMatrix moved = Z;
      for (double& entry : moved.values)
        entry += wrong * random.normal();
      const Certificates is =
          certify(backend(), it.model, it.trainer.X(), test::upload(Element::float64, moved),
                  it.trainer.L(), {.norm = {}, .refine_steps = steps});
      ASSERT_EQ(is.distance.verdict, Verdict::certified);
      for (Index j = 0; j < Z.columns; ++j) {
        Real squares = 0;
        for (Index i = 0; i < Z.rows; ++i)
          squares += (truth.Z(i, j) - moved(i, j)) * (truth.Z(i, j) - moved(i, j));
        const double bound = is.distances[static_cast<std::size_t>(j)];
        EXPECT_LE(std::sqrt(squares), Real(bound)) << wrong;
        EXPECT_GE(std::sqrt(squares), Real(bound) / (steps < 60 ? 10 : 1.1)) << wrong;
      }
      if (is.lambda_min.verdict == Verdict::certified) {
        EXPECT_GE(truth.lambda_min, Real(is.lambda_min.value)) << wrong;
      }
      if (wrong >= 1.0 && steps < 2) {
        EXPECT_EQ(is.lambda_min.verdict, Verdict::estimated);
      }
      if (steps == 60) {  // iterated on, it is no longer wrong
        EXPECT_EQ(is.lambda_min.verdict, Verdict::certified);
      }
    }
  }
}

TEST(Certificate, OfAWrongLLosesTheKernelAlone) {
  const Solved it(test::random_network({25, 5, 4, 0.3}, true, true, 5));
  const extended::Truth truth = extended::truth_of(it.model, it.net.X);
  for (const int steps : {0, 60}) {
    for (const double factor : {1.0, 1.0 + 1e-3, 3.0}) {
      HostMatrix L = test::download(it.trainer.L());
      for (double& entry : L.values)
        entry *= factor;
      const Certificates is =
          certify(backend(), it.model, it.trainer.X(), it.trainer.Z(),
                  test::upload(Element::float64, L), {.norm = {}, .refine_steps = steps});
      EXPECT_EQ(is.distance.verdict, Verdict::certified);
      const bool is_good = factor < 2.0 || steps > 0;
      EXPECT_EQ(is.lambda_min.verdict, is_good ? Verdict::certified : Verdict::estimated);
      if (is_good) {
        EXPECT_GE(truth.lambda_min, Real(is.lambda_min.value)) << factor;
      }
    }
  }
}

TEST(Certificate, OfEqualSamplesHasNoLambdaMin) {
  oracle::Network net = test::random_network({25, 3, 4, 0.3}, true, true, 7);
  for (Index i = 0; i < 4; ++i)
    net.X(i, 2) = net.X(i, 0);
  const Solved it(net);
  const Certificates is = certify(backend(), it.model, it.trainer);
  EXPECT_EQ(is.distance.verdict, Verdict::certified);
  EXPECT_EQ(is.lambda_min.verdict, Verdict::estimated);
  EXPECT_NEAR(is.lambda_min.value, 0.0, 1e-12);
}

TEST(Certificate, OfADeadSampleIsExact) {
  oracle::Network net = test::random_network({25, 3, 4, 0.3}, true, true, 8);
  for (Index i = 0; i < 4; ++i)
    net.X(i, 1) = 0.0;
  const Solved it(net);
  const Certificates is = certify(backend(), it.model, it.trainer);
  EXPECT_EQ(is.distance.verdict, Verdict::certified);
  EXPECT_EQ(is.distances[1], 0.0);
}

/// Z and L as they are, so that what is wrong with them has to be seen.
const CertifyOptions as_held{.norm = {}, .refine_steps = 0};

TEST(Certificate, OfAKinkDoesNotPretendToKnowTheKernel) {
  // Row 0 of W X is 0.1 + 0.2 - 0.3 - 3/2^56, whose doubles sum to -1.4e-17; from left to right in
  // double it is +1.4e-17. Its v is large, so most of the kernel hangs on that sign.
  oracle::Network net = test::random_network({2, 1, 4, 0.3}, true, true, 9);
  net.X.values = {0.1, 0.2, 0.3, 3.0 * 0x1p-56};
  net.W.values = {1.0, 3.0, 1.0, 0.5, -1.0, 0.2, -1.0, 0.0};
  net.v[0] = 5.0;
  const Solved it(net);
  const InjectionBounds injection = bound_injection(backend(), it.model, it.trainer.X());
  EXPECT_EQ(injection.active[0], Sign::uncertain);
  EXPECT_EQ(injection.active[1], Sign::yes);
  const extended::Truth truth = extended::truth_of(it.model, net.X);
  const Certificates is = certify(backend(), it.model, it.trainer, as_held);
  EXPECT_EQ(is.distance.verdict, Verdict::certified);
  if (is.lambda_min.verdict == Verdict::certified) {
    EXPECT_GE(truth.lambda_min, Real(is.lambda_min.value));
  }
}

TEST(Certificate, OfAGateThatZsErrorMayTurnDoesNotPretendToKnowTheKernel) {
  // P* is -1e-9 in its first row, so D* is 0 there. A Z that is 1e-7 off makes P positive, and an L
  // solved with that gate has no residual to give it away.
  oracle::Network net = test::random_network({6, 1, 1, 0.3}, false, true, 10);
  net.X.values = {1.0};
  net.u[0] = 5.0;
  for (Index i = 1; i < 6; ++i)
    net.W(i, 0) = 1.0 + std::abs(net.W(i, 0));  // the other rows are active
  net.W(0, 0) = -100.0;
  const HostMatrix Z = oracle::equilibrium(net, oracle::injection(net)).Z;
  net.W(0, 0) = 0.0;
  net.W(0, 0) = -net.root() * (1e-9 + oracle::pre_activation(net, oracle::injection(net), Z)(0, 0));

  HostMatrix off = Z;
  off(1, 0) += std::copysign(1e-7, net.A(0, 1));
  const HostMatrix P = oracle::pre_activation(net, oracle::injection(net), off);
  ASSERT_GT(P(0, 0), 0.0);
  const HostMatrix L = oracle::adjoint(net, P);
  const Model model = test::model_of(net, Precision::fp64);
  const extended::Truth truth = extended::truth_of(model, net.X);
  ASSERT_EQ(truth.Z(0, 0), 0);
  const Matrix X = test::upload(Element::float64, net.X);

  const double q = 0.5;
  ASSERT_LT(truth.q, q);
  const InjectionBounds injection = bound_injection(backend(), model, X);
  const ForwardBounds forward = bound_forward(backend(), model, injection, off, q);
  EXPECT_EQ(forward.active[0], Sign::uncertain);
  EXPECT_EQ(forward.active[1], Sign::yes);
  EXPECT_GE(bound_adjoint(backend(), model, forward.active, L, q).distances[0], std::abs(L(0, 0)));
  const Certificates is = certify(backend(), model, X, test::upload(Element::float64, off),
                                  test::upload(Element::float64, L), as_held);
  EXPECT_EQ(is.distance.verdict, Verdict::certified);
  if (is.lambda_min.verdict == Verdict::certified) {
    EXPECT_GE(truth.lambda_min, Real(is.lambda_min.value));
  }
  // With the exact Z the gate is known, and so is the kernel.
  const HostMatrix exact =
      oracle::adjoint(net, oracle::pre_activation(net, oracle::injection(net), Z));
  const Certificates good = certify(backend(), model, X, test::upload(Element::float64, Z),
                                    test::upload(Element::float64, exact), as_held);
  EXPECT_EQ(good.lambda_min.verdict, Verdict::certified);
  EXPECT_LE(Real(good.lambda_min.value), truth.lambda_min);
  EXPECT_GE(Real(good.lambda_min.value), truth.lambda_min * Real(1 - 1e-10));
}

TEST(Certificate, CountsTheRoundingOfAnInjectionThatCancels) {
  // W X = 0.1 + 0.2 - 0.3, whose doubles sum to 2.8e-17, but in double to 5.6e-17: Z solves the
  // equation as it is computed, with no residual at all, and is wrong by half.
  oracle::Network net = test::random_network({1, 1, 3, 0.3}, true, true, 11);
  net.A.values = {0.5};
  net.W.values = {1.0, 1.0, -1.0};
  net.X.values = {0.1, 0.2, 0.3};
  const Solved it(net);
  const extended::Truth truth = extended::truth_of(it.model, net.X);
  const HostMatrix Z = test::download(it.trainer.Z());
  const Certificates is = certify(backend(), it.model, it.trainer, as_held);
  const Real distance = std::abs(truth.Z(0, 0) - Real(Z(0, 0)));
  ASSERT_GT(distance, truth.Z(0, 0) / 2);
  EXPECT_LE(distance, Real(is.distances.at(0)));
  EXPECT_LE(distance / Real(Z(0, 0)), Real(is.distance.value));
}

TEST(Certificate, CountsAnLThatIsTooLongInTheKernel) {
  // Z large beside X, so that L enters the kernel through s l (x) z; and X beside s z, so that it
  // does through b (x) x.
  struct Case {
    double gamma, size;
    bool skip;
  };
  for (const Case& c : {Case{0.3, 100.0, false}, Case{0.05, 0.3, true}}) {
    oracle::Network net = test::random_network({25, 1, 4, c.gamma}, false, c.skip, 12);
    for (double& entry : net.W.values)
      entry *= c.size;
    const Solved it(net);
    const extended::Truth truth = extended::truth_of(it.model, net.X);
    for (const double factor : {1.0, 1.001, 1.01}) {
      HostMatrix L = test::download(it.trainer.L());
      for (double& entry : L.values)
        entry *= factor;
      const Certificates is = certify(backend(), it.model, it.trainer.X(), it.trainer.Z(),
                                      test::upload(Element::float64, L), as_held);
      EXPECT_EQ(is.lambda_min.verdict, Verdict::certified);
      EXPECT_LE(Real(is.lambda_min.value), truth.lambda_min) << factor;
      EXPECT_GE(Real(is.lambda_min.value), truth.lambda_min / 2) << factor;
    }
  }
}

TEST(Certificate, OfAWrongLBoundsItsDistance) {
  const Solved it(test::random_network({25, 5, 4, 0.35}, true, true, 5));
  const extended::Truth truth = extended::truth_of(it.model, it.net.X);
  const InjectionBounds injection = bound_injection(backend(), it.model, it.trainer.X());
  const HostMatrix Z = test::download(it.trainer.Z());
  const auto q = static_cast<double>(truth.q) * (1.0 + 1e-12);
  const ForwardBounds forward = bound_forward(backend(), it.model, injection, Z, q);
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    test::Random random(seed);
    HostMatrix L = test::download(it.trainer.L());
    const double wrong = std::pow(10.0, random.uniform(-8.0, 2.0));
    for (double& entry : L.values)
      entry += entry == 0.0 ? 0.0 : wrong * random.normal();
    const AdjointBounds bounds = bound_adjoint(backend(), it.model, forward.active, L, q);
    for (Index j = 0; j < L.columns; ++j) {
      Real squares = 0;
      for (Index i = 0; i < L.rows; ++i)
        squares += (truth.L(i, j) - L(i, j)) * (truth.L(i, j) - L(i, j));
      const double bound = bounds.distances[static_cast<std::size_t>(j)];
      EXPECT_LE(std::sqrt(squares), Real(bound)) << seed;
      EXPECT_GE(std::sqrt(squares), Real(bound) / 10) << seed;
    }
  }
}

TEST(Certificate, OfChunksIsThatOfTheNormAlone) {
  TrainerOptions how;
  how.chunk = 2;
  const Solved it(test::random_network({25, 5, 4, 0.3}, true, true, 5), how);
  const Certificates is = certify(backend(), it.model, it.trainer);
  EXPECT_EQ(is.contraction.verdict, Verdict::certified);
  EXPECT_EQ(is.distance.verdict, Verdict::refused);
  EXPECT_EQ(is.lambda_min.verdict, Verdict::refused);
  EXPECT_TRUE(is.distances.empty());
}

TEST(Certificate, OfWeightsThatAreNotFiniteIsRefused) {
  Solved it(test::random_network({25, 5, 4, 0.3}, true, true, 5));
  backend().fill(it.model.A.change(), NAN);
  const Certificates is = certify(backend(), it.model, it.trainer);
  EXPECT_EQ(is.contraction.verdict, Verdict::refused);
  EXPECT_NE(is.contraction.reason.find("not finite"), std::string::npos);
}

TEST(Certificate, OfAZThatIsNotFiniteIsRefused) {
  const Solved it(test::random_network({25, 5, 4, 0.3}, true, true, 5));
  Matrix Z = backend().allocate(Element::float64, 25, 5);
  backend().fill(Z, NAN);
  const Certificates is = certify(backend(), it.model, it.trainer.X(), Z, it.trainer.L());
  EXPECT_EQ(is.contraction.verdict, Verdict::certified);
  EXPECT_EQ(is.distance.verdict, Verdict::refused);
  EXPECT_EQ(is.lambda_min.verdict, Verdict::refused);
}

TEST(Certificate, RefusesShapesThatDoNotFit) {
  const Solved it(test::random_network({25, 5, 4, 0.3}, true, true, 5));
  const Matrix Z = backend().allocate(Element::float64, 25, 4);
  EXPECT_SHAPE_ERROR(certify(backend(), it.model, it.trainer.X(), Z, it.trainer.L()), "25 x 4",
                     "25 x 5");
}

TEST(Certificate, CountsAZThatIsTooLongInTheKernel) {
  // u so small that L and B are a thousandth, and all but 1e-6 of the kernel is Z'Z.
  oracle::Network net = test::random_network({25, 1, 4, 0.3}, false, false, 12);
  for (double& entry : net.u)
    entry *= 1e-3;
  const Solved it(net);
  const extended::Truth truth = extended::truth_of(it.model, net.X);
  for (const double factor : {1.0, 1.001, 1.01}) {
    HostMatrix Z = test::download(it.trainer.Z());
    for (double& entry : Z.values)
      entry *= factor;
    const Certificates is = certify(backend(), it.model, it.trainer.X(),
                                    test::upload(Element::float64, Z), it.trainer.L(), as_held);
    EXPECT_EQ(is.lambda_min.verdict, Verdict::certified);
    EXPECT_LE(Real(is.lambda_min.value), truth.lambda_min) << factor;
    EXPECT_GE(Real(is.lambda_min.value), truth.lambda_min / 2) << factor;
  }
}

}  // namespace
}  // namespace widedeq
