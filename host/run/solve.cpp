// Both solves, kernel and gradient, written one after the other; see solve.hpp.
#include "host/run/solve.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

#include "host/adjoint_solver.hpp"
#include "host/data/dataset.hpp"
#include "host/data/npz.hpp"
#include "host/drift.hpp"
#include "host/equilibrium_solver.hpp"
#include "host/failure.hpp"
#include "host/run/machine.hpp"
#include "host/run/output_checks.hpp"
#include "host/run/sample_checks.hpp"
#include "host/run/solve_failure.hpp"
#include "host/run/weights_file.hpp"
#include "host/spectrum.hpp"
#include "host/trainer.hpp"

namespace widedeq {
namespace {

void require_converged(const char* which, const SolveReport& report, const TrainConfig& settings) {
  if (report.status != SolveStatus::converged)
    throw solve_failure(which, report, settings.model_options(), settings.solve_options(), "",
                        false);
}

/// m x n columns, which are n rows of m in C order.
void add_columns(NpzWriter& file, Backend& backend, const std::string& name, ConstBlock matrix) {
  add_finite(file, name, {matrix.columns, matrix.rows}, download(backend, matrix).values);
}

void add_gradient(NpzWriter& file, Backend& backend, Model& model, const HostMatrix& inputs,
                  const std::string& targets, const TrainConfig& settings) {
  TrainerOptions how;
  how.warm_start = false;  // there is one evaluation
  Trainer trainer(backend, model, inputs, load_targets(targets, inputs.columns),
                  settings.solve_options(), how);
  const Evaluation evaluation = trainer.evaluate();
  require_converged("forward", evaluation.forward, settings);
  require_converged("adjoint", evaluation.adjoint, settings);
  Weights gradient = trainer.gradient();
  const Index m = model.width();
  add_finite(file, "loss", {}, {evaluation.loss});
  add_finite(file, "grad_A", {m, m}, in_c_order(std::move(gradient.A)));
  add_finite(file, "grad_W", {m, model.inputs()}, in_c_order(std::move(gradient.W)));
  add_finite(file, "grad_u", {m}, std::move(gradient.u));
  add_finite(file, "grad_v", {m}, std::move(gradient.v));
}

/// Bytes of the host's that solving takes at least, beside A: the two Grams and what eigenvalues
/// are computed in, Z or L in double, and P, what is added to it, and Z or L of both solves, of
/// which an entry has `real` bytes.
double least_memory(Index width, Index samples, std::size_t real) {
  const auto m = static_cast<double>(width), n = static_cast<double>(samples);
  return sizeof(double) * (3.0 * n * n + m * n) + 6.0 * static_cast<double>(real) * m * n;
}

/// The weights as the backend holds them.
Model load_model(const SolveRequest& request, Backend& backend, Precision precision,
                 const HostMatrix& inputs) {
  const Weights weights = load_weights(request.weights);
  if (weights.W.columns != inputs.rows)
    throw Failure(ExitCode::bad_data,
                  fmt::format("W has the shape ({}, {}) and the inputs ({}, {})", weights.W.rows,
                              weights.W.columns, inputs.columns, inputs.rows),
                  request.weights + ", " + request.inputs,
                  "use weights and inputs with the same number of columns");
  ModelOptions options = request.settings.model_options();
  options.panels = 0;  // every solve starts cold
  return model_of(weights, request.weights, backend, precision, options);
}

}  // namespace

SolveResult solve(const SolveRequest& request) {
  TrainConfig settings = request.settings;  // what it leaves open is chosen here
  SolveResult result;
  const int threads = settings.threads > 0 ? settings.threads : default_threads();
  const auto backend = make_backend(settings.backend, threads);
  result.precision = choose_precision(settings.precision, *backend);
  check_tolerance(settings.tolerance, result.precision);

  const HostMatrix inputs = load_inputs(request.inputs);
  refuse_small_samples(inputs, result.precision, request.inputs);
  // Checked now, used after the solves; a mistake should not cost minutes.
  if (!request.targets.empty()) load_targets(request.targets, inputs.columns);
  result.warning = describe_duplicate(inputs);
  Model model = load_model(request, *backend, result.precision, inputs);
  const Index m = model.width(), n = inputs.columns;
  const Element real = real_of(result.precision);
  require_memory(least_memory(m, n, backend->free_device_memory() ? 0 : size_of(real)),
                 "give fewer inputs at a time");
  refuse_overwriting({request.weights, request.inputs, request.targets}, request.out);
  NpzWriter file(request.out);

  // Phi = relu(W X) / sqrt(m)
  Matrix X = backend->allocate(real, inputs.rows, n);
  backend->upload(inputs.view(), X);
  Matrix Phi = backend->allocate(real, m, n);
  const SolveOptions options = settings.solve_options();
  backend->inject(model.W, X, settings.injection,
                  injection_sums(X.rows(), result.precision, options.tolerance), Phi);

  // Z = relu(s A Z + Phi)
  EquilibriumSolver forward(*backend, result.precision, m, n);
  const SolveReport forward_report =
      forward.solve(model, Phi, forward_options(options, X.rows(), result.precision));
  require_converged("forward", forward_report, settings);

  // yhat = u'Z + v'Phi
  add_finite(file, "prediction", {n}, backend->readout(model.u, forward.Z(), model.skip(), Phi));

  // L = D o (u 1' + s A' L)
  AdjointSolver adjoint(*backend, result.precision, m, n);
  const SolveReport adjoint_report = adjoint.solve(model, forward.P(), options);
  require_converged("adjoint", adjoint_report, settings);
  add_columns(file, *backend, "Z", forward.Z());
  add_columns(file, *backend, "adjoint", adjoint.L());
  std::vector<double> residual = forward_report.residuals;
  for (std::size_t j = 0; j < residual.size(); ++j)
    residual[j] = std::max(residual[j], adjoint_report.residuals[j]);
  add_finite(file, "residual", {n}, std::move(residual));

  // H = s^2 (L'L) o (Z'Z) + (B'B) o (X'X)/m + Z'Z + Phi'Phi     G = Phi'Phi
  Grams grams;
  backend->gram({.Z = forward.Z(),
                 .L = adjoint.L(),
                 .Phi = Phi,
                 .v = model.skip(),
                 .X = X,
                 .s = model.s(),
                 .injection = settings.injection},
                grams);
  require_finite("ntk", grams.ntk.values);
  std::vector<double> eigenvalues = symmetric_eigenvalues(grams.ntk);
  result.lambda_min = eigenvalues.front();
  result.lambda_max = eigenvalues.back();
  add_finite(file, "ntk", {n, n}, std::move(grams.ntk.values));
  add_finite(file, "feature_gram", {n, n}, std::move(grams.features.values));
  add_finite(file, "eigenvalues", {n}, std::move(eigenvalues));

  if (!request.targets.empty())
    add_gradient(file, *backend, model, inputs, request.targets, settings);
  file.finish();

  result.sweeps_forward = forward_report.sweeps;
  result.sweeps_adjoint = adjoint_report.sweeps;
  result.worst_residual = std::max(forward_report.worst_residual, adjoint_report.worst_residual);
  result.width = m;
  result.samples = n;
  return result;
}

}  // namespace widedeq
