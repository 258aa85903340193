// A run of benchmarks: for every shape, stage and precision first the check, then the clock.
//
// Checks are made at the shape itself up to 1024 x 64, beyond that at m = 1024, n = 64, where
// textbook loops take a fraction of a second. A stage that fails its check is not timed.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bench/roofline.hpp"
#include "bench/stage.hpp"
#include "bench/stopping_rule.hpp"
#include "host/run/config.hpp"

namespace widedeq::bench {

struct BenchOptions {
  std::vector<Stage> stages;
  std::vector<Shape> shapes{{1024, 256}};
  std::vector<Precision> precisions;  // none: all that the backend has
  Index inputs = 64;
  TrainConfig config;  // backend, threads, gamma, tolerance and seed of it
  StoppingOptions stopping;
  std::size_t epochs = 0;  // of the stage epoch, after the warm-up; 0: as for others
  bool cold = false;       // caches are emptied before every call
};

/// "all", or names separated by commas, each once, in the order fp64, fp32, mixed; all is an empty
/// list. Throws Failure (usage) for others.
std::vector<Precision> parse_precisions(std::string_view text);

/// One line of the table.
struct Row {
  std::string stage;
  Precision precision = Precision::fp64;
  Shape shape;

  Shape check_shape;
  double error = 0.0;      // found by the check, relative
  double tolerance = 0.0;  // allowed
  std::string failure;     // why the stage was not timed; "" when it was

  // The rest holds nothing after a failure.
  Statistics timing;
  std::string warning;            // why the timing is not to be trusted; "" when it is
  Work work;                      // of a call, in the mean
  bool work_varies = false;       // between calls
  double product_seconds = 0.0;   // of the library's bare products in it; 0 without any
  double product_noise = 0.0;     // of these, the largest
  double roofline_seconds = 0.0;  // the least

  bool ok() const { return failure.empty(); }
  /// Of a call of that work.
  double seconds() const { return work_varies ? timing.mean : timing.median; }
  double flops_per_second() const { return work.useful_flops() / seconds(); }
  double bytes_per_second() const { return work.bytes / seconds(); }
  double share_of_product() const { return product_seconds / seconds(); }
  double share_of_roofline() const { return roofline_seconds / seconds(); }
};

struct BenchReport {
  BenchOptions options;  // threads, backend and precisions filled in
  std::string backend;   // description
  std::string started;   // UTC
  Roofline roofline;
  std::vector<Row> rows;
  bool stopped = false;  // by a signal, before all rows were done

  std::size_t failures() const;
  std::size_t warnings() const;
};

/// What a run tells while it goes on.
struct Observer {
  std::function<void(const std::string&)> progress;  // what is under way
  std::function<void(const BenchReport&)> started;   // all but the rows is there
  std::function<void(const Row&)> row;
};

/// Measures everything. Throws Failure (usage), before anything is timed, for a precision or
/// tolerance that the backend does not have and for shapes that do not fit into memory.
BenchReport run_bench(BenchOptions options, const Observer& observer);

}  // namespace widedeq::bench
