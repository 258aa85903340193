// What the tests of warm starts share: problems to train, and the weights a model holds.
#pragma once

#include <algorithm>
#include <tuple>

#include "host/trainer.hpp"
#include "tests/support.hpp"

namespace widedeq::test {

/// The problem's network with the weights its model holds now.
inline oracle::Network held(const Problem& problem) {
  oracle::Network net = problem.net;
  Weights now = download_weights(backend(), problem.model);
  net.A = std::move(now.A);
  net.W = std::move(now.W);
  net.u = std::move(now.u);
  net.v = std::move(now.v);
  net.v.resize(net.u.size());
  return net;
}

/// Makes the model hold other weights, by its masters: A = step * base + change.
inline void hold(Model& model, const oracle::Network& net) {
  HostMatrix change = download(model.A.view().base);
  for (std::size_t i = 0; i < change.values.size(); ++i)
    change.values[i] = net.A.values[i] - model.A.view().step * change.values[i];
  backend().upload(change.view(), model.A.change());
  model.A.refresh();
  backend().upload(net.W.view(), model.W);
  backend().upload(column_of(net.u).view(), model.u);
  backend().upload(column_of(net.v).view(), model.v);
}

/// Every precision on lattice and on Gaussian weights.
class WarmStarts : public testing::TestWithParam<std::tuple<Precision, Draw>> {
 protected:
  Precision precision() const { return std::get<0>(GetParam()); }
  Draw kind() const { return std::get<1>(GetParam()); }
  void SetUp() override { SKIP_UNLESS_SUPPORTED(precision()); }
  /// The tightest tolerance that leaves room for some epochs' carried rounding; below it every
  /// solve starts cold (TrainingPlan::starts_warm).
  SolveOptions tight() const {
    SolveOptions options = test::tight(precision());
    if (precision() != Precision::fp64) options.tolerance = 3e-7;
    return options;
  }

  /// Targets are beyond the predictions, so that no prediction passes zero while they are trained.
  Problem draw(const Shape& shape, std::uint64_t seed, bool relu_injection = true,
               bool skip = true) const {
    Problem problem = draw_problem(shape, precision(), kind(), relu_injection, skip, seed);
    for (std::size_t j = 0; j < problem.net.y.size(); ++j) {
      const double prediction = problem.truth.prediction[j];
      problem.net.y[j] = prediction + std::copysign(1.0 + std::abs(problem.net.y[j]), prediction);
    }
    return problem;
  }
  /// The rate at which the fastest mode loses `share` of its residual.
  static double rate(const Problem& problem, double share) {
    return share / oracle::eigenvalues(problem.truth.H).back();
  }

  /// Of predictions, relative to their norm: solves are good to 3.3 tight tolerances or 1e-6 (see
  /// ill_conditioned()), carried states to some ten roundings more until they are audited. Of
  /// gradients, which are products of three such things.
  double bound() const { return precision() == Precision::fp64 ? 1e-11 : 2e-6; }
  double gradient_bound() const { return precision() == Precision::fp64 ? 1e-11 : 1e-5; }

  Trainer trainer_of(Problem& problem, const SolveOptions& options, int audit_every = 25) const {
    TrainerOptions how;
    how.audit_every = audit_every;
    return {backend(), problem.model, problem.net.X, problem.net.y, options, how};
  }

  /// Holds a converged evaluation against the oracle at the weights the model holds. Returns
  /// whether gradients were compared: an ill-conditioned network has none to a few roundings.
  bool expect_truth(Trainer& trainer, const Evaluation& is, const Problem& problem,
                    bool gradients = true) const {
    const oracle::Network net = held(problem);
    const oracle::Solution truth = oracle::solve(net);
    EXPECT_TRUE(truth.converged) << "of which the oracle finds no solution";
    if (!truth.converged) return false;
    // The bounds are for 100 iterations to 1e-15. N of them mean a rate of 1e-15^(1/N), and the
    // error 1/(1 - rate) of the residual is in proportion to N.
    const double slow = std::max(1.0, truth.iterations / 100.0);
    const double size = oracle::norm(truth.prediction), r = oracle::norm(truth.r);
    EXPECT_LE(relative_error(is.predictions, truth.prediction), slow * bound());
    EXPECT_LE(std::abs(is.loss - truth.loss), slow * bound() * size * (r + bound() * size));
    if (!gradients || ill_conditioned(net, truth, kink_of(precision()))) return false;

    // r = yhat - y is off by what yhat is off, and the gradients with it.
    const double allowed = gradient_bound() * std::max(1.0, size / r);
    const Weights gradient = trainer.gradient();
    EXPECT_LE(relative_error(gradient.A, truth.dA), allowed);
    EXPECT_LE(relative_error(gradient.W, truth.dW), allowed);
    EXPECT_LE(relative_error(gradient.u, truth.du), allowed);
    if (net.skip) {
      EXPECT_LE(relative_error(gradient.v, truth.dv), allowed);
    }
    return true;
  }

  /// Trains for 30 epochs and holds answers against the oracle's after 1, 5 and 30 updates, or as
  /// soon as gradients can be compared. Returns how often they were.
  int times_compared(Problem& problem, int audit_every) const {
    Trainer trainer = trainer_of(problem, tight(), audit_every);
    int compared = 0;
    bool due = false;
    for (int epoch = 0; epoch <= 30 || (due && epoch < 36); ++epoch) {
      SCOPED_TRACE("epoch " + std::to_string(epoch));
      const Evaluation is = trainer.evaluate();
      EXPECT_TRUE(is.converged());
      if (!is.converged()) break;
      due = due || epoch == 1 || epoch == 5 || epoch == 30;
      if (due && expect_truth(trainer, is, problem)) {
        due = false;
        ++compared;
      }
      trainer.update(rate(problem, 0.2));
    }
    return compared;
  }
};

inline auto every_precision_and_law() {
  return testing::Combine(testing::Values(Precision::fp64, Precision::fp32, Precision::mixed),
                          testing::Values(Draw::lattice, Draw::gaussian));
}

inline std::string name_of(const testing::TestParamInfo<WarmStarts::ParamType>& it) {
  return std::string(name_of(std::get<0>(it.param))) + "_" + name_of(std::get<1>(it.param));
}

}  // namespace widedeq::test
