// Data, settings that hang on them, backend and model, in this order; see prepare.hpp.
#include "host/run/prepare.hpp"

#include <fmt/format.h>

#include <utility>

#include "host/data/checksum.hpp"
#include "host/failure.hpp"
#include "host/run/machine.hpp"
#include "host/run/sample_checks.hpp"
#include "host/run/weights_file.hpp"

namespace widedeq {

Dataset load_data(const TrainConfig& config) {
  DatasetRequest request;
  request.source = config.data;
  if (config.classes) request.classes = *config.classes;
  request.samples = config.samples;
  request.held_out = config.test_samples;
  request.seed = static_cast<std::uint64_t>(config.seed);
  Dataset data = load_dataset(request);
  const Precision precision = config.precision.value_or(Precision::fp64);
  refuse_small_samples(data.inputs, precision, config.data);
  refuse_small_samples(data.held_out.inputs, precision, config.data, data.inputs.columns);
  if (const std::string duplicate = describe_duplicate(data.inputs); !duplicate.empty())
    throw Failure(ExitCode::bad_data, duplicate, config.data, "remove one of each such pair");
  return data;
}

namespace {

std::string checksum_of(const Dataset& data) {
  Checksum sum;
  for (const Samples* samples : {static_cast<const Samples*>(&data), &data.held_out}) {
    sum.add(std::as_bytes(std::span(samples->inputs.values)));
    sum.add(std::as_bytes(std::span(samples->targets)));
  }
  return sum.text();
}

std::string checksum_of(const Weights& weights) {
  Checksum sum;
  for (const auto* values : {&weights.A.values, &weights.W.values, &weights.u, &weights.v})
    sum.add(std::as_bytes(std::span(*values)));
  return sum.text();
}

/// With a width that is known.
ModelOptions model_options(const TrainConfig& config, const Dataset& data) {
  ModelOptions options = config.model_options();
  const TrainingPlan plan =
      plan_training(data.inputs.columns, *config.width, *config.precision, config.tolerance,
                    config.trainer_options(data.inputs.columns));
  if (config.precision == Precision::mixed || !plan.starts_warm) options.panels = 0;
  return options;
}

/// Draws or reads the weights; config.width becomes what they have, and `checksum` that of a
/// file's.
std::unique_ptr<Model> make_model(Backend& backend, TrainConfig& config, const Dataset& data,
                                  WeightsFrom from, std::string& checksum) {
  const Precision precision = *config.precision;
  const Index inputs = data.inputs.rows;
  // What will be restored from a checkpoint may be anything of that size.
  const bool drawn =
      !config.weights_from_file() || (from == WeightsFrom::checkpoint && config.width);
  if (drawn)
    return std::make_unique<Model>(backend, precision, model_options(config, data), *config.width,
                                   inputs, config.law(), static_cast<std::uint64_t>(config.seed));
  const Weights weights = load_weights(config.weights);
  const Index m = weights.A.rows;
  if (config.width.value_or(m) != m)
    throw Failure(ExitCode::usage,
                  fmt::format("--width is {} and A is ({}, {})", *config.width, m, m),
                  config.weights, "leave --width out or give the file's");
  if (weights.W.columns != inputs)
    throw Failure(ExitCode::bad_data,
                  fmt::format("W has the shape ({}, {}) and the inputs ({}, {})", m,
                              weights.W.columns, "n", inputs),
                  config.weights, "use weights and data that belong together");
  config.width = m;
  checksum = checksum_of(weights);
  return std::make_unique<Model>(
      model_of(weights, config.weights, backend, precision, model_options(config, data)));
}

}  // namespace

bool is_gram_due(const TrainConfig& config, int epoch) {
  if (epoch == 0 && !config.learning_rate) return true;
  return config.gram_every > 0 && epoch % config.gram_every == 0;
}

void check_numerics(TrainConfig& config, const Backend& backend) {
  config.precision = choose_precision(config.precision, backend);
  check_tolerance(config.tolerance, *config.precision);
  check_flow_tolerance(config, *config.precision);
}

PlannedRun plan(TrainConfig config) {
  resolve(config);
  PlannedRun run;
  if (config.threads == 0) config.threads = default_threads();
  run.backend = make_backend(config.backend, config.threads);
  check_numerics(config, *run.backend);
  if (!config.weights_from_file()) config.width = config.width.value_or(TrainConfig::default_width);
  run.data = load_data(config);
  run.config = std::move(config);
  return run;
}

namespace {

PreparedRun with_model(PlannedRun planned, std::unique_ptr<Model> model) {
  PreparedRun run;
  run.config = std::move(planned.config);
  run.backend = std::move(planned.backend);
  run.data = std::move(planned.data);
  run.model = std::move(model);
  TrainConfig& config = run.config;
  run.trainer = std::make_unique<Trainer>(*run.backend, *run.model, run.data.inputs,
                                          run.data.targets, config.solve_options(),
                                          config.trainer_options(run.data.inputs.columns));
  if (config.optimizer == Optimizer::flow)
    run.flow = std::make_unique<GradientFlow>(*run.backend, *run.model, *run.trainer,
                                              config.flow_tolerance);
  if (config.epochs > 0 && is_gram_due(config, 0))
    run.monitor = std::make_unique<GramMonitor>(*run.backend, *run.model, run.trainer->samples(),
                                                config.tolerance);
  if (config.test_samples > 0)
    run.held_out = std::make_unique<HeldOut>(*run.backend, *run.model, run.data.held_out.inputs,
                                             run.data.held_out.targets, config.solve_options(),
                                             run.trainer->chunk());
  config.chunk = run.trainer->chunk();
  run.facts = {.data = run.data.description,
               .data_checksum = checksum_of(run.data),
               .samples = run.trainer->samples(),
               .inputs = run.data.inputs.rows,
               .width = *config.width,
               .chunk = run.trainer->chunk(),
               .precision = *config.precision,
               .backend = run.backend->description(),
               .learning_rate = config.learning_rate};
  return run;
}

}  // namespace

PreparedRun prepare(PlannedRun plan, WeightsFrom from) {
  std::string checksum;
  auto model = make_model(*plan.backend, plan.config, plan.data, from, checksum);
  PreparedRun run = with_model(std::move(plan), std::move(model));
  run.facts.weights_checksum = std::move(checksum);
  return run;
}

PreparedRun prepare(PlannedRun plan, const Weights& weights) {
  auto model = std::make_unique<Model>(*plan.backend, *plan.config.precision,
                                       model_options(plan.config, plan.data), weights);
  return with_model(std::move(plan), std::move(model));
}

}  // namespace widedeq
