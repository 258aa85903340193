// The oracle itself, against closed forms, cases small enough to do by hand, and central
// differences.
#include "tests/oracle.hpp"

#include <gtest/gtest.h>

#include <numbers>

#include "tests/support.hpp"

namespace widedeq {
namespace {

using test::random_network;
using test::relative_error;
using test::Shape;

/// m = n = d = 1: z = relu(s a z + phi), so everything has a closed form.
oracle::Network scalar_network(double a, double w, bool relu_injection, bool skip) {
  oracle::Network net;
  net.A = HostMatrix(1, 1);
  net.W = HostMatrix(1, 1);
  net.X = HostMatrix(1, 1);
  net.A(0, 0) = a;
  net.W(0, 0) = w;
  net.X(0, 0) = 0.7;
  net.u = {1.5};
  net.v = {-0.4};
  net.y = {0.2};
  net.gamma = 0.6;
  net.relu_injection = relu_injection;
  net.skip = skip;
  return net;
}

TEST(Oracle, GivesTheClosedFormOfOneNeuron) {
  // phi = w x; z = phi / (1 - s a) when positive; l = u / (1 - s a); b = l + v.
  const oracle::Network net = scalar_network(0.9, 2.0, true, true);
  const oracle::Solution it = oracle::solve(net);
  const double phi = 1.4, gain = 1.0 / (1.0 - 0.54), z = phi * gain, l = 1.5 * gain, b = l - 0.4;
  const double r = 1.5 * z - 0.4 * phi - 0.2;
  ASSERT_TRUE(it.converged);
  EXPECT_NEAR(it.Z(0, 0), z, 1e-14);
  EXPECT_NEAR(it.P(0, 0), z, 1e-14);
  EXPECT_NEAR(it.L(0, 0), l, 1e-14);
  EXPECT_NEAR(it.B(0, 0), b, 1e-14);
  EXPECT_NEAR(it.prediction[0], r + 0.2, 1e-14);
  EXPECT_NEAR(it.loss, 0.5 * r * r, 1e-13);
  EXPECT_NEAR(it.dA(0, 0), 0.6 * l * r * z, 1e-13);
  EXPECT_NEAR(it.dW(0, 0), b * r * 0.7, 1e-13);
  EXPECT_NEAR(it.du[0], z * r, 1e-13);
  EXPECT_NEAR(it.dv[0], phi * r, 1e-13);
  EXPECT_NEAR(it.H(0, 0), 0.36 * l * l * z * z + b * b * 0.49 + z * z + phi * phi, 1e-12);
  EXPECT_NEAR(it.G(0, 0), phi * phi, 1e-14);
}

TEST(Oracle, GivesZeroForANeuronThatIsOff) {
  // relu(w x) = 0: the neuron never starts, and relu'(0) = 0 leaves no gradient but B's absent one.
  const oracle::Solution off = oracle::solve(scalar_network(0.9, -2.0, true, true));
  EXPECT_EQ(off.Z(0, 0), 0.0);
  EXPECT_EQ(off.L(0, 0), 0.0);
  EXPECT_EQ(off.B(0, 0), 0.0);
  EXPECT_EQ(off.H(0, 0), 0.0);
  // The linear injection keeps phi = w x < 0; the readout's skip sees it and its gradient is v.
  const oracle::Solution linear = oracle::solve(scalar_network(0.9, -2.0, false, true));
  EXPECT_EQ(linear.Z(0, 0), 0.0);
  EXPECT_EQ(linear.L(0, 0), 0.0);
  EXPECT_EQ(linear.B(0, 0), -0.4);
  EXPECT_NEAR(linear.prediction[0], 0.4 * 1.4, 1e-15);
  EXPECT_NEAR(linear.H(0, 0), 0.16 * 0.49 + 1.96, 1e-14);
  // Without the skip nothing is left.
  const oracle::Solution bare = oracle::solve(scalar_network(0.9, -2.0, false, false));
  EXPECT_EQ(bare.B(0, 0), 0.0);
  EXPECT_EQ(bare.H(0, 0), 0.0);
  EXPECT_NEAR(bare.G(0, 0), 1.96, 1e-15);
}

TEST(Oracle, SolvesTwoNeuronsAsOneDoesByHand) {
  // A = [0 1; -1 0], s = 1/2 (gamma = sqrt(2)/2), both on: z1 = z2/2 + 1, z2 = -z1/2 + 2 gives
  // z = (8/5, 6/5); l = D(u + A'l/2): l1 = 1 - l2/2, l2 = 3 + l1/2 gives l = (-2/5, 14/5).
  oracle::Network net;
  net.A = HostMatrix(2, 2);
  net.A(0, 1) = 1.0;
  net.A(1, 0) = -1.0;
  net.W = HostMatrix(2, 1);
  net.W(0, 0) = std::numbers::sqrt2;
  net.W(1, 0) = 2.0 * std::numbers::sqrt2;
  net.X = HostMatrix(1, 1);
  net.X(0, 0) = 1.0;
  net.u = {1.0, 3.0};
  net.v = {0.0, 0.0};
  net.y = {0.0};
  net.gamma = 0.5 * std::numbers::sqrt2;
  const oracle::Solution it = oracle::solve(net);
  EXPECT_NEAR(it.Z(0, 0), 1.6, 1e-14);
  EXPECT_NEAR(it.Z(1, 0), 1.2, 1e-14);
  EXPECT_NEAR(it.L(0, 0), -0.4, 1e-14);
  EXPECT_NEAR(it.L(1, 0), 2.8, 1e-14);
  EXPECT_NEAR(it.prediction[0], 5.2, 1e-13);
  // dA = s r l z'
  EXPECT_NEAR(it.dA(0, 1), 0.5 * 5.2 * -0.4 * 1.2, 1e-13);
  EXPECT_NEAR(it.dA(1, 0), 0.5 * 5.2 * 2.8 * 1.6, 1e-13);
}

TEST(Oracle, ReachesFixedPointsOfBothEquations) {
  const oracle::Network net =
      random_network({.m = 60, .n = 5, .d = 4, .gamma = 0.6}, true, true, 3);
  const oracle::Solution it = oracle::solve(net);
  ASSERT_TRUE(it.converged);
  EXPECT_LT(test::largest(oracle::forward_residuals(net, it.Phi, it.Z)), 2e-15);
  EXPECT_LT(test::largest(oracle::adjoint_residuals(net, it.P, it.L)), 1e-14);
}

TEST(Oracle, SaysWhenThereIsNoEquilibrium) {
  oracle::Network net = scalar_network(3.0, 1.0, true, true);  // s a = 1.8: grows for ever
  EXPECT_FALSE(oracle::solve(net).converged);
}

/// gradients by central differences are right to h^2 times a third derivative plus rounding / h.
TEST(Oracle, GradientsAreTheCentralDifferencesOfItsLoss) {
  constexpr double h = 1e-5;
  int redraws = 0;
  for (const bool relu_injection : {true, false})
    for (const bool skip : {true, false})
      for (const Shape& shape :
           {Shape{1, 1, 1, 0.5}, Shape{2, 5, 1, 0.6}, Shape{7, 3, 2, 0.7}, Shape{12, 4, 3, 0.5}}) {
        std::uint64_t seed = 10;
        oracle::Network net = random_network(shape, relu_injection, skip, seed);
        oracle::Solution it = oracle::solve(net);
        // A parameter moved by h moves P by about h: stay a hundred times that away from kinks.
        while (test::ill_conditioned(net, it, 1e-3)) {
          ASSERT_LT(++redraws, 200);
          net = random_network(shape, relu_injection, skip, ++seed);
          it = oracle::solve(net);
        }
        const auto loss = [](const oracle::Network& at) {
          return oracle::Vector{oracle::loss(at)};
        };
        const auto check = [&](const char* name, oracle::Vector& (*parameter)(oracle::Network&),
                               const oracle::Vector& gradient) {
          oracle::Vector slopes;
          for (const oracle::Vector& slope : central_differences(net, parameter, h, loss))
            slopes.push_back(slope[0]);
          EXPECT_LT(relative_error(gradient, slopes), 1e-7)
              << name << " m=" << shape.m << " n=" << shape.n << " relu=" << relu_injection
              << " skip=" << skip;
        };
        check("dA", oracle::parameter_A, it.dA.values);
        check("dW", oracle::parameter_W, it.dW.values);
        check("du", oracle::parameter_u, it.du);
        check("dv", oracle::parameter_v, it.dv);
      }
}

TEST(Oracle, KernelIsTheGramOfTheJacobian) {
  // H = J J', J the derivative of all predictions in all parameters, by central differences.
  constexpr double h = 1e-5;
  for (const bool relu_injection : {true, false})
    for (const bool skip : {true, false}) {
      const Shape shape{.m = 9, .n = 5, .d = 3, .gamma = 0.6};
      std::uint64_t seed = 40;
      oracle::Network net = random_network(shape, relu_injection, skip, seed);
      oracle::Solution it = oracle::solve(net);
      while (test::ill_conditioned(net, it, 1e-3)) {
        ASSERT_LT(seed, 200U);
        net = random_network(shape, relu_injection, skip, ++seed);
        it = oracle::solve(net);
      }
      const auto predictions = [](const oracle::Network& at) { return oracle::predict(at); };
      HostMatrix H(shape.n, shape.n);
      for (auto parameter :
           {oracle::parameter_A, oracle::parameter_W, oracle::parameter_u, oracle::parameter_v})
        for (const oracle::Vector& slope : central_differences(net, parameter, h, predictions))
          for (Index j = 0; j < shape.n; ++j)
            for (Index k = 0; k < shape.n; ++k)
              H(j, k) += oracle::at(slope, j) * oracle::at(slope, k);
      EXPECT_LT(relative_error(it.H, H), 1e-7) << "relu=" << relu_injection << " skip=" << skip;
    }
}

TEST(Oracle, DescentFollowsTheKernelToFirstOrder) {
  // r(k+1) = (I - eta H) r(k) + O(eta^2)
  oracle::Network net = random_network({.m = 40, .n = 4, .d = 3, .gamma = 0.5}, true, true, 8);
  const double eta = 1e-6;
  const oracle::Solution before = oracle::descend(net, eta);
  const oracle::Solution after = oracle::solve(net);
  oracle::Vector change = after.r;
  for (std::size_t j = 0; j < change.size(); ++j)
    change[j] = (after.r[j] - before.r[j]) / eta;
  oracle::Vector predicted = oracle::weighted_sum(before.H, before.r);
  for (double& entry : predicted)
    entry = -entry;
  EXPECT_LT(relative_error(change, predicted), 1e-3);
}

TEST(Oracle, EliminationSolvesWhatNeedsPivoting) {
  HostMatrix M(3, 3);  // rows 0 1 2; 1 0 1; 4 1 0
  M.values = {0, 1, 4, 1, 0, 1, 2, 1, 0};
  const oracle::Vector x = oracle::solve_linear(M, {8.0, 4.0, 6.0});  // x = (1, 2, 3)
  EXPECT_NEAR(x[0], 1.0, 1e-15);
  EXPECT_NEAR(x[1], 2.0, 1e-15);
  EXPECT_NEAR(x[2], 3.0, 1e-15);
}

TEST(Oracle, EigenvaluesAreThoseOfTheDiscreteLaplacian) {
  // tridiag(-1, 2, -1) of order n: 2 - 2 cos(k pi / (n + 1)).
  constexpr Index n = 25;
  HostMatrix M(n, n);
  for (Index i = 0; i < n; ++i) {
    M(i, i) = 2.0;
    if (i > 0) M(i, i - 1) = M(i - 1, i) = -1.0;
  }
  const oracle::Vector eigenvalues = oracle::eigenvalues(M);
  for (Index k = 1; k <= n; ++k)
    EXPECT_NEAR(oracle::at(eigenvalues, k - 1),
                2.0 - 2.0 * std::cos(static_cast<double>(k) * std::numbers::pi / (n + 1)), 1e-13);
  EXPECT_NEAR(oracle::operator_norm(M), eigenvalues.back(), 1e-13);
}

}  // namespace
}  // namespace widedeq
