// A run as a whole: order of the rows, checks that fail, refusals before the work.
#include "bench/run.hpp"

#include <gtest/gtest.h>

#include "bench/stages.hpp"
#include "host/failure.hpp"
#include "host/run/machine.hpp"

namespace widedeq::bench {
namespace {

BenchOptions quick_options(std::string_view stages, std::string_view shapes) {
  BenchOptions options;
  options.stages = parse_stages(stages);
  options.shapes = parse_shapes(shapes);
  options.precisions = {Precision::fp64, Precision::fp32};
  options.inputs = 5;
  options.config.backend = BackendChoice::cpu;
  options.config.threads = 1;
  options.stopping.max_seconds = 0.01;
  return options;
}

struct Recorder {
  std::vector<std::string> rows, progress;
  bool started = false;

  Observer observer() {
    return {
        .progress = [this](const std::string& text) { progress.push_back(text); },
        .started =
            [this](const BenchReport& report) {
              started = true;
              EXPECT_TRUE(report.rows.empty());
              EXPECT_GT(report.roofline.memory.bytes_per_second, 0.0);
            },
        .row =
            [this](const Row& row) {
              EXPECT_TRUE(started);
              rows.push_back(row.stage + " " + name_of(row.precision) + " " + to_text(row.shape));
            }};
  }
};

TEST(RunBench, MeasuresEveryCombinationInOrder) {
  Recorder recorder;
  const BenchReport report =
      run_bench(quick_options("sweep,readout", "16x3,1030x70"), recorder.observer());
  EXPECT_EQ(recorder.rows, (std::vector<std::string>{
                               "sweep fp64 16x3", "sweep fp32 16x3", "readout fp64 16x3",
                               "readout fp32 16x3", "sweep fp64 1030x70", "sweep fp32 1030x70",
                               "readout fp64 1030x70", "readout fp32 1030x70"}));
  ASSERT_EQ(report.rows.size(), 8U);
  EXPECT_EQ(report.failures(), 0U);
  EXPECT_FALSE(report.stopped);
  for (const Row& row : report.rows) {
    EXPECT_GT(row.timing.median, 0.0) << row.stage;
    EXPECT_GT(row.roofline_seconds, 0.0) << row.stage;
    EXPECT_EQ(row.product_seconds > 0.0, row.stage == "sweep");
    EXPECT_LE(row.error, row.tolerance);
  }
  // Large shapes are checked at a smaller one, and the row says so.
  EXPECT_EQ(report.rows[0].check_shape, (Shape{16, 3}));
  EXPECT_EQ(report.rows[4].check_shape, (Shape{1024, 64}));
}

TEST(RunBench, AStageThatFailsItsCheckIsNotTimed) {
  BenchOptions options = quick_options("inject,readout", "16x3");
  options.precisions = {Precision::fp32};
  options.stages[0].tolerance.fp32 = 1e-12;  // less than single precision can do
  Recorder recorder;
  const BenchReport report = run_bench(std::move(options), recorder.observer());
  ASSERT_EQ(report.rows.size(), 2U);
  EXPECT_EQ(report.failures(), 1U);
  const Row& failed = report.rows[0];
  EXPECT_FALSE(failed.ok());
  EXPECT_GT(failed.error, 1e-12);
  EXPECT_NE(failed.failure.find("allowed are 1e-12"), std::string::npos) << failed.failure;
  EXPECT_EQ(failed.timing.samples, 0U);
  EXPECT_TRUE(report.rows[1].ok());
}

TEST(RunBench, AStageWithWrongResultsIsNotTimed) {
  /// A readout that forgets its factor.
  struct Wrong final : Trial {
    void call() override {}
    Work work() const override { return {}; }
    double error() override { return NAN; }
  };
  BenchOptions options = quick_options("readout", "16x3");
  options.stages[0].set_up = [](const Case&) -> std::unique_ptr<Trial> {
    return std::make_unique<Wrong>();
  };
  Recorder recorder;
  EXPECT_EQ(run_bench(std::move(options), recorder.observer()).failures(), 2U);
}

TEST(RunBench, MixedOnlyStagesAreLeftOutElsewhere) {
  Recorder recorder;
  const BenchReport report =
      run_bench(quick_options("settle,readout", "16x3"), recorder.observer());
  EXPECT_FALSE(report.rows.empty());
  for (const Row& row : report.rows)
    EXPECT_EQ(row.stage, "readout");
}

template <class Call>
std::string usage_failure(Call call) {
  try {
    call();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), ExitCode::usage);
    return failure.what();
  }
  return "";
}

TEST(RunBench, RefusesBeforeTheClockStarts) {
  Recorder recorder;
  if (available_memory_bytes()) {
    const std::string sentence = usage_failure(
        [&] { run_bench(quick_options("inject", "16x3,64x1000000000"), recorder.observer()); });
    EXPECT_NE(sentence.find("available"), std::string::npos) << sentence;
    EXPECT_NE(sentence.find("inject fp64 64x1000000000"), std::string::npos) << sentence;
  }
  BenchOptions options = quick_options("forward", "16x3");
  options.config.tolerance = 1e-10;  // fp64 can, fp32 cannot
  EXPECT_NE(usage_failure([&] { run_bench(options, recorder.observer()); }).find("fp32"),
            std::string::npos);
  EXPECT_FALSE(recorder.started);
  EXPECT_TRUE(recorder.progress.empty());
}

TEST(Roofline, TakesTheSlowerOfArithmeticAndMemory) {
  Roofline roofline;
  roofline.memory.bytes_per_second = 10.0;
  roofline.peak.fp64.flops_per_second = 100.0;
  roofline.peak.mixed.flops_per_second = 1000.0;
  Work work;
  work.bytes = 50.0;
  EXPECT_DOUBLE_EQ(roofline.seconds(work), 5.0);
  work.flops.fp64 = 400.0;
  work.flops.mixed = 3000.0;
  EXPECT_DOUBLE_EQ(roofline.seconds(work), 7.0);
}

}  // namespace
}  // namespace widedeq::bench
