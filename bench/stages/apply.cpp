// y = A x in double, straight from base and change: the step of the norm estimate.
#include "bench/network.hpp"
#include "bench/reference.hpp"
#include "bench/stages.hpp"

namespace widedeq::bench {
namespace {

class Apply final : public Trial {
 public:
  explicit Apply(const Case& c) : case_(c), model_(lattice_model(c)) {
    perturb(c, model_);
    for (Index i = 0; i < c.shape.m; ++i)
      x_.push_back(standard_normal(c.seed, Tensor::probe, i, 0));
    y_.resize(x_.size());
  }

  void call() override { case_.backend.apply(model_.A.view(), Transpose::no, x_, y_); }

  Work work() const override {
    const auto [m, n, d] = sizes(case_);
    Work work;
    work.flops.fp64 = 4.0 * m * m;  // base and change
    work.bytes = (1.0 + real_bytes(case_.precision)) * m * m;
    return work;
  }

  double error() override {
    HostMatrix x(case_.shape.m, 1);
    x.values = x_;
    return relative_error(y_, multiply(model_.A.download_columns(0, case_.shape.m), x).values);
  }

 private:
  Case case_;
  Model model_;
  std::vector<double> x_, y_;
};

}  // namespace

Stage apply_stage() {
  return {
      .name = "apply",
      .formula = "y = A x in double from base and change",
      .tolerance = {.fp64 = 1e-13, .fp32 = 1e-13, .mixed = 1e-13},
      .footprint = {.squares = 5},
      .set_up = [](const Case& c) -> std::unique_ptr<Trial> { return std::make_unique<Apply>(c); }};
}

}  // namespace widedeq::bench
