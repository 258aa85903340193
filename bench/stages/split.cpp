// A, as reals, into step * base + change: what happens to weights that are given.
#include <algorithm>
#include <cmath>

#include "bench/network.hpp"
#include "bench/reference.hpp"
#include "bench/stages.hpp"

namespace widedeq::bench {
namespace {

class SplitTrial final : public Trial {
 public:
  explicit SplitTrial(const Case& c)
      : case_(c),
        A_(random_matrix(c, c.shape.m, c.shape.m, 1)),
        change_(c.backend.allocate(real_of(c.precision), c.shape.m, c.shape.m)),
        base_(c.backend.allocate(Element::int8, c.shape.m, c.shape.m)) {}

  bool needs_prepare() const override { return true; }
  void prepare() override { case_.backend.copy(A_, change_); }
  void call() override { split_ = case_.backend.split(change_, base_); }

  Work work() const override {
    const auto [m, n, d] = sizes(case_);
    Work work;
    work.bytes = (2.0 * real_bytes(case_.precision) + 1.0) * m * m;
    return work;
  }

  /// Nothing is lost, and nothing is left in the change that the base could have taken.
  double error() override {
    HostMatrix sum = download(case_.backend, base_.block());
    const HostMatrix change = download(case_.backend, change_.block());
    double left = 0.0;
    for (std::size_t i = 0; i < sum.values.size(); ++i) {
      left = std::max(left, std::abs(change.values[i]) / split_.step - 0.5);
      sum.values[i] = split_.step * sum.values[i] + change.values[i];
    }
    return std::max(left, relative_error(sum, download(case_.backend, A_.block())));
  }

 private:
  Case case_;
  Matrix A_, change_, base_;
  Split split_;
};

}  // namespace

Stage split_stage() {
  return {.name = "split",
          .formula = "A = step * base + change, exactly",
          .tolerance = {.fp64 = 1e-15, .fp32 = 1e-15, .mixed = 1e-15},
          .footprint = {.squares = 3},
          .set_up = [](const Case& c) -> std::unique_ptr<Trial> {
            return std::make_unique<SplitTrial>(c);
          }};
}

}  // namespace widedeq::bench
