// The NTK Gram H = s^2 (L'L) o (Z'Z) + (B'B) o (X'X)/m + Z'Z + Phi'Phi, always in float64.
#include <algorithm>

#include "bench/network.hpp"
#include "bench/reference.hpp"
#include "bench/stages.hpp"

namespace widedeq::bench {
namespace {

class Gram final : public Trial {
 public:
  explicit Gram(const Case& c)
      : case_(c),
        Z_(random_matrix(c, c.shape.m, c.shape.n, 1)),
        L_(random_matrix(c, c.shape.m, c.shape.n, 2)),
        Phi_(random_matrix(c, c.shape.m, c.shape.n, 3)),
        v_(random_matrix(c, c.shape.m, 1, 4)),
        X_(random_matrix(c, c.inputs, c.shape.n, 5)) {}

  void call() override { case_.backend.gram({Z_, L_, Phi_, v_, X_, s, Injection::relu}, grams_); }

  Work work() const override {
    const auto [m, n, d] = sizes(case_);
    Work work;
    work.flops.fp64 = 4.0 * m * n * n + d * n * n;  // symmetric: half a product's
    work.bytes = real_bytes(case_.precision) * (3.0 * m * n + d * n + m) + 32.0 * n * n;
    return work;
  }

  double error() override {
    const HostMatrix Z = download(case_.backend, Z_), L = download(case_.backend, L_),
                     Phi = download(case_.backend, Phi_), v = download(case_.backend, v_),
                     X = download(case_.backend, X_);
    HostMatrix B = L;
    for (Index j = 0; j < B.columns; ++j)
      for (Index i = 0; i < B.rows; ++i)
        B(i, j) = Phi(i, j) > 0.0 ? B(i, j) + v(i, 0) : 0.0;
    const HostMatrix LL = multiply_transposed(L, L), ZZ = multiply_transposed(Z, Z),
                     BB = multiply_transposed(B, B), XX = multiply_transposed(X, X),
                     PP = multiply_transposed(Phi, Phi);
    HostMatrix H(Z.columns, Z.columns);
    for (std::size_t i = 0; i < H.values.size(); ++i)
      H.values[i] = s * s * LL.values[i] * ZZ.values[i] +
                    BB.values[i] * XX.values[i] / static_cast<double>(Z.rows) + ZZ.values[i] +
                    PP.values[i];
    return std::max({relative_error(grams_.ntk, H), relative_error(grams_.features, PP),
                     relative_error(grams_.states, ZZ), relative_error(grams_.adjoints, LL)});
  }

 private:
  static constexpr double s = 0.01;

  Case case_;
  Matrix Z_, L_, Phi_, v_, X_;
  Grams grams_;
};

}  // namespace

Stage gram_stage() {
  return {
      .name = "gram",
      .formula = "H = s^2 (L'L) o (Z'Z) + (B'B) o (X'X)/m + Z'Z + Phi'Phi",
      .tolerance = {.fp64 = 1e-12, .fp32 = 1e-12, .mixed = 1e-12},
      .footprint = {.panels = 4, .grams = 5},
      .set_up = [](const Case& c) -> std::unique_ptr<Trial> { return std::make_unique<Gram>(c); }};
}

}  // namespace widedeq::bench
