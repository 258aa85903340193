// The update C += alpha (L diag r) Z', m x m from n columns: as many operations as one sweep's
// product.
#include "bench/support.hpp"

namespace widedeq::bench {
namespace {

void update(benchmark::State& state, Precision precision, Index m, Index n) {
  const Element real = real_of(precision);
  Matrix C = backend().allocate(real, m, m);
  Matrix left = backend().allocate(real, m, n);
  Matrix right = backend().allocate(real, m, n);
  backend().generate_gaussian(left, 1, Tensor::probe);
  backend().generate_gaussian(right, 2, Tensor::probe);
  const std::vector<double> r = random_targets(n);
  const double seconds = time_calls(
      state, [&] { benchmark::DoNotOptimize(backend().rank_update(C, 1e-6, left, r, right)); });
  const auto rows = static_cast<double>(m);
  // Mixed updates run in single precision, so that is the library's product to compare with.
  report_products(
      state, seconds, precision == Precision::mixed ? Precision::fp32 : precision, m, n, 1.0,
      static_cast<double>(size_of(real)) * rows * (2.0 * rows + 2.0 * static_cast<double>(n)));
}

/// After an update: the operand follows the masters (a dense copy, or two packed digits).
void refresh(benchmark::State& state, Precision precision, Index m, Index) {
  WeightOperator A(backend(), precision, m, WeightLaw::gaussian, 1);
  const double seconds = time_calls(state, [&] { A.refresh(); });
  const auto real = static_cast<double>(size_of(real_of(precision)));
  const double entry = precision == Precision::mixed ? 3.0 * real + 12.0 : 1.0 + 2.0 * real;
  report_rates(state, seconds, 0.0, entry * static_cast<double>(m * m));
}

const bool registered = [] {
  register_shapes("rank_update", update);
  register_shapes("refresh", refresh);
  return true;
}();

}  // namespace
}  // namespace widedeq::bench
