// Drawing A: N(0,1) in reals, or the lattice law's integers in mixed.
#include "bench/network.hpp"
#include "bench/reference.hpp"
#include "bench/stages.hpp"

namespace widedeq::bench {
namespace {

class Generate final : public Trial {
 public:
  explicit Generate(const Case& c)
      : case_(c),
        A_(c.backend.allocate(is_lattice() ? Element::int8 : real_of(c.precision), c.shape.m,
                              c.shape.m)) {}

  void call() override {
    if (is_lattice()) {
      case_.backend.generate_lattice(A_, case_.seed, Tensor::A);
    } else {
      case_.backend.generate_gaussian(A_, case_.seed, Tensor::A);
    }
  }

  Work work() const override {
    const auto [m, n, d] = sizes(case_);
    Work work;
    work.bytes = m * m * static_cast<double>(size_of(A_.element()));
    return work;
  }

  double error() override {
    const LatticeLaw law;
    HostMatrix wanted(A_.rows(), A_.columns());
    for (Index j = 0; j < wanted.columns; ++j) {
      for (Index i = 0; i < wanted.rows; ++i) {
        wanted(i, j) = is_lattice() ? law(philox_words(case_.seed, Tensor::A, i / 4,
                                                       j)[static_cast<std::size_t>(i % 4)])
                                    : standard_normal(case_.seed, Tensor::A, i, j);
      }
    }
    return relative_error(download(case_.backend, A_.block()), wanted);
  }

 private:
  bool is_lattice() const { return case_.precision == Precision::mixed; }

  Case case_;
  Matrix A_;
};

}  // namespace

Stage generate_stage() {
  return {.name = "generate",
          .formula = "A drawn: N(0,1), in mixed from the int8 lattice",
          .tolerance = {.fp64 = 1e-13, .fp32 = 1e-6, .mixed = 1e-15},
          .footprint = {.squares = 1},
          .set_up = [](const Case& c) -> std::unique_ptr<Trial> {
            return std::make_unique<Generate>(c);
          }};
}

}  // namespace widedeq::bench
