// Gradient flow against a textbook Runge-Kutta method on the oracle's gradients, against gradient
// descent at ever smaller steps, and against what the theory says of it.
#include "host/gradient_flow.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <numeric>

#include "host/spectrum.hpp"
#include "tests/support.hpp"

namespace widedeq::test {
namespace {

using oracle::Vector;

// ---- the oracle's flow

Vector flat(const Vector& A, const Vector& W, const Vector& u, const Vector& v) {
  Vector all = A;
  for (const Vector* part : {&W, &u, &v})
    all.insert(all.end(), part->begin(), part->end());
  return all;
}

Vector flat(const Weights& weights) {
  return flat(weights.A.values, weights.W.values, weights.u, weights.v);
}

Vector flat(const oracle::Network& net) {
  return flat(net.A.values, net.W.values, net.u, net.v);
}

/// x + c d
Vector moved(Vector x, double c, const Vector& d) {
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] += c * d[i];
  return x;
}

double distance(const Vector& a, const Vector& b) {
  return oracle::norm(moved(a, -1.0, b));
}

oracle::Network with_weights(oracle::Network net, const Vector& theta) {
  auto from = theta.begin();
  for (Vector* part : {&net.A.values, &net.W.values, &net.u, &net.v}) {
    std::copy_n(from, part->size(), part->begin());
    from += static_cast<std::ptrdiff_t>(part->size());
  }
  return net;
}

/// Which activations are on: the right-hand side is smooth while they stay so.
std::vector<bool> pattern_of(const oracle::Solution& at) {
  std::vector<bool> pattern;
  for (const HostMatrix* matrix : {&at.P, &at.Phi})
    for (const double entry : matrix->values)
      pattern.push_back(entry > 0.0);
  return pattern;
}

struct OracleFlow {
  Vector theta;
  bool is_smooth = true;
};

/// The classical method of order 4 (Kutta, 1901) in equal steps.
OracleFlow runge_kutta_4(const oracle::Network& net, double span, int steps) {
  OracleFlow flow{flat(net)};
  std::vector<bool> pattern;
  const auto slope = [&](const Vector& theta) {
    const oracle::Solution at = oracle::solve(with_weights(net, theta));
    if (pattern.empty()) pattern = pattern_of(at);
    flow.is_smooth = flow.is_smooth && at.converged && pattern == pattern_of(at);
    Vector minus = flat(at.dA.values, at.dW.values, at.du, at.dv);
    for (double& entry : minus)
      entry = -entry;
    return minus;
  };
  const double h = span / steps;
  for (int k = 0; k < steps && flow.is_smooth; ++k) {
    const Vector k1 = slope(flow.theta);
    const Vector k2 = slope(moved(flow.theta, h / 2.0, k1));
    const Vector k3 = slope(moved(flow.theta, h / 2.0, k2));
    const Vector k4 = slope(moved(flow.theta, h, k3));
    for (const auto& [weight, k_i] : {std::pair(1.0, &k1), {2.0, &k2}, {2.0, &k3}, {1.0, &k4}})
      flow.theta = moved(std::move(flow.theta), weight * h / 6.0, *k_i);
  }
  return flow;
}

// ---- problems

struct FlowProblem {
  oracle::Network net;
  double span = 0.0;      // reach / lambda_max(H(0))
  Vector start, end;      // of the flow over the span
  double distance = 0.0;  // between them
};

/// Of runge_kutta_4() over smooth_problem()s, relative to the distance.
constexpr double oracles_error = 2e-10;

/// Small networks on whose way no activation changes, so that every method has its order.
FlowProblem smooth_problem(double reach, bool relu_injection, bool skip, double fineness = 80.0) {
  for (std::uint64_t seed = 1; seed < 400; ++seed) {
    FlowProblem problem;
    problem.net =
        random_network({.m = 10, .n = 3, .d = 3, .gamma = 0.4}, relu_injection, skip, seed);
    const oracle::Solution first = oracle::solve(problem.net);
    // Near targets: the weights move far enough to see curvature, not so far as to meet kinks.
    for (std::size_t j = 0; j < problem.net.y.size(); ++j)
      problem.net.y[j] = first.prediction[j] + 0.5 * problem.net.y[j];
    problem.span = reach / oracle::eigenvalues(first.H).back();
    const int steps = static_cast<int>(fineness * reach);  // (1/80)^4/120 is 2e-10
    OracleFlow flow = runge_kutta_4(problem.net, problem.span, steps);
    if (!flow.is_smooth) continue;
    problem.start = flat(problem.net);
    problem.end = std::move(flow.theta);
    problem.distance = distance(problem.start, problem.end);
    // Half the steps make 16 times the error.
    const Vector coarse = runge_kutta_4(problem.net, problem.span, steps / 2).theta;
    EXPECT_LT(distance(coarse, problem.end) / 15.0,
              oracles_error * std::pow(80.0 / fineness, 4) * problem.distance);
    return problem;
  }
  throw std::runtime_error("no smooth problem");
}

/// A model, what trains it and what flows it.
struct Flowing {
  Model model;
  Trainer trainer;
  GradientFlow flow;
  FlowState state;

