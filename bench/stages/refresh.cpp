// The operand follows the masters after an update: a dense copy; or, in mixed, the size of what the
// int8 base leaves out, whose digits are made by the settlings that want them.
#include "bench/network.hpp"
#include "bench/reference.hpp"
#include "bench/stages.hpp"
#include "host/equilibrium_solver.hpp"

namespace widedeq::bench {
namespace {

class Refresh final : public Trial {
 public:
  explicit Refresh(const Case& c) : case_(c), model_(lattice_model(c)) { perturb(c, model_); }

  void call() override {
    (void)model_.A.change();  // says that it is about to change: otherwise there is nothing to do
    model_.A.refresh();
  }
  Work work() const override { return refresh_work(case_); }

  /// An operand shows itself only in products: a forward solve's residual with the masters.
  double error() override {
    model_.options.gamma = contracting_gamma;
    const Matrix Phi = random_matrix(case_, case_.shape.m, case_.shape.n, 1);
    EquilibriumSolver solver(case_.backend, case_.precision, case_.shape.m, case_.shape.n);
    solver.solve(model_, Phi, {.tolerance = case_.tolerance});
    const HostMatrix A = model_.A.download_columns(0, case_.shape.m);
    const HostMatrix c = download(case_.backend, Phi.block());
    return residual({.A = A, .s = model_.s(), .c = c}, download(case_.backend, solver.Z()));
  }

 private:
  Case case_;
  Model model_;
};

}  // namespace

Work refresh_work(const Case& c) {
  const auto [m, n, d] = sizes(c);
  const double real = real_bytes(c.precision);
  Work work;
  // mixed: the change read; else base and change read, the dense copy written.
  work.bytes = (c.precision == Precision::mixed ? real : 1.0 + 2.0 * real) * m * m;
  return work;
}

Stage refresh_stage() {
  return {.name = "refresh",
          .formula = "the operand of A = base + change, anew",
          .tolerance = {.fp64 = 1e-13, .fp32 = 1e-6, .mixed = 1e-6, .of_tolerance = 2.0},
          .footprint = {.squares = 5, .panels = 5},
          .set_up = [](const Case& c) -> std::unique_ptr<Trial> {
            return std::make_unique<Refresh>(c);
          }};
}

}  // namespace widedeq::bench
