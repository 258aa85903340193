// Phi = relu(W X)/sqrt(m)
#include <algorithm>
#include <cmath>

#include "bench/network.hpp"
#include "bench/reference.hpp"
#include "bench/stages.hpp"

namespace widedeq::bench {
namespace {

class Inject final : public Trial {
 public:
  explicit Inject(const Case& c)
      : case_(c),
        W_(random_matrix(c, c.shape.m, c.inputs, 1)),
        X_(random_matrix(c, c.inputs, c.shape.n, 2)),
        Phi_(c.backend.allocate(real_of(c.precision), c.shape.m, c.shape.n)) {}

  void call() override { case_.backend.inject(W_, X_, Injection::relu, Sums::native, Phi_); }
  Work work() const override { return inject_work(case_); }

  double error() override {
    HostMatrix wanted = multiply(download(case_.backend, W_), download(case_.backend, X_));
    for (double& entry : wanted.values)
      entry = std::max(entry, 0.0) / std::sqrt(static_cast<double>(case_.shape.m));
    return relative_error(download(case_.backend, Phi_), wanted);
  }

 private:
  Case case_;
  Matrix W_, X_, Phi_;
};

}  // namespace

Work inject_work(const Case& c) {
  const auto [m, n, d] = sizes(c);
  Work work;
  work.flops[real_arithmetic(c.precision)] = 2.0 * m * n * d;
  work.bytes = real_bytes(c.precision) * (m * d + d * n + m * n);
  return work;
}

Stage inject_stage() {
  return {.name = "inject",
          .formula = "Phi = relu(W X)/sqrt(m)",
          .tolerance = {.fp64 = 1e-13, .fp32 = 1e-5, .mixed = 1e-5},
          .footprint = {.panels = 1},
          .set_up = [](const Case& c) -> std::unique_ptr<Trial> {
            return std::make_unique<Inject>(c);
          }};
}

}  // namespace widedeq::bench
