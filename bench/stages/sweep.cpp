// Sweeps from the second of an iteration on, forward (relu, A) and adjoint (mask, A'), with no
// column stopping: the product and the pass over every entry.
#include "bench/iteration.hpp"
#include "bench/stages.hpp"

namespace widedeq::bench {
namespace {

constexpr int sweeps = 6;         // a call: a synchronisation a call weighs as in a solve
constexpr int sweeps_more = 300;  // until nothing changes any more

template <bool adjoint>
class Sweeps final : public Trial {
 public:
  explicit Sweeps(const Case& c)
      : case_(c), model_(lattice_model(c)), iteration_(c, model_, adjoint) {}

  bool needs_prepare() const override { return true; }
  /// With a sweep made: the first one has no increments of a sweep before it to multiply.
  void prepare() override {
    iteration_.start();
    iteration_.sweep(1);
  }
  void call() override { iteration_.sweep(sweeps); }
  Work work() const override { return static_cast<double>(sweeps) * sweep_work(case_, adjoint); }

  /// Sweeps are right when they lead to the fixed point, and each adds to P what the last left out.
  double error() override {
    iteration_.sweep(sweeps_more);
    return iteration_.residual();
  }

 private:
  Case case_;
  Model model_;
  Iteration iteration_;
};

constexpr Tolerance tolerance{.fp64 = 1e-13, .fp32 = 2e-6, .mixed = 2e-6};
constexpr Footprint footprint{.squares = 4, .panels = 8};

}  // namespace

Stage sweep_stage() {
  return {.name = "sweep",
          .formula = "six times P += s A q, q = relu(P) - Z, Z += q",
          .tolerance = tolerance,
          .footprint = footprint,
          .set_up = [](const Case& c) -> std::unique_ptr<Trial> {
            return std::make_unique<Sweeps<false>>(c);
          }};
}

Stage sweep_adjoint_stage() {
  return {.name = "sweep_adjoint",
          .formula = "six times P += s A'q, q = D o P - L, L += q",
          .tolerance = tolerance,
          .footprint = footprint,
          .set_up = [](const Case& c) -> std::unique_ptr<Trial> {
            return std::make_unique<Sweeps<true>>(c);
          }};
}

}  // namespace widedeq::bench
