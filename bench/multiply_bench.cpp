// The library's bare products, op(A) q for A as stored and transposed: what sweeps are measured
// against.
#include "bench/support.hpp"

namespace widedeq::bench {
namespace {

void bare(benchmark::State& state, Precision precision, Index m, Index n) {
  for ([[maybe_unused]] auto _ : state)
    state.SetIterationTime(bare_product_seconds(precision, m, n));
  const double factor = precision == Precision::fp64   ? 8.0
                        : precision == Precision::fp32 ? 4.0
                                                       : 1.0;
  const double sums = precision == Precision::mixed ? 4.0 : factor;
  const auto rows = static_cast<double>(m);
  report_products(state, bare_product_seconds(precision, m, n), precision, m, n, 1.0,
                  rows * (factor * rows + (factor + sums) * static_cast<double>(n)));
}

/// y = A x from the masters, the step of the norm estimate: bound by memory.
void vector_product(benchmark::State& state, Precision precision, Index m, Index) {
  WeightOperator A(backend(), precision, m, WeightLaw::gaussian, 1);
  const std::vector<double> x(static_cast<std::size_t>(m), 1.0);
  std::vector<double> y(x.size());
  const double seconds = time_calls(state, [&] { backend().apply(A.view(), Transpose::no, x, y); });
  const auto entries = static_cast<double>(m * m);
  const double bytes = 1.0 + static_cast<double>(size_of(real_of(precision)));
  report_rates(state, seconds, 4.0 * entries, bytes * entries);
}

const bool registered = [] {
  register_shapes("multiply/library", bare);
  register_shapes("multiply/vector", vector_product);
  return true;
}();

}  // namespace
}  // namespace widedeq::bench
