// The update A += alpha (L diag r) Z': as many operations as one sweep's product. In mixed it runs
// in single precision or, where that is faster, as six int8 products (kernels/digit_update.hpp).
#include <algorithm>
#include <cmath>

#include "bench/network.hpp"
#include "bench/product_count.hpp"
#include "bench/reference.hpp"
#include "bench/stages.hpp"

namespace widedeq::bench {
namespace {

constexpr double alpha = 1e-6;  // thousands of calls add up, and must stay small

class RankUpdate final : public Trial {
 public:
  explicit RankUpdate(const Case& c)
      : case_(c),
        C_(c.backend.allocate(real_of(c.precision), c.shape.m, c.shape.m)),
        left_(random_matrix(c, c.shape.m, c.shape.n, 1)),
        right_(random_matrix(c, c.shape.m, c.shape.n, 2)),
        r_(random_targets(c)) {}

  void call() override {
    count_.begin();
    squares_ = case_.backend.rank_update(C_, alpha, left_, r_, right_, case_.precision);
    count_.end();
  }
  Work work() const override {
    const Work formula = rank_update_work(case_);
    Work work = count_.mean();
    work.useful = formula.total_flops();
    work.bytes = formula.bytes;
    return work;
  }

  double error() override {
    HostMatrix G =
        weighted_outer(download(case_.backend, left_), r_, download(case_.backend, right_));
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
  Matrix C_, left_, right_;
  std::vector<double> r_;
  ProductCount count_{case_};
  double squares_ = 0.0;
};

}  // namespace

Work rank_update_work(const Case& c) {
  const auto [m, n, d] = sizes(c);
  Work work;
  work.add_products(real_arithmetic(c.precision), 1.0, c.shape);
  work.bytes = real_bytes(c.precision) * (2.0 * m * m + 2.0 * m * n);
  return work;
}

Stage rank_update_stage() {
  return {.name = "rank_update",
          .formula = "A += alpha (L diag r) Z', and the gradient's norm",
          .tolerance = {.fp64 = 1e-13, .fp32 = 1e-5, .mixed = 1e-5},
          .footprint = {.squares = 2, .panels = 3},
          .set_up = [](const Case& c) -> std::unique_ptr<Trial> {
            return std::make_unique<RankUpdate>(c);
          }};
}

}  // namespace widedeq::bench
