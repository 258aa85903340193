// From an inputs' file to K, Q and H in another; see limit.hpp.
#include "host/study/limit.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "host/data/dataset.hpp"
#include "host/data/npz.hpp"
#include "host/failure.hpp"
#include "host/finite.hpp"
#include "host/run/machine.hpp"
#include "host/run/output_checks.hpp"
#include "host/run/sample_checks.hpp"
#include "host/spectrum.hpp"
#include "host/study/width_limit.hpp"

namespace widedeq {
namespace {

constexpr const char* remedy = "the inputs are too large: scale them";

void add_square(NpzWriter& file, const std::string& name, HostMatrix matrix) {
  add_finite(file, name, {matrix.rows, matrix.columns}, std::move(matrix.values), remedy);
}

}  // namespace

LimitResult limit(const LimitRequest& request) {
  const TrainConfig& settings = request.settings;
  const LimitOptions options{
      .gamma = settings.gamma,
      .injection = settings.injection,
      .skip = settings.skip,
      .threads = settings.threads > 0 ? settings.threads : default_threads()};
  const HostMatrix inputs = load_inputs(request.inputs);
  refuse_small_samples(inputs, Precision::fp64, request.inputs);
  refuse_overwriting({request.inputs}, request.out);
  // The four kernels, and a copy whose eigenvalues are wanted.
  const auto n_real = static_cast<double>(inputs.columns);
  require_memory(5.0 * sizeof(double) * n_real * n_real, "give fewer inputs");
  NpzWriter file(request.out);
  LimitResult result;
  result.warning = describe_duplicate(inputs);
  result.samples = inputs.columns;

  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  WidthLimit limit = width_limit(inputs, options);
  for (const HostMatrix* matrix : {&limit.K, &limit.H})
    if (!all_finite(matrix->values))
      throw Failure(ExitCode::diverged, "a kernel is not finite", "nothing was written", remedy);
  std::vector<double> eigenvalues = symmetric_eigenvalues(limit.H);
  result.feature_lambda_min = symmetric_eigenvalues(limit.G).front();
  result.seconds = std::chrono::duration<double>(Clock::now() - start).count();

  result.newton_steps = limit.newton_steps;
  result.table_points = limit.table_points;
  result.fixed_point_error = limit.fixed_point_error;
  result.quadrature_error = std::max(limit.quadrature_error, limit.interpolation_error);
  result.lambda_min = eigenvalues.front();
  result.lambda_max = eigenvalues.back();
  add_square(file, "K", std::move(limit.K));
  add_square(file, "Q", std::move(limit.Q));
  add_square(file, "H", std::move(limit.H));
  add_square(file, "G", std::move(limit.G));
  const Index n = inputs.columns;
  add_finite(file, "eigenvalues", {n}, std::move(eigenvalues), remedy);
  add_finite(file, "lambda_min", {}, {result.lambda_min}, remedy);
  add_finite(file, "fixed_point_error", {}, {result.fixed_point_error}, remedy);
  add_finite(file, "quadrature_error", {}, {result.quadrature_error}, remedy);
  file.finish();
  return result;
}

}  // namespace widedeq