  Flowing(const oracle::Network& net, double tolerance, Precision precision = Precision::fp64,
          Index chunk = 0, SolveOptions options = {.tolerance = 5e-14})
      : model(model_of(net, precision)),
        trainer(backend(), model, net.X, net.y, options, chunk),
        flow(backend(), model, trainer, tolerance) {}

  FlowReport advance(double span) {
    EXPECT_TRUE(trainer.evaluate().converged());
    return flow.advance(state, span);
  }
  Vector weights() const { return flat(download_weights(backend(), model)); }
};

class Flow : public testing::TestWithParam<std::tuple<bool, bool>> {
 protected:
  bool relu_injection() const { return std::get<0>(GetParam()); }
  bool skip() const { return std::get<1>(GetParam()); }
};

TEST_P(Flow, IsTheOraclesByClassicalRungeKutta) {
  const FlowProblem problem = smooth_problem(3.0, relu_injection(), skip());
  const double tolerance = 1e-9;
  for (const int intervals : {1, 7}) {
    Flowing it(problem.net, tolerance);
    int steps = 0;
    for (int k = 0; k < intervals; ++k) {
      const FlowReport report = it.advance(problem.span / intervals);
      ASSERT_EQ(report.status, FlowStatus::arrived);
      // Six evaluations a step; one that is rejected costs no more.
      EXPECT_EQ(report.evaluations, 6 * (report.steps + report.rejected));
      steps += report.steps;
    }
    EXPECT_NEAR(it.state.time, problem.span, 1e-14 * problem.span);
    // Local errors of tolerance x path each, at the most; paths are longer than distances, but
    // not by much over so short a way.
    const double allowed = (2.0 * steps * tolerance + oracles_error) * problem.distance;
    EXPECT_LT(distance(it.weights(), problem.end), allowed) << intervals << " intervals";
  }
}

TEST_P(Flow, ErrorsFallAsTheTolerance) {
  const FlowProblem problem = smooth_problem(6.0, relu_injection(), skip());
  std::vector<double> x, y;
  for (const double tolerance : {1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8}) {
    Flowing it(problem.net, tolerance);
    const FlowReport report = it.advance(problem.span);
    ASSERT_EQ(report.status, FlowStatus::arrived);
    const double error = distance(it.weights(), problem.end) / problem.distance;
    EXPECT_LT(error, 2.0 * report.steps * tolerance) << tolerance;
    x.push_back(std::log(tolerance));
    y.push_back(std::log(error));
  }
  // The error of order 5 goes with h^5, its estimate as well (order 4, times h): slope 1, to what
  // whole steps and their control make of it over five decades.
  const double mean_x = std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
  const double mean_y = std::accumulate(y.begin(), y.end(), 0.0) / static_cast<double>(y.size());
  double xy = 0.0, xx = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mean_x) * (y[i] - mean_y);
    xx += (x[i] - mean_x) * (x[i] - mean_x);
  }
  EXPECT_NEAR(xy / xx, 1.0, 0.25);
}

