// From options to rows: setting up, checking, timing; see run.hpp.
#include "bench/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <new>

#include "bench/timer.hpp"
#include "host/failure.hpp"
#include "host/run/machine.hpp"
#include "host/run/stop.hpp"

namespace widedeq::bench {
namespace {

constexpr Shape largest_check{1024, 64};

std::string describe(const Stage& stage, Precision precision, Shape shape) {
  return fmt::format("{} {} {}", stage.name, name_of(precision), to_text(shape));
}

bool applies(const Stage& stage, Precision precision) {
  return !stage.mixed_only || precision == Precision::mixed;
}

Row row_of(const Stage& stage, Precision precision, Shape shape) {
  Row row;
  row.stage = stage.name;
  row.precision = precision;
  row.shape = shape;
  return row;
}

/// Throws Failure (usage) where there is nothing to measure, or an option that nothing heeds.
void expect_rows(const BenchOptions& options) {
  const auto is_measured = [&](const Stage& stage) {
    return std::ranges::any_of(options.precisions,
                               [&](Precision precision) { return applies(stage, precision); });
  };
  if (std::ranges::none_of(options.stages, is_measured))
    throw Failure(ExitCode::usage, "these stages are of mixed precision alone",
                  "--stages, --precision", "give --precision mixed, on a machine that has it");
  const auto is_epoch = [](const Stage& stage) { return stage.name == "epoch"; };
  if (options.epochs > 0 && std::ranges::none_of(options.stages, is_epoch))
    throw Failure(ExitCode::usage, "there is no stage 'epoch' among the stages", "--epochs",
                  "leave it out, or add epoch to --stages");
}

/// Throws Failure (usage) for a case that is larger than the memory that is left where matrices
/// are. (The system would end the process instead of refusing.)
void expect_room(const BenchOptions& options, const Backend& backend) {
  const auto on_device = backend.free_device_memory();
  const auto available = on_device ? on_device : available_memory_bytes();
  if (!available) return;
  for (const Shape shape : options.shapes) {
    for (const Stage& stage : options.stages) {
      for (const Precision precision : options.precisions) {
        const double needed = stage.footprint.bytes(precision, shape, options.inputs);
        if (applies(stage, precision) && needed > *available)
          throw Failure(ExitCode::usage,
                        fmt::format("this takes up to {:.3g} GB and {:.3g} GB are available",
                                    needed / 1e9, *available / 1e9),
                        describe(stage, precision, shape), "give smaller --shapes or --inputs");
      }
    }
  }
}

/// The measurements of one run, with what they share.
class Bench {
 public:
  Bench(BenchReport& report, Backend& backend, Backend& reference, const Observer& observer)
      : report_(report), backend_(backend), reference_(reference), observer_(observer) {
    if (report.options.cold) flush_ = std::make_unique<CacheFlush>(backend);
  }

  Row measure(const Stage& stage, Precision precision, Shape shape) {
    Row row = row_of(stage, precision, shape);
    check(stage, row);
    if (row.ok()) time_stage(stage, row);
    return row;
  }

 private:
  Case case_of(Precision precision, Shape shape) const {
    const TrainConfig& config = report_.options.config;
    return {.backend = backend_,
            .reference = reference_,
            .precision = precision,
            .shape = shape,
            .inputs = report_.options.inputs,
            .gamma = config.gamma,
            .tolerance = config.tolerance,
            .seed = static_cast<std::uint64_t>(config.seed)};
  }

  void check(const Stage& stage, Row& row) {
    row.check_shape = {std::min(row.shape.m, largest_check.m),
                       std::min(row.shape.n, largest_check.n)};
    row.tolerance = stage.tolerance.at(row.precision, report_.options.config.tolerance);
    const auto trial = stage.set_up(case_of(row.precision, row.check_shape));
    trial->prepare();
    trial->call();
    backend_.synchronize();
    row.failure = trial->failure();
    if (!row.ok()) return;
    row.error = trial->error();
    if (!(row.error <= row.tolerance))
      row.failure = fmt::format("error {:.2g}, allowed are {:.2g}", row.error, row.tolerance);
  }

