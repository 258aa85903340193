// Random samples and targets, and weights moved off their lattice; see network.hpp.
#include "bench/network.hpp"

#include <fmt/format.h>

#include <cmath>

namespace widedeq::bench {

HostMatrix random_inputs(const Case& c) {
  HostMatrix X(c.inputs, c.shape.n);
  for (Index j = 0; j < X.columns; ++j) {
    double squares = 0.0;
    for (Index i = 0; i < X.rows; ++i) {
      X(i, j) = standard_normal(c.seed, Tensor::inputs, i, j);
      squares += X(i, j) * X(i, j);
    }
    for (Index i = 0; i < X.rows; ++i)
      X(i, j) /= std::sqrt(squares);
  }
  return X;
}

std::vector<double> random_targets(const Case& c) {
  std::vector<double> targets;
  for (Index j = 0; j < c.shape.n; ++j)
    targets.push_back(standard_normal(c.seed, Tensor::targets, j, 0) > 0.0 ? 1.0 : -1.0);
  return targets;
}

Matrix random_matrix(const Case& c, Index rows, Index columns, std::uint64_t stream) {
  Matrix matrix = c.backend.allocate(real_of(c.precision), rows, columns);
  c.backend.generate_gaussian(matrix, c.seed + stream, Tensor::probe);
  return matrix;
}

Model lattice_model(const Case& c) {
  // Rows swept as `train` sweeps them: in mixed by strips, else all at once.
  const int panels = c.precision == Precision::mixed ? 0 : 1;
  return {c.backend, c.precision, {.gamma = c.gamma, .panels = panels},
          c.shape.m, c.inputs,    WeightLaw::lattice,
          c.seed};
}

void perturb(const Case& c, Model& model) {
  const Matrix noise = random_matrix(c, c.shape.m, c.shape.m, 7);
  c.backend.add_scaled(model.A.change(), 1e-3, noise);
}

Training::Training(const Case& c)
    : model(lattice_model(c)),
      trainer(c.backend, model, random_inputs(c), random_targets(c), {.tolerance = c.tolerance}) {
  GramMonitor monitor(c.backend, model, c.shape.n, c.tolerance);
  monitor.begin(0);
  first = trainer.evaluate(&monitor);
  if (!first.converged()) return;
  monitor.submit(model, trainer.X());
  const double largest = monitor.wait()->lambda_max;
  learning_rate = largest > 0.0 ? 1.0 / largest : 0.0;
  trainer.update(learning_rate);
}

std::string describe_failure(const SolveReport& report) {
  if (report.status == SolveStatus::converged) return "";
  return fmt::format("{} after {} sweeps, residual {:.2g}", describe(report.status), report.sweeps,
                     report.worst_residual);
}

}  // namespace widedeq::bench
