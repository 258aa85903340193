// The two solvers carried from epoch to epoch, without a trainer: what a report promises is
// measured again, in double, from the state and from the weights the model holds.
#include <gtest/gtest.h>

#include <algorithm>

#include "host/adjoint_solver.hpp"
#include "host/equilibrium_solver.hpp"
#include "tests/host/warm_support.hpp"

namespace widedeq {
namespace {

using test::backend;
using test::download;
using test::held;
using test::Problem;
using test::Random;
using test::Shape;

/// An epoch as the solvers' headers tell it.
class Carried {
 public:
  Carried(Problem& problem, double tolerance)
      : problem_(problem),
        model_(problem.model),
        options_{.tolerance = tolerance},
        eps_(test::epsilon(model_.precision())),
        forward_(backend(), model_.precision(), model_.width(), problem.net.n()),
        adjoint_(backend(), model_.precision(), model_.width(), problem.net.n()),
        X_(test::upload(real(), problem.net.X)),
        ones_(backend().allocate(real(), 1, problem.net.n())),
        Phi_(backend().allocate(real(), model_.width(), problem.net.n())),
        B_(backend().allocate(real(), model_.width(), problem.net.n())),
        du_(backend().allocate(real(), model_.width(), 1)) {
    backend().fill(ones_, 1.0);
    backend().inject(model_.W, X_, model_.options.injection, Sums::native, Phi_);
    const SolveReport forward = forward_.solve(model_, Phi_, options_);
    expect_truth(forward, adjoint_.solve(model_, forward_.P(), options_));
  }

  void solve_on() {
    const SolveReport forward = forward_.solve_on(model_, options_);
    expect_truth(forward, adjoint_.solve_on(model_, forward_.P(), options_));
  }

  /// Audits both states and returns the smaller of the two residuals found, each of which must be
  /// the truth about the state before: to the roundings of P, Phi and z, once each.
  double solve_on_and_audit() {
    SolveReport forward = forward_.solve_on(model_, options_);
    const double forward_truth = test::largest(true_forward());
    forward_.audit(model_, Phi_, options_, forward);
    SolveReport adjoint = adjoint_.solve_on(model_, forward_.P(), options_);
    const double adjoint_truth = test::largest(true_adjoint());
    adjoint_.audit(model_, forward_.P(), options_, adjoint);
    EXPECT_NEAR(forward.audit.value_or(NAN), forward_truth, 1e-3 * forward_truth + 4.0 * eps_);
    EXPECT_NEAR(adjoint.audit.value_or(NAN), adjoint_truth, 1e-3 * adjoint_truth + 4.0 * eps_);
    solves_ = 1.0;
    roundings_ = 20.0;  // P is new; what little an audit iterates takes some five sweeps
    expect_truth(forward, adjoint);
    return std::min(forward.audit.value_or(NAN), adjoint.audit.value_or(NAN));
  }

  /// A -= eta s (L diag r) Z', W -= eta (B diag r) X'/sqrt(m), u -= eta Z r; both states follow.
  void update(double eta) {
    Backend& on = backend();
    std::vector<double> r = on.readout(model_.u, forward_.Z(), model_.skip(), Phi_);
    for (std::size_t j = 0; j < r.size(); ++j)
      r[j] -= problem_.net.y[j];
    forward_.follow(model_, eta, adjoint_.L(), r);
    adjoint_.follow(model_, eta, forward_.Z(), r);
    model_.A.add_rank_update(-eta * model_.s(), adjoint_.L(), r, forward_.Z());
    model_.A.refresh();

    on.fill(du_, 0.0);
    on.rank_update(du_, 1.0, forward_.Z(), r, ones_, model_.precision());
    adjoint_.follow_readout(-eta, du_);
    on.add_scaled(model_.u, -eta, du_);

    on.backward_injection(adjoint_.L(), model_.skip(), Phi_, model_.options.injection, B_);
    on.rank_update(model_.W, -eta / problem_.net.root(), B_, r, X_, model_.precision());
    on.copy(Phi_, B_);
    on.inject(model_.W, X_, model_.options.injection, Sums::native, Phi_);
    on.add_scaled(B_, -1.0, Phi_);
    forward_.add_injection(-1.0, B_);
    roundings_ += 3.0;
    solves_ += 1.0;
  }