TEST_P(Flow, IsTheLimitOfGradientDescent) {
  const FlowProblem problem = smooth_problem(2.0, relu_injection(), skip(), 10.0);
  Flowing it(problem.net, 1e-11);
  ASSERT_EQ(it.advance(problem.span).status, FlowStatus::arrived);
  const Vector flow = it.weights();
  const double flow_loss = it.trainer.evaluate().loss;

  std::vector<Vector> ends;
  std::vector<double> losses;
  for (const int steps : {40, 80, 160, 320}) {
    Flowing descent(problem.net, 1.0);
    for (int k = 0; k < steps; ++k) {
      EXPECT_TRUE(descent.trainer.evaluate().converged());
      descent.trainer.update(problem.span / steps);
    }
    ends.push_back(descent.weights());
    losses.push_back(descent.trainer.evaluate().loss);
  }
  for (std::size_t i = 0; i + 1 < ends.size(); ++i) {
    // Euler's method: half the step, half the error; what is left of that is of second order.
    const double ratio = distance(ends[i], flow) / distance(ends[i + 1], flow);
    EXPECT_NEAR(ratio, 2.0, 0.1) << i;
    EXPECT_NEAR((losses[i] - flow_loss) / (losses[i + 1] - flow_loss), 2.0, 0.1) << i;
  }
  // Extrapolated once, errors are of second order; twice, of third.
  const auto extrapolated = [&](std::size_t i) {
    return moved(ends[i + 1], 1.0, moved(ends[i + 1], -1.0, ends[i]));
  };
  EXPECT_NEAR(distance(extrapolated(0), flow) / distance(extrapolated(1), flow), 4.0, 0.4);
  const auto loss_once = [&](std::size_t i) { return 2.0 * losses[i + 1] - losses[i]; };
  const double loss_twice = (4.0 * loss_once(2) - loss_once(1)) / 3.0;
  EXPECT_NEAR(loss_twice, flow_loss, 1e-5 * flow_loss);
  const Vector once = extrapolated(2), before = extrapolated(1);
  const Vector twice = moved(once, 1.0 / 3.0, moved(once, -1.0, before));
  EXPECT_LT(distance(twice, flow), 1e-5 * problem.distance);
}

TEST_P(Flow, LosesWhatTheGradientGives) {
  // d loss / dt = -||grad||^2, integrated by Simpson's rule over intervals that are short beside
  // the fastest mode: (2 x 0.05)^4 / 180 is 6e-7 of it.
  const int intervals = 60;
  const FlowProblem problem = smooth_problem(3.0, relu_injection(), skip(), 10.0);
  Flowing it(problem.net, 1e-10);
  Parameters gradient(backend(), it.model);
  double first = 0.0, last = 0.0, integral = 0.0;
  for (int k = 0; k <= intervals; ++k) {
    const Evaluation now = it.trainer.evaluate();
    const double norm = it.trainer.gradient(1.0, gradient);
    const double weight = k == 0 || k == intervals ? 1.0 : k % 2 == 1 ? 4.0 : 2.0;
    integral += weight * norm * norm * problem.span / intervals / 3.0;
    if (k == 0) first = now.loss;
    last = now.loss;
    if (k < intervals) {
      ASSERT_EQ(it.flow.advance(it.state, problem.span / intervals).status, FlowStatus::arrived);
    }
  }
  EXPECT_NEAR(first - last, integral, 1e-6 * first);
  EXPECT_LT(last, 0.9 * first);
}

TEST_P(Flow, ReportsTheGradientItBeganWithAndTheWayItWent) {
  const FlowProblem problem = smooth_problem(2.0, relu_injection(), skip(), 10.0);
  Flowing it(problem.net, 1e-9);
  const double before = it.trainer.evaluate().loss;
  const FlowReport report = it.flow.advance(it.state, problem.span);
  ASSERT_EQ(report.status, FlowStatus::arrived);
  const double gradient = oracle::solve(problem.net).gradient_norm();
  EXPECT_NEAR(report.gradient_norm, gradient, 1e-11 * gradient);
  // No way is shorter than the distance; and by Cauchy and Schwarz none is longer than
  //   integral of ||grad|| dt <= sqrt(span integral of ||grad||^2 dt) = sqrt(span (loss - loss'))
  const double after = it.trainer.evaluate().loss;
  EXPECT_GE(it.state.path, problem.distance * (1.0 - 1e-5));
  EXPECT_LE(it.state.path, std::sqrt(problem.span * (before - after)) * (1.0 + 1e-5));
}

