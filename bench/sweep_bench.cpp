// Six sweeps, forward (relu) and adjoint (mask): the product and the pass over every entry.
//
// `of_library` is the bare product's time over the sweep's. Bytes a sweep: P, Zhat read and
// written, the product written and read, the increment written and read, and for the mask the
// forward P.
#include "bench/support.hpp"

namespace widedeq::bench {
namespace {

constexpr int sweeps_timed = 6;  // from the start of an iteration, while no column has stopped

void sweeps(benchmark::State& state, Precision precision, Index m, Index n, Epilogue epilogue) {
  const Model model(backend(), precision, {}, m, inputs, WeightLaw::lattice, 1);
  const Element real = real_of(precision);
  Matrix c = backend().allocate(real, m, n);
  Matrix gate = backend().allocate(real, m, n);
  backend().generate_gaussian(c, 1, Tensor::probe);
  backend().generate_gaussian(gate, 2, Tensor::probe);
  SweepState iteration = backend().make_sweep_state(precision, m, n);
  const Sweep sweep{.A = model.A.operand(),
                    .transpose = epilogue == Epilogue::mask ? Transpose::yes : Transpose::no,
                    .s = model.s(),
                    .epilogue = epilogue,
                    .gate = epilogue == Epilogue::mask ? gate.block() : ConstBlock(),
                    .tolerance = 0.0};
  const auto start_over = [&] {
    backend().copy(c, iteration.P);
    backend().fill(iteration.applied, 0.0);
    backend().measure(iteration, sweep, true);
  };
  const double seconds =
      time_calls(state, start_over, [&] { backend().iterate(iteration, sweep, sweeps_timed); });
  const auto real_bytes = static_cast<double>(size_of(real));
  const double increment = precision == Precision::mixed ? 1.0 : real_bytes;
  const double entry = 4.0 * real_bytes + 2.0 * (real_bytes + increment) +
                       (epilogue == Epilogue::mask ? real_bytes : 0.0);
  report_products(state, seconds, precision, m, n, sweeps_timed,
                  sweeps_timed * entry * static_cast<double>(m * n));
}

const bool registered = [] {
  register_shapes("sweep/forward", [](benchmark::State& s, Precision p, Index m, Index n) {
    sweeps(s, p, m, n, Epilogue::relu);
  });
  register_shapes("sweep/adjoint", [](benchmark::State& s, Precision p, Index m, Index n) {
    sweeps(s, p, m, n, Epilogue::mask);
  });
  return true;
}();

}  // namespace
}  // namespace widedeq::bench
