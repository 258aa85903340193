// P += s E z, E the residual plane of trained weights: six int8 products for three digits each.
#include "bench/iteration.hpp"
#include "bench/stages.hpp"

namespace widedeq::bench {
namespace {

class Settle final : public Trial {
 public:
  explicit Settle(const Case& c)
      : case_(c), model_(perturbed_model(c)), iteration_(c, model_, false) {}

  bool needs_prepare() const override { return true; }
  void prepare() override { iteration_.start_settling(); }
  void call() override { iteration_.settle(); }

  Work work() const override {
    const auto [m, n, d] = sizes(case_);
    Work formula, work;
    formula.add_products(real_arithmetic(case_.precision), 1.0, case_.shape);
    work.add_products(Precision::mixed, Iteration::products, case_.shape);
    work.useful = formula.total_flops();
    // Three digits of E, P and what was settled read and written, z read.
    work.bytes = Iteration::digits * m * m + 5.0 * real_bytes(case_.precision) * m * n;
    return work;
  }

  double error() override {
    HostMatrix wanted = multiply(download(case_.backend, model_.A.view().change), iteration_.c());
    for (double& entry : wanted.values)
      entry *= iteration_.s();
    return relative_error(iteration_.pre_activation(), wanted);
  }

 private:
  static Model perturbed_model(const Case& c) {
    Model model = lattice_model(c);
    perturb(c, model);
    model.A.refresh();
    return model;
  }

  Case case_;
  Model model_;
  Iteration iteration_;
};

}  // namespace

Stage settle_stage() {
  return {.name = "settle",
          .formula = "P += s E z, E what the int8 base leaves out; mixed alone",
          .mixed_only = true,
          // A digit leaves out up to 4 % of what it is given, each further one 1/256 of that; the
          // products e_i d_j with i + j > 2 are left out.
          .tolerance = {.mixed = 3e-5},
          .footprint = {.squares = 5, .panels = 8},
          .set_up = [](const Case& c) -> std::unique_ptr<Trial> {
            return std::make_unique<Settle>(c);
          }};
}

}  // namespace widedeq::bench
