// The stages of an epoch that are neither sweep, update nor Gram: inject, readout, the injection's
// backward pass, and drawing the weights.
#include "bench/support.hpp"

namespace widedeq::bench {
namespace {

void inject(benchmark::State& state, Precision precision, Index m, Index n) {
  const Element real = real_of(precision);
  Matrix W = backend().allocate(real, m, inputs);
  Matrix X = backend().allocate(real, inputs, n);
  Matrix Phi = backend().allocate(real, m, n);
  backend().generate_gaussian(W, 1, Tensor::W);
  backend().generate_gaussian(X, 1, Tensor::inputs);
  const double seconds = time_calls(state, [&] { backend().inject(W, X, Injection::relu, Phi); });
  const auto entries = static_cast<double>(m * n);
  report_rates(state, seconds, 2.0 * entries * static_cast<double>(inputs),
               3.0 * entries * static_cast<double>(size_of(real)));
}

void readout(benchmark::State& state, Precision precision, Index m, Index n) {
  const Element real = real_of(precision);
  Matrix Z = backend().allocate(real, m, n);
  Matrix Phi = backend().allocate(real, m, n);
  Matrix u = backend().allocate(real, m, 1);
  for (Matrix* matrix : {&Z, &Phi, &u})
    backend().generate_gaussian(*matrix, 1, Tensor::probe);
  const double seconds =
      time_calls(state, [&] { benchmark::DoNotOptimize(backend().readout(u, Z, u, Phi)); });
  const auto entries = static_cast<double>(m * n);
  report_rates(state, seconds, 4.0 * entries, 2.0 * entries * static_cast<double>(size_of(real)));
}

void backward_injection(benchmark::State& state, Precision precision, Index m, Index n) {
  const Element real = real_of(precision);
  Matrix L = backend().allocate(real, m, n);
  Matrix Phi = backend().allocate(real, m, n);
  Matrix B = backend().allocate(real, m, n);
  Matrix v = backend().allocate(real, m, 1);
  for (Matrix* matrix : {&L, &Phi, &v})
    backend().generate_gaussian(*matrix, 1, Tensor::probe);
  const double seconds =
      time_calls(state, [&] { backend().backward_injection(L, v, Phi, Injection::relu, B); });
  const auto entries = static_cast<double>(m * n);
  report_rates(state, seconds, entries, 3.0 * entries * static_cast<double>(size_of(real)));
}

void generate(benchmark::State& state, Precision precision, Index m, Index) {
  const bool lattice = precision == Precision::mixed;
  Matrix A = backend().allocate(lattice ? Element::int8 : real_of(precision), m, m);
  const double seconds = time_calls(state, [&] {
    if (lattice) {
      backend().generate_lattice(A, 1, Tensor::A);
    } else {
      backend().generate_gaussian(A, 1, Tensor::A);
    }
  });
  report_rates(state, seconds, 0.0,
               static_cast<double>(m * m) * static_cast<double>(size_of(A.element())));
}

const bool registered = [] {
  register_shapes("inject", inject);
  register_shapes("readout", readout);
  register_shapes("backward_injection", backward_injection);
  register_shapes("generate", generate);
  return true;
}();

}  // namespace
}  // namespace widedeq::bench
