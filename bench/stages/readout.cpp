// yhat = u'Z + v'Phi
#include "bench/network.hpp"
#include "bench/reference.hpp"
#include "bench/stages.hpp"

namespace widedeq::bench {
namespace {

class Readout final : public Trial {
 public:
  explicit Readout(const Case& c)
      : case_(c),
        u_(random_matrix(c, c.shape.m, 1, 1)),
        v_(random_matrix(c, c.shape.m, 1, 2)),
        Z_(random_matrix(c, c.shape.m, c.shape.n, 3)),
        Phi_(random_matrix(c, c.shape.m, c.shape.n, 4)) {}

  void call() override { yhat_ = case_.backend.readout(u_, Z_, v_, Phi_); }
  Work work() const override { return readout_work(case_); }

  double error() override {
    const auto dots = [&](const Matrix& left, const Matrix& right) {
      return multiply_transposed(download(case_.backend, right), download(case_.backend, left));
    };
    HostMatrix wanted = dots(u_, Z_);
    const HostMatrix skip = dots(v_, Phi_);
    for (std::size_t j = 0; j < wanted.values.size(); ++j)
      wanted.values[j] += skip.values[j];
    return relative_error(yhat_, wanted.values);
  }

 private:
  Case case_;
  Matrix u_, v_, Z_, Phi_;
  std::vector<double> yhat_;
};

}  // namespace

Work readout_work(const Case& c) {
  const auto [m, n, d] = sizes(c);
  Work work;
  work.flops.fp64 = 4.0 * m * n;  // sums are taken in double
  work.bytes = real_bytes(c.precision) * (2.0 * m * n + 2.0 * m);
  return work;
}

Stage readout_stage() {
  return {.name = "readout",
          .formula = "yhat = u'Z + v'Phi",
          .tolerance = {.fp64 = 1e-13, .fp32 = 1e-13, .mixed = 1e-13},
          .footprint = {.panels = 2},
          .set_up = [](const Case& c) -> std::unique_ptr<Trial> {
            return std::make_unique<Readout>(c);
          }};
}

}  // namespace widedeq::bench
