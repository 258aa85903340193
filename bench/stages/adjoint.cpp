// The whole adjoint solve L = D o (u 1' + s A'L), D = 1[P > 0] of the forward solve, to the
// tolerance, on weights in training. Counted as in forward.cpp.
#include "bench/iteration.hpp"
#include "bench/product_count.hpp"
#include "bench/stages.hpp"
#include "host/adjoint_solver.hpp"
#include "host/equilibrium_solver.hpp"

namespace widedeq::bench {
namespace {

class Adjoint final : public Trial {
 public:
  explicit Adjoint(const Case& c)
      : case_(c),
        model_(std::move(Training(c).model)),
        X_(c.backend.allocate(real_of(c.precision), c.inputs, c.shape.n)),
        Phi_(c.backend.allocate(real_of(c.precision), c.shape.m, c.shape.n)),
        forward_(c.backend, c.precision, c.shape.m, c.shape.n),
        solver_(c.backend, c.precision, c.shape.m, c.shape.n) {
    c.backend.upload(random_inputs(c).view(), X_);
    c.backend.inject(model_.W, X_, Injection::relu, Sums::native, Phi_);
    forward_.solve(model_, Phi_, {.tolerance = c.tolerance});
  }

  void call() override {
    count_.begin();
    report_ = solver_.solve(model_, forward_.P(), {.tolerance = case_.tolerance});
    count_.end();
    sweeps_ += report_.sweeps;
  }

  Work work() const override {
    Work work = count_.mean();
    work.bytes = sweeps_ / count_.calls() * sweep_work(case_, true).bytes;
    return work;
  }
  std::string failure() const override { return describe_failure(report_); }

  double error() override {
    const HostMatrix A = model_.A.download_columns(0, case_.shape.m);
    const HostMatrix u = download(case_.backend, model_.u);
    const HostMatrix P = download(case_.backend, forward_.P());
    return residual({.A = A, .transposed = true, .s = model_.s(), .c = u, .gate = &P},
                    download(case_.backend, solver_.L()));
  }

 private:
  Case case_;
  Model model_;
  Matrix X_, Phi_;
  EquilibriumSolver forward_;
  AdjointSolver solver_;
  SolveReport report_;
  ProductCount count_{case_};
  double sweeps_ = 0.0;
};

}  // namespace

Stage adjoint_stage() {
  return {.name = "adjoint",
          .formula = "L = D o (u 1' + s A'L), the whole solve",
          .tolerance = {.fp64 = 1e-13, .fp32 = 1e-6, .mixed = 1e-6, .of_tolerance = 1.0},
          .footprint = {.squares = 5, .panels = 14, .grams = 5},
          .set_up = [](const Case& c) -> std::unique_ptr<Trial> {
            return std::make_unique<Adjoint>(c);
          }};
}

}  // namespace widedeq::bench