  void time_stage(const Stage& stage, Row& row) {
    auto trial = stage.set_up(case_of(row.precision, row.shape));
    const auto calls = [&](std::size_t count) {
      return time_calls(backend_, *trial, count, flush_.get());
    };
    StoppingOptions stopping = report_.options.stopping;
    if (trial->work_varies()) stopping.exact_samples = report_.options.epochs;
    row.timing = take_samples(calls, now, stopping, [&] { trial->start_timing(); });
    row.failure = trial->failure();
    if (!row.ok()) return;
    row.warning = shortcoming(row.timing, report_.options.stopping);
    row.work = trial->work();
    row.work_varies = trial->work_varies();
    trial.reset();  // its memory, before the bare product takes its own
    for (const Precision precision : all_precisions)
      if (row.work.products[precision] > 0.0) time_bare_products(precision, row);
    row.roofline_seconds = report_.roofline.seconds(row.work);
  }

  /// Of so many bare products as a call of the stage makes, in a row, since from the second on they
  /// find in the caches what a call's do. Measured anew for every row: on a machine whose speed
  /// drifts, a share means something only when both were timed at about the same moment.
  void time_bare_products(Precision precision, Row& row) {
    observer_.progress(
        fmt::format("bare product {} {}", widedeq::name_of(precision), to_text(row.shape)));
    const double products = row.work.products[precision];
    const int in_a_row = std::max(1, static_cast<int>(std::lround(products)));
    const Statistics timing = time_bare_product(backend_, precision, row.shape,
                                                report_.options.stopping, flush_.get(), in_a_row);
    row.product_seconds += products * timing.median;
    row.product_noise = std::max(row.product_noise, timing.noise);
  }

  BenchReport& report_;
  Backend& backend_;
  Backend& reference_;
  const Observer& observer_;
  std::unique_ptr<CacheFlush> flush_;  // null: calls may find warm caches
};

}  // namespace

std::vector<Precision> parse_precisions(std::string_view text) {
  if (text == "all") return {};
  const std::vector<std::string> words = split_list(text, "--precision");
  for (const std::string& word : words)
    if (!parse_precision(word))
      throw Failure(ExitCode::usage, "there is no precision '" + word + "'",
                    "--precision " + std::string(text), "give all, or some of fp64,fp32,mixed");
  std::vector<Precision> chosen;
  for (const Precision precision : all_precisions)
    if (std::ranges::find(words, widedeq::name_of(precision)) != words.end())
      chosen.push_back(precision);
  return chosen;
}

std::size_t BenchReport::failures() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(rows, [](const Row& row) { return !row.ok(); }));
}

std::size_t BenchReport::warnings() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(rows, [](const Row& row) { return !row.warning.empty(); }));
}

BenchReport run_bench(BenchOptions options, const Observer& observer) {
  BenchReport report;
  report.started = timestamp();
  TrainConfig& config = options.config;
  if (config.threads == 0) config.threads = default_threads();
  const auto backend = make_backend(config.backend, config.threads);
  std::unique_ptr<Backend> cpu;
  if (config.backend != BackendChoice::cpu) cpu = make_cpu_backend(config.threads);
  report.backend = backend->description();

  if (options.precisions.empty())
    for (const Precision precision : all_precisions)
      if (precision != Precision::mixed || backend->why_not_mixed().empty())
        options.precisions.push_back(precision);
  for (const Precision precision : options.precisions) {
    choose_precision(precision, *backend);
    check_tolerance(config.tolerance, precision);
  }
  expect_rows(options);
  expect_room(options, *backend);
  report.options = std::move(options);

  report.roofline = measure_roofline(*backend, report.options.stopping, observer.progress);
  observer.started(report);
  Bench bench(report, *backend, cpu ? *cpu : *backend, observer);
  for (const Shape shape : report.options.shapes) {
    for (const Stage& stage : report.options.stages) {
      for (const Precision precision : report.options.precisions) {
        if (!applies(stage, precision)) continue;
        if (stop_requested()) {
          report.stopped = true;
          return report;
        }
        observer.progress(describe(stage, precision, shape));
        try {
          report.rows.push_back(bench.measure(stage, precision, shape));
        } catch (const DeviceError& error) {
          // What was measured before is not lost, and smaller cases may still fit.
          report.rows.push_back(row_of(stage, precision, shape));
          report.rows.back().failure = error.what();
        } catch (const std::bad_alloc&) {
          throw Failure(ExitCode::usage, "there is not enough memory",
                        describe(stage, precision, shape), "give smaller --shapes or --inputs");
        }
        observer.row(report.rows.back());
      }
    }
  }
  return report;
}

}  // namespace widedeq::bench