 private:
  Element real() const { return real_of(model_.precision()); }
  std::vector<double> true_forward() const {
    const oracle::Network net = held(problem_);
    return oracle::forward_residuals(net, oracle::injection(net), download(forward_.Z()));
  }
  std::vector<double> true_adjoint() const {
    return oracle::adjoint_residuals(held(problem_), download(forward_.P()),
                                     download(adjoint_.L()));
  }

  void expect_truth(const SolveReport& forward, const SolveReport& adjoint) {
    roundings_ += forward.sweeps + adjoint.sweeps;
    expect_truth(forward, true_forward(), "forward");
    expect_truth(adjoint, true_adjoint(), "adjoint");
  }

  /// A residual is measured against the P that is held. Each sweep, each follow() and each
  /// add_injection() since P was last made rounds it once: N roundings of at most eps/2, 0.3 eps in
  /// the mean square, add up to 0.3 sqrt(N) eps ||P|| with signs at random, and ||P|| is below
  /// 3 ||z||. N counts both solvers' and is twice too large, which leaves room for bad luck.
  /// In mixed each solve may lose 0.003 of a tolerance of the plane's share of P
  /// (UnsettledShare::most), taken for 2^-8 here.
  void expect_truth(const SolveReport& report, const std::vector<double>& truth,
                    const char* which) const {
    SCOPED_TRACE(which);
    EXPECT_EQ(report.status, SolveStatus::converged) << describe(report.status);
    ASSERT_EQ(report.residuals.size(), truth.size());
    EXPECT_LE(test::largest(report.residuals), options_.tolerance);
    EXPECT_DOUBLE_EQ(report.worst_residual, test::largest(report.residuals));
    const bool is_mixed = model_.precision() == Precision::mixed;
    const double lost = is_mixed ? solves_ / 256.0 * options_.tolerance : 0.0;
    const double carried = lost + std::sqrt(roundings_) * eps_;
    EXPECT_LE(test::largest(truth), options_.tolerance + carried);
    for (std::size_t j = 0; j < truth.size(); ++j)
      EXPECT_LE(truth[j], report.residuals[j] + carried) << "sample " << j;
  }

  Problem& problem_;
  Model& model_;
  SolveOptions options_;
  double eps_;
  EquilibriumSolver forward_;
  AdjointSolver adjoint_;
  Matrix X_, ones_, Phi_, B_, du_;
  double roundings_ = 0.0, solves_ = 1.0;  // since P was made
};

class CarriedSolvers : public test::WarmStarts {};

TEST_P(CarriedSolvers, ResidualsAreTrueForEverySample) {
  std::uint64_t seed = 60;
  for (const Shape& shape : {Shape{40, 7, 3, 0.5}, Shape{65, 24, 4, 0.6}, Shape{200, 12, 8, 0.7}})
    for (const double tolerance : {1e-3, 1e-6, tight().tolerance}) {
      ++seed;
      SCOPED_TRACE("m=" + std::to_string(shape.m) + " tolerance=" + std::to_string(tolerance));
      Problem problem = draw(shape, seed, seed % 2 == 0, seed % 3 == 0);
      const int version = problem.model.A.operand().base_version;
      Carried carried(problem, tolerance);
      for (int epoch = 1; epoch <= 20; ++epoch) {
        SCOPED_TRACE("epoch " + std::to_string(epoch));
        carried.update(rate(problem, 0.005));
        ASSERT_EQ(problem.model.A.operand().base_version, version);  // or P must be rebuilt
        carried.solve_on();
      }
      carried.update(rate(problem, 0.005));
      carried.solve_on_and_audit();
    }
}

TEST_P(CarriedSolvers, AuditsFindAndMendWhatAStateHasNotFollowed) {
  Problem problem = draw({.m = 66, .n = 9, .d = 4, .gamma = 0.5}, 70);
  const double tolerance = 1e-5;
  Carried carried(problem, tolerance);
  carried.update(rate(problem, 0.005));
  carried.solve_on();
  const Matrix unseen = test::upload(real_of(precision()), Random(71).matrix(66, 66));
  backend().add_scaled(problem.model.A.change(), 2e-3, unseen);
  problem.model.A.refresh();
  // s ||dA z|| is 0.5 * 2e-3 ||z||, a hundred tolerances; so is the adjoint's.
  EXPECT_GT(carried.solve_on_and_audit(), 20.0 * tolerance);
  carried.update(rate(problem, 0.005));
  carried.solve_on();
}

INSTANTIATE_TEST_SUITE_P(, CarriedSolvers, test::every_precision_and_law(),
                         [](const auto& it) { return test::name_of(it); });

}  // namespace
}  // namespace widedeq