INSTANTIATE_TEST_SUITE_P(, Flow, testing::Combine(testing::Bool(), testing::Bool()),
                         [](const auto& it) {
                           return std::string(std::get<0>(it.param) ? "relu" : "linear") +
                                  (std::get<1>(it.param) ? "_skip" : "");
                         });

// ---- theory

TEST(GradientFlow, StaysBelowTheTheorysBound) {
  // loss(t) <= loss(0) exp(-lambda t), lambda twice the smallest lambda_min(H) on the way; and
  // above the same with lambda_max. Grams at both ends of every interval.
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    const Shape shape{.m = 160, .n = 8, .d = 4, .gamma = 0.45};
    const oracle::Network net = random_network(shape, true, true, seed);
    Flowing it(net, 1e-3, Precision::fp64, 0, {.tolerance = 1e-7});
    const double span =
        1.0 / symmetric_eigenvalues(solve(it.model, net.X, {.tolerance = 1e-7}).H).back();
    double least = INFINITY, most = 0.0, first = 0.0;
    for (int k = 0; k < 40; ++k) {
      const std::vector<double> spectrum =
          symmetric_eigenvalues(solve(it.model, net.X, {.tolerance = 1e-7}).H);
      least = std::min(least, spectrum.front());
      most = std::max(most, spectrum.back());
      const double loss = it.trainer.evaluate().loss;
      if (k == 0) first = loss;
      const double t = it.state.time;
      ASSERT_GT(least, 0.0);
      // The flow's tolerance is what the bound may be missed by.
      EXPECT_LE(loss, first * std::exp(-2.0 * least * t) * (1.0 + 1e-3)) << seed << " " << k;
      EXPECT_GE(loss, first * std::exp(-2.0 * most * t) * (1.0 - 1e-3)) << seed << " " << k;
      ASSERT_EQ(it.flow.advance(it.state, span).status, FlowStatus::arrived);
    }
    EXPECT_LT(it.trainer.evaluate().loss, 0.2 * first);
  }
}

// ---- precisions and chunks

TEST(GradientFlow, IsTheSameInEveryPrecisionAndInChunks) {
  const oracle::Network net =
      random_network({.m = 40, .n = 7, .d = 5, .gamma = 0.5}, true, true, 4);
  const double span = 2.0 / oracle::eigenvalues(oracle::solve(net).H).back();
  const Vector start = flat(net);
  const auto end_of = [&](Precision precision, Index chunk) {
    Flowing it(net, 1e-3, precision, chunk,
               {.tolerance = precision == Precision::fp64 ? 1e-12 : 1e-6});
    for (int k = 0; k < 3; ++k)
      EXPECT_EQ(it.advance(span).status, FlowStatus::arrived);
    return it.weights();
  };
  const Vector wanted = end_of(Precision::fp64, 0);
  const double whole = distance(start, wanted);
  // The same steps, and sums in another order.
  EXPECT_LT(distance(end_of(Precision::fp64, 4), wanted), 1e-9 * whole);
  for (const Precision precision : {Precision::fp32, Precision::mixed}) {
    if (precision == Precision::mixed && !backend().why_not_mixed().empty()) continue;
    for (const Index chunk : {Index{0}, Index{4}})
      // The same steps as well, five of them; gradients to 1e-5, and what a kink passed on the
      // other side of a step costs, which is what the tolerance of 1e-3 is for.
      EXPECT_LT(distance(end_of(precision, chunk), wanted), 1e-3 * whole)
          << name_of(precision) << chunk;
  }
}

// ---- ends

