// The NTK Gram matrix, always in float64: four symmetric products of m x n matrices.
#include "bench/support.hpp"
#include "host/spectrum.hpp"

namespace widedeq::bench {
namespace {

void gram(benchmark::State& state, Precision precision, Index m, Index n) {
  const Element real = real_of(precision);
  Matrix Z = backend().allocate(real, m, n);
  Matrix L = backend().allocate(real, m, n);
  Matrix Phi = backend().allocate(real, m, n);
  Matrix v = backend().allocate(real, m, 1);
  Matrix X = backend().allocate(real, inputs, n);
  for (Matrix* matrix : {&Z, &L, &Phi, &v, &X})
    backend().generate_gaussian(*matrix, 1, Tensor::probe);
  HostMatrix ntk, features;
  const double seconds = time_calls(state, [&] {
    backend().gram({Z, L, Phi, v, X, 0.01, Injection::relu}, ntk, features);
  });
  const auto rows = static_cast<double>(m);
  const auto columns = static_cast<double>(n);
  report_rates(state, seconds, 4.0 * rows * columns * columns,
               5.0 * rows * columns * static_cast<double>(size_of(real)));
}

void eigenvalues(benchmark::State& state, Precision precision, Index, Index n) {
  if (precision != Precision::fp64) return state.SkipWithError("the same in every precision");
  HostMatrix matrix(n, n);
  for (Index j = 0; j < n; ++j)
    for (Index i = 0; i <= j; ++i)
      matrix(i, j) = matrix(j, i) = standard_normal(1, Tensor::probe, i, j);
  time_calls(state, [&] { benchmark::DoNotOptimize(symmetric_eigenvalues(matrix)); });
}

const bool registered = [] {
  register_shapes("gram", gram);
  register_shapes("gram/eigenvalues", eigenvalues);
  return true;
}();

}  // namespace
}  // namespace widedeq::bench
