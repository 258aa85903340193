// A whole epoch: inject, forward solve, readout, adjoint solve, gradient, update, refresh; gamma
// 0.5, tolerance 1e-6, one Gram before the first to set the learning rate, none while the clock
// runs.
//
// Products counted: every sweep's and the update's. `of_library` compares with the bare product of
// the same precision, so it also shows what is not a product.
#include "bench/support.hpp"

namespace widedeq::bench {
namespace {

void epoch(benchmark::State& state, Precision precision, Index m, Index n) {
  Model model(backend(), precision, {.gamma = 0.5}, m, inputs, WeightLaw::lattice, 1);
  Trainer trainer(backend(), model, random_inputs(n), random_targets(n), {.tolerance = 1e-6});
  GramMonitor monitor(backend(), model, n);
  monitor.begin(0);
  Evaluation evaluation = trainer.evaluate(&monitor);
  monitor.submit(model, trainer.X());
  const double eta = 1.0 / monitor.wait()->lambda_max;
  trainer.update(eta);  // so that every epoch timed has trained weights

  double products = 0.0;
  const double seconds = time_calls(state, [&] {
    evaluation = trainer.evaluate();
    trainer.update(eta);
    products += evaluation.forward.sweeps + evaluation.adjoint.sweeps + 1.0;
  });
  if (!evaluation.converged()) return state.SkipWithError("a solve did not converge");
  state.counters["sweeps_forward"] = evaluation.forward.sweeps;
  state.counters["sweeps_adjoint"] = evaluation.adjoint.sweeps;
  report_products(state, seconds, precision, m, n,
                  products / static_cast<double>(state.iterations()), 0.0);
}

const bool registered = [] {
  register_shapes("epoch", epoch);
  return true;
}();

}  // namespace
}  // namespace widedeq::bench
