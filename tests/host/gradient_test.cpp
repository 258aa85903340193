// The trainer's gradients against central differences of the oracle's loss, which knows nothing of
// adjoints, and the kernel against the derivatives of the predictions.
#include <gtest/gtest.h>

#include <tuple>

#include "host/trainer.hpp"
#include "tests/support.hpp"

namespace widedeq {
namespace {

using test::relative_error;
using test::Shape;

/// Central differences of step h = 1e-5 are right to about h^2 and rounding / h, 1e-10 of the
/// whole.
constexpr double h = 1e-5;
constexpr double bound = 1e-7;

/// A network whose P and W X stay clear of kinks when a parameter moves by h: |P| above 1e-3 of its
/// column, a hundred times what a step does to it.
oracle::Network smooth_network(const Shape& shape, bool relu_injection, bool skip,
                               std::uint64_t seed, int& redraws) {
  for (;; ++redraws, ++seed) {
    oracle::Network net = test::random_network(shape, relu_injection, skip, seed);
    if (!test::ill_conditioned(net, oracle::solve(net), 1e-3)) return net;
    if (redraws > 300) throw std::runtime_error("too many draws near a kink");
  }
}

class Gradient : public testing::TestWithParam<std::tuple<bool, bool>> {
 protected:
  bool relu_injection() const { return std::get<0>(GetParam()); }
  bool skip() const { return std::get<1>(GetParam()); }
};

TEST_P(Gradient, IsTheCentralDifferenceOfTheLoss) {
  const auto loss = [](const oracle::Network& at) { return oracle::Vector{oracle::loss(at)}; };
  int redraws = 0;
  for (const Shape& shape : {Shape{1, 2, 1, 0.5}, Shape{2, 5, 3, 0.7}, Shape{9, 4, 2, 0.6},
                             Shape{17, 5, 3, 0.5}, Shape{24, 3, 5, 0.8}})
    for (const std::uint64_t seed : {1U, 1001U}) {
      const oracle::Network net = smooth_network(shape, relu_injection(), skip(), seed, redraws);
      Model model = test::model_of(net, Precision::fp64);
      Trainer trainer(test::backend(), model, net.X, net.y, test::tight(Precision::fp64));
      ASSERT_TRUE(trainer.evaluate().converged());
      const Weights gradient = trainer.gradient();
      const auto check = [&](const char* name, oracle::Vector& (*parameter)(oracle::Network&),
                             const oracle::Vector& is) {
        oracle::Vector slopes;
        for (const oracle::Vector& slope : oracle::central_differences(net, parameter, h, loss))
          slopes.push_back(slope[0]);
        EXPECT_LT(relative_error(is, slopes), bound)
            << name << " m=" << shape.m << " n=" << shape.n << " d=" << shape.d;
      };
      check("dA", oracle::parameter_A, gradient.A.values);
      check("dW", oracle::parameter_W, gradient.W.values);
      check("du", oracle::parameter_u, gradient.u);
      if (skip()) check("dv", oracle::parameter_v, gradient.v);
    }
  RecordProperty("redraws", redraws);
}

TEST_P(Gradient, NtkIsJJTransposedByCentralDifferences) {
  const auto predictions = [](const oracle::Network& at) { return oracle::predict(at); };
  int redraws = 0;
  for (const Shape& shape : {Shape{3, 4, 2, 0.7}, Shape{12, 6, 3, 0.6}}) {
    const oracle::Network net = smooth_network(shape, relu_injection(), skip(), 50, redraws);
    HostMatrix H(shape.n, shape.n);
    for (auto parameter :
         {oracle::parameter_A, oracle::parameter_W, oracle::parameter_u, oracle::parameter_v})
      for (const oracle::Vector& slope :
           oracle::central_differences(net, parameter, h, predictions))
        for (Index j = 0; j < shape.n; ++j)
          for (Index k = 0; k < shape.n; ++k)
            H(j, k) += oracle::at(slope, j) * oracle::at(slope, k);
    const Model model = test::model_of(net, Precision::fp64);
    const test::Answer is = test::solve(model, net.X, test::tight(Precision::fp64));
    EXPECT_LT(relative_error(is.H, H), bound) << "m=" << shape.m;
  }
}

TEST_P(Gradient, NtkIsTheGramOfOneSampleGradients) {
  // With one sample and y = yhat - 1 the residual is 1 and the gradient is that sample's row of J.
  const Shape shape{.m = 40, .n = 5, .d = 4, .gamma = 0.6};
  const oracle::Network net = test::random_network(shape, relu_injection(), skip(), 60);
  const Model model = test::model_of(net, Precision::fp64);
  const test::Answer whole = test::solve(model, net.X, test::tight(Precision::fp64));
  std::vector<std::vector<double>> rows;
  for (Index j = 0; j < shape.n; ++j) {
    HostMatrix sample(shape.d, 1);
    for (Index i = 0; i < shape.d; ++i)
      sample(i, 0) = net.X(i, j);
    Model own = test::model_of(net, Precision::fp64);
    Trainer trainer(test::backend(), own, sample,
                    {whole.prediction[static_cast<std::size_t>(j)] - 1.0},
                    test::tight(Precision::fp64));
    ASSERT_TRUE(trainer.evaluate().converged());
    const Weights gradient = trainer.gradient();
    std::vector<double> row = gradient.A.values;
    for (const std::vector<double>* part : {&gradient.W.values, &gradient.u, &gradient.v})
      row.insert(row.end(), part->begin(), part->end());
    rows.push_back(std::move(row));
  }
  HostMatrix H(shape.n, shape.n);
  for (Index j = 0; j < shape.n; ++j)
    for (Index k = 0; k < shape.n; ++k)
      H(j, k) = test::dot(rows[static_cast<std::size_t>(j)], rows[static_cast<std::size_t>(k)]);
  EXPECT_LT(relative_error(whole.H, H), 1e-11);
}

INSTANTIATE_TEST_SUITE_P(, Gradient, testing::Combine(testing::Bool(), testing::Bool()),
                         [](const auto& it) {
                           return std::string(std::get<0>(it.param) ? "relu" : "linear") +
                                  (std::get<1>(it.param) ? "_skip" : "");
                         });

}  // namespace
}  // namespace widedeq
