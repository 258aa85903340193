// C += alpha G for m x m matrices: how several chunks' gradients are applied.
#include <algorithm>
#include <cmath>

#include "bench/network.hpp"
#include "bench/reference.hpp"
#include "bench/stages.hpp"

namespace widedeq::bench {
namespace {

constexpr double alpha = 1e-6;  // thousands of calls add up, and must stay small

class AddScaled final : public Trial {
 public:
  explicit AddScaled(const Case& c)
      : case_(c),
        C_(c.backend.allocate(real_of(c.precision), c.shape.m, c.shape.m)),
        G_(random_matrix(c, c.shape.m, c.shape.m, 1)) {}

  void call() override { squares_ = case_.backend.add_scaled(C_, alpha, G_); }

  Work work() const override {
    const auto [m, n, d] = sizes(case_);
    Work work;
    work.flops[real_arithmetic(case_.precision)] = 4.0 * m * m;  // the sum and the norm
    work.bytes = 3.0 * real_bytes(case_.precision) * m * m;
    return work;
  }

  double error() override {
    HostMatrix G = download(case_.backend, G_);
    double squares = 0.0;
    for (double& entry : G.values) {
      squares += entry * entry;
      entry *= alpha;
    }
    return std::max(relative_error(download(case_.backend, C_), G),
                    std::abs(squares_ / squares - 1.0));
  }

 private:
  Case case_;
  Matrix C_, G_;
  double squares_ = 0.0;
};

}  // namespace

Stage add_scaled_stage() {
  return {.name = "add_scaled",
          .formula = "C += alpha G, m x m, and the norm of G",
          .tolerance = {.fp64 = 1e-13, .fp32 = 1e-6, .mixed = 1e-6},
          .footprint = {.squares = 2},
          .set_up = [](const Case& c) -> std::unique_ptr<Trial> {
            return std::make_unique<AddScaled>(c);
          }};
}

}  // namespace widedeq::bench