TEST(GradientFlow, HalvesStepsWhoseStagesCannotBeSolved) {
  // A first step so large that its stages have no equilibria, or no finite ones.
  const oracle::Network net =
      random_network({.m = 30, .n = 5, .d = 3, .gamma = 0.5}, true, true, 6);
  const double lambda = oracle::eigenvalues(oracle::solve(net).H).back();
  for (const double reach : {50.0, 1e300}) {
    Flowing it(net, 1e-3, Precision::fp64, 0, {.tolerance = 1e-10});
    ASSERT_TRUE(it.trainer.evaluate().converged());
    const FlowReport report = it.flow.advance(it.state, reach / lambda);
    EXPECT_GT(report.rejected, 0);
    if (reach > 1e10) {
      EXPECT_EQ(report.status, FlowStatus::unsolved);
      EXPECT_EQ(report.steps, 0);
      EXPECT_EQ(distance(it.weights(), flat(net)), 0.0);
      continue;
    }
    ASSERT_EQ(report.status, FlowStatus::arrived);
    Flowing patient(net, 1e-3, Precision::fp64, 0, {.tolerance = 1e-10});
    for (int k = 0; k < 20; ++k)
      ASSERT_EQ(patient.advance(reach / lambda / 20.0).status, FlowStatus::arrived);
    // Both follow the flow to its tolerance a step, and the first steps are those that count.
    const Vector wanted = patient.weights();
    EXPECT_LT(distance(it.weights(), wanted), 2e-2 * distance(flat(net), wanted));
  }
}

TEST(GradientFlow, GivesUpWhereSolvesFail) {
  // As many sweeps as the start needs, and weights that must grow: targets far above predictions.
  oracle::Network net = random_network({.m = 30, .n = 5, .d = 3, .gamma = 0.45}, true, true, 8);
  net.y.assign(net.y.size(), 40.0);
  Flowing free(net, 1e-4, Precision::fp64, 0, {.tolerance = 1e-8});
  const Evaluation first = free.trainer.evaluate();
  const int sweeps = std::max(first.forward.sweeps, first.adjoint.sweeps) + 2;
  Flowing bound(net, 1e-4, Precision::fp64, 0, {.tolerance = 1e-8, .max_sweeps = sweeps});
  FlowReport report;
  const double span = 5.0 / oracle::eigenvalues(oracle::solve(net).H).back();
  for (int k = 0; k < 50 && report.status == FlowStatus::arrived; ++k)
    report = bound.advance(span);
  ASSERT_EQ(report.status, FlowStatus::unsolved);
  ASSERT_TRUE(report.unsolved);
  EXPECT_FALSE(report.unsolved->converged());
  EXPECT_LT(report.last_step, 1e-5 * span);
  // Where it has stopped there is an equilibrium still.
  EXPECT_TRUE(bound.trainer.evaluate().converged());
}

TEST(GradientFlow, StallsWhereSolvesAreTooRoughForItsTolerance) {
  const oracle::Network net =
      random_network({.m = 30, .n = 5, .d = 3, .gamma = 0.6}, true, true, 9);
  Flowing it(net, 1e-9, Precision::fp64, 0, {.tolerance = 1e-2});
  EXPECT_EQ(it.advance(1.0 / oracle::eigenvalues(oracle::solve(net).H).back()).status,
            FlowStatus::stalled);
}

TEST(GradientFlow, StaysWhereTheLossHasItsMinimum) {
  oracle::Network net = random_network({.m = 20, .n = 4, .d = 3, .gamma = 0.5}, true, true, 10);
  net.X = HostMatrix(3, 4);  // no inputs: all predictions and all gradients are zero
  net.y.assign(4, 0.0);
  Flowing it(net, 1e-6, Precision::fp64, 0, {.tolerance = 1e-10});
  const FlowReport report = it.advance(1.0);
  EXPECT_EQ(report.status, FlowStatus::arrived);
  EXPECT_EQ(report.steps, 1);
  EXPECT_EQ(it.weights(), flat(net));
}

}  // namespace
}  // namespace widedeq::test
