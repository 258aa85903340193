// C = A B, m x m times m x n, by the library: the yardstick itself.
#include "bench/network.hpp"
#include "bench/reference.hpp"
#include "bench/stages.hpp"

namespace widedeq::bench {
namespace {

class Product final : public Trial {
 public:
  explicit Product(const Case& c)
      : case_(c), product_(c.backend.bare_product(c.precision, c.shape.m, c.shape.n)) {}

  void call() override { product_.multiply(); }

  Work work() const override {
    const auto [m, n, d] = sizes(case_);
    const auto entry = static_cast<double>(size_of(product_.A.element()));
    const auto sum = static_cast<double>(size_of(product_.C.element()));
    Work work;
    work.add_products(case_.precision, 1.0, case_.shape);
    work.bytes = entry * (m * m + m * n) + sum * m * n;
    return work;
  }

  double error() override {
    const auto host = [&](const Matrix& matrix) { return download(case_.backend, matrix.block()); };
    return relative_error(host(product_.C), multiply(host(product_.A), host(product_.B)));
  }

 private:
  Case case_;
  BareProduct product_;
};

}  // namespace

Stage product_stage() {
  return {.name = "product",
          .formula = "C = A B by the library: dgemm, sgemm, int8",
          .tolerance = {.fp64 = 1e-13, .fp32 = 1e-5, .mixed = 1e-15},
          .footprint = {.squares = 2, .panels = 2},
          .set_up = [](const Case& c) -> std::unique_ptr<Trial> {
            return std::make_unique<Product>(c);
          }};
}

}  // namespace widedeq::bench
