// B = Dphi o (L + v 1'), Dphi = 1[Phi > 0]
#include "bench/network.hpp"
#include "bench/reference.hpp"
#include "bench/stages.hpp"

namespace widedeq::bench {
namespace {

class BackwardInjection final : public Trial {
 public:
  explicit BackwardInjection(const Case& c)
      : case_(c),
        L_(random_matrix(c, c.shape.m, c.shape.n, 1)),
        v_(random_matrix(c, c.shape.m, 1, 2)),
        Phi_(random_matrix(c, c.shape.m, c.shape.n, 3)),
        B_(c.backend.allocate(real_of(c.precision), c.shape.m, c.shape.n)) {}

  void call() override { case_.backend.backward_injection(L_, v_, Phi_, Injection::relu, B_); }
  Work work() const override { return backward_injection_work(case_); }

  double error() override {
    HostMatrix wanted = download(case_.backend, L_);
    const HostMatrix v = download(case_.backend, v_), Phi = download(case_.backend, Phi_);
    for (Index j = 0; j < wanted.columns; ++j)
      for (Index i = 0; i < wanted.rows; ++i)
        wanted(i, j) = Phi(i, j) > 0.0 ? wanted(i, j) + v(i, 0) : 0.0;
    return relative_error(download(case_.backend, B_), wanted);
  }

 private:
  Case case_;
  Matrix L_, v_, Phi_, B_;
};

}  // namespace

Work backward_injection_work(const Case& c) {
  const auto [m, n, d] = sizes(c);
  Work work;
  work.flops[real_arithmetic(c.precision)] = m * n;
  work.bytes = real_bytes(c.precision) * (3.0 * m * n + m);
  return work;
}

Stage backward_injection_stage() {
  return {.name = "backward_injection",
          .formula = "B = Dphi o (L + v 1')",
          .tolerance = {.fp64 = 1e-15, .fp32 = 1e-7, .mixed = 1e-7},
          .footprint = {.panels = 3},
          .set_up = [](const Case& c) -> std::unique_ptr<Trial> {
            return std::make_unique<BackwardInjection>(c);
          }};
}

}  // namespace widedeq::bench
