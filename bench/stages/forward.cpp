// The whole forward solve Z = relu(s A Z + Phi), to the tolerance, on weights in training.
//
// Counted are the products there have really been: samples that stop early take fewer, halves of
// sweeps are left out, and the settlings of mixed precision are products besides.
#include "bench/iteration.hpp"
#include "bench/product_count.hpp"
#include "bench/stages.hpp"
#include "host/equilibrium_solver.hpp"

namespace widedeq::bench {
namespace {

class Forward final : public Trial {
 public:
  explicit Forward(const Case& c)
      : case_(c),
        model_(std::move(Training(c).model)),
        X_(c.backend.allocate(real_of(c.precision), c.inputs, c.shape.n)),
        Phi_(c.backend.allocate(real_of(c.precision), c.shape.m, c.shape.n)),
        solver_(c.backend, c.precision, c.shape.m, c.shape.n) {
    c.backend.upload(random_inputs(c).view(), X_);
    c.backend.inject(model_.W, X_, Injection::relu, Sums::native, Phi_);
  }

  void call() override {
    count_.begin();
    report_ = solver_.solve(model_, Phi_, {.tolerance = case_.tolerance});
    count_.end();
    sweeps_ += report_.sweeps;
  }

  Work work() const override {
    Work work = count_.mean();
    work.bytes = sweeps_ / count_.calls() * sweep_work(case_, false).bytes;
    return work;
  }
  std::string failure() const override { return describe_failure(report_); }

  double error() override {
    const HostMatrix A = model_.A.download_columns(0, case_.shape.m);
    const HostMatrix c = download(case_.backend, Phi_);
    return residual({.A = A, .s = model_.s(), .c = c}, download(case_.backend, solver_.Z()));
  }

 private:
  Case case_;
  Model model_;
  Matrix X_, Phi_;
  EquilibriumSolver solver_;
  SolveReport report_;
  ProductCount count_{case_};
  double sweeps_ = 0.0;
};

}  // namespace

Stage forward_stage() {
  return {.name = "forward",
          .formula = "Z = relu(s A Z + Phi), the whole solve",
          .tolerance = {.fp64 = 1e-13, .fp32 = 1e-6, .mixed = 1e-6, .of_tolerance = 1.0},
          .footprint = {.squares = 5, .panels = 14, .grams = 5},
          .set_up = [](const Case& c) -> std::unique_ptr<Trial> {
            return std::make_unique<Forward>(c);
          }};
}

}  // namespace widedeq::bench
