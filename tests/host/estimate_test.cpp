// What a dry run says: bytes against allocations, operations against the backend's count, laws of
// scaling, and answers for widths that no memory holds.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <limits>

#include "host/gradient_flow.hpp"
#include "host/held_out.hpp"
#include "host/mini_batches.hpp"
#include "host/run/config_file.hpp"
#include "host/run/estimate.hpp"
#include "host/trainer.hpp"
#include "kernels/devices.hpp"

namespace widedeq {
namespace {

Workload workload(Index m, Index n, Precision precision) {
  Workload work;
  work.width = m;
  work.samples = n;
  work.inputs = 8;
  work.precision = precision;
  work.epochs = 20;
  work.gram_every = 10;
  return work;
}

double bytes_of(const std::vector<Share>& shares, const std::string& name) {
  for (const Share& share : shares)
    if (share.name == name) return share.bytes;
  return 0.0;
}

bool has(const std::vector<Share>& shares, const std::string& name) {
  return bytes_of(shares, name) > 0.0;
}

double bytes_of(const Matrix& matrix) {
  return static_cast<double>(matrix.rows() * matrix.columns()) *
         static_cast<double>(size_of(matrix.element()));
}

double total(const Operations& operations) {
  return operations.fp64 + operations.fp32 + operations.int8;
}

HostMatrix unit_columns(Index d, Index n) {
  HostMatrix X(d, n);
  for (Index j = 0; j < n; ++j) {
    double squares = 0.0;
    for (Index i = 0; i < d; ++i) {
      X(i, j) = standard_normal(3, Tensor::probe, i, j);
      squares += X(i, j) * X(i, j);
    }
    for (Index i = 0; i < d; ++i)
      X(i, j) /= std::sqrt(squares);
  }
  return X;
}

TEST(EstimateMemory, SmallCaseByHand) {
  // m = 64, n = 10, d = 3, doubles: base 64^2, change and operand 8 64^2, W, u, v 8 64 (3 + 2).
  Workload work = workload(64, 10, Precision::fp64);
  work.inputs = 3;
  const auto shares = estimate_memory(work).training;
  EXPECT_EQ(bytes_of(shares, "weights"), 4096 * 9 + 8 * 64 * 5);
  EXPECT_EQ(bytes_of(shares, "weights, packed for products"), 4096 * 8);
  // X, Phi, B, dW, du, dv, ones
  EXPECT_EQ(bytes_of(shares, "data, injection, gradients"),
            8 * (3 * 10 + 2 * 64 * 10 + 64 * 5 + 10));
  // z and rows of A in double, sums, and c
  EXPECT_EQ(bytes_of(shares, "audit"), 8 * (64 * 10 + 64 * (64 + 10)));
  // Z, L, Phi; eight n x n and 256 converted rows; 80 Lanczos vectors
  EXPECT_EQ(bytes_of(shares, "Gram"), 8 * (3 * 64 * 10) + 8 * (8 * 100 + 256 * 10) + 8 * 80 * 64);

  // Lattice weights, no epoch: int8 alone, packed both ways.
  work.precision = Precision::mixed;
  work.epochs = 0;
  const auto idle = estimate_memory(work).training;
  EXPECT_EQ(bytes_of(idle, "weights"), 4096 + 4 * 64 * 5);
  EXPECT_EQ(bytes_of(idle, "weights, packed for products"), 2 * 4096);
  EXPECT_EQ(bytes_of(idle, "Gram"), 0);
}

TEST(EstimateMemory, StatesAreWhatTheBackendAllocates) {
  const auto backend = make_cpu_backend(1);
  for (const Precision precision : {Precision::fp64, Precision::fp32, Precision::mixed}) {
    for (const auto& [m, n] : {std::pair<Index, Index>{100, 30}, {33, 7}, {256, 64}}) {
      const SweepState state = backend->make_sweep_state(precision, m, n);
      double bytes = 0.0;
      for (const Matrix* matrix : {&state.P, &state.applied, &state.pending, &state.settled,
                                   &state.scale, &state.residual, &state.size, &state.first_step,
                                   &state.known, &state.switched, &state.pace, &state.open})
        bytes += bytes_of(*matrix);
      Workload work = workload(m, n, precision);
      work.warm_start = false;
      EXPECT_EQ(bytes_of(estimate_memory(work).training, "states"), 2.0 * bytes)
          << name_of(precision) << " " << m << " " << n;
      // Gains of P, and in mixed of Zhat, of two solves, and what P owes.
      work.warm_start = true;
      EXPECT_EQ(bytes_of(estimate_memory(work).training, "states"),
                2.0 * (bytes + (precision == Precision::mixed ? 5.0 : 3.0) * bytes_of(state.P)))
          << name_of(precision) << " " << m << " " << n;
    }
  }
}

TEST(EstimateMemory, TakesTheChunkATrainerTakes) {
  const auto backend = make_cpu_backend(1);
  const auto expect_same = [&](Index m, Index n, const char* settings, Index wanted) {
    TrainConfig config;
    apply_config_text(config, settings, "test");
    config.precision = Precision::fp32;
    config.width = m;
    Model model(*backend, Precision::fp32, {}, m, 3, WeightLaw::lattice, 1);
    const Trainer trainer(*backend, model, unit_columns(3, n),
                          std::vector<double>(static_cast<std::size_t>(n)), config.solve_options(),
                          config.trainer_options(n));
    EXPECT_EQ(trainer.chunk(), wanted) << settings;
    const Workload chosen = workload_of(config, n, 3);
    Workload given = chosen;
    given.chunk = wanted;
    EXPECT_EQ(estimate_memory(chosen).peak(), estimate_memory(given).peak()) << settings;
    given.chunk = wanted / 2;
    EXPECT_GT(estimate_memory(chosen).peak(), estimate_memory(given).peak()) << settings;
  };
  expect_same(800, 1100, "", 1100);
  expect_same(700, 1100, "", 550);
  expect_same(800, 1100, "warm-start = false", 550);
  expect_same(800, 1100, "optimizer = \"flow\"", 550);
  expect_same(800, 1100, "batch-size = 10", 550);
  expect_same(800, 1100, "batch-size = 1000", 1000);
}

TEST(EstimateMemory, GrowsAsTheSquareOfTheWidth) {
  for (const Precision precision : {Precision::fp64, Precision::fp32, Precision::mixed}) {
    Workload work = workload(65536, 64, precision);  // linear terms are a tenth at 32768
    work.epochs = 1000;
    const double one = estimate_memory(work).peak();
    work.width *= 2;
    EXPECT_NEAR(estimate_memory(work).peak() / one, 4.0, 0.1) << name_of(precision);
  }
  const double single = estimate_memory(workload(8192, 4, Precision::fp32)).peak();
  const double twice = estimate_memory(workload(8192, 4, Precision::fp64)).peak();
  EXPECT_GT(twice, 1.2 * single);
}

TEST(EstimateMemory, AWeightsFileIsReadInDouble) {
  Workload work = workload(4096, 16, Precision::fp32);
  const double drawn = estimate_memory(work).loading;
  work.weights = WeightSource::file;
  EXPECT_GE(estimate_memory(work).loading, drawn + 8.0 * 4096 * 4096 * 0.9);
}

TEST(EstimateMemory, OnADeviceTheMatricesAreThere) {
  for (const Precision precision : {Precision::fp64, Precision::fp32, Precision::mixed}) {
    const Workload work = workload(8192, 256, precision);
    const MemoryEstimate memory = estimate_memory(work, true);
    const DeviceMemory there = device_memory(precision, 8192, 256);
    for (const char* name : {"weights", "states", "Gram", "scratch", "libraries"})
      EXPECT_TRUE(has(memory.device, name)) << name;
    // Beside what is counted there: X, W, u, v and their gradients.
    const double real = precision == Precision::fp64 ? 8.0 : 4.0;
    EXPECT_DOUBLE_EQ(total(memory.device), there.total() + real * (8 * 256 + 2 * 8192 * (8 + 2)));
    EXPECT_FALSE(has(memory.training, "weights"));
    EXPECT_FALSE(has(memory.training, "states"));
    EXPECT_LT(total(memory.training), 0.6e9);
    EXPECT_GT(memory.saving, 8.0 * 8192 * 8192);  // A in double
    EXPECT_TRUE(estimate_memory(work).device.empty());
  }
  // In chunks, states are a chunk's; a gradient of A is gathered, and the Gram is of all samples.
  Workload work = workload(1024, 4096, Precision::fp32);
  const auto whole = estimate_memory(work, true).device;
  work.chunk = 512;
  const auto chunks = estimate_memory(work, true).device;
  EXPECT_EQ(bytes_of(chunks, "states") * 2.0, bytes_of(whole, "states"));  // 1024 by default
  EXPECT_EQ(bytes_of(chunks, "Gram"), bytes_of(whole, "Gram"));
  EXPECT_EQ(bytes_of(chunks, "Gram"), 4.0 * 3 * 1024 * 4096 + 48.0 * 4096 * 4096);
  EXPECT_GE(bytes_of(chunks, "data, gradients"), 4.0 * 1024 * 1024);
  EXPECT_FALSE(has(chunks, "stages of the flow"));
  // Weights that are never trained: those of the lattice are int8 alone, others are not.
  work = workload(4096, 16, Precision::mixed);
  work.epochs = 0;
  const double lattice = bytes_of(estimate_memory(work, true).device, "weights");
  work.weights = WeightSource::gaussian;
  EXPECT_GE(bytes_of(estimate_memory(work, true).device, "weights"), lattice + 4.0 * 4096 * 4096);
  work.gram_every = 0;
  work.automatic_rate = false;
  EXPECT_FALSE(has(estimate_memory(work, true).device, "Gram"));
}

TEST(EstimateDisk, ByHand) {
  Workload work = workload(100, 10, Precision::fp32);
  work.epochs = 21;  // Grams of epochs 0, 10, 20
  const auto disk = estimate_disk(work);
  EXPECT_EQ(bytes_of(disk, "gram/"), 3 * (128 + 80) + 4 * (128 + 800));
  EXPECT_NEAR(bytes_of(disk, "weights.npz"), 4 * (10000 + 100 * 10), 2000);
  EXPECT_EQ(bytes_of(disk, "checkpoints"), 0);
  work.checkpoints = 2;  // and a third while it is written
  EXPECT_EQ(bytes_of(estimate_disk(work), "checkpoints"),
            3 * (4 * (10000 + 100 * 10 + 11 * 100 * 10) + 3 * 800));
  work.precision = Precision::mixed;
  EXPECT_EQ(bytes_of(estimate_disk(work), "checkpoints"),
            3 * (4 * (10000 + 100 * 10 + 17 * 100 * 10) + 3 * 800));
  work.precision = Precision::fp32;
  work.epochs = 0;
  EXPECT_EQ(bytes_of(estimate_disk(work), "gram/"), 0);
  work.epochs = 5;
  work.gram_every = 0;
  work.automatic_rate = false;
  EXPECT_EQ(estimate_work(work).grams, 0);
  work.automatic_rate = true;
  EXPECT_EQ(estimate_work(work).grams, 1);
}

TEST(EstimateWork, HeldOutSamplesCostAForwardSolveEach) {
  const auto backend = make_cpu_backend(1);
  const Index m = 384, n = 60, held = 90, d = 8;
  for (const Precision precision : {Precision::fp64, Precision::fp32, Precision::mixed}) {
    if (precision == Precision::mixed && !backend->why_not_mixed().empty()) continue;
    Workload work = workload(m, n, precision);
    work.epochs = 5;
    const double without = total(estimate_work(work).all);
    const double memory_without = estimate_memory(work).peak();
    work.test_samples = held;
    const double expected = total(estimate_work(work).all) - without;
    EXPECT_GT(estimate_memory(work).peak(), memory_without);
    work.test_every = 1000;
    EXPECT_LT(total(estimate_work(work).all) - without, 0.3 * expected);

    Model model(*backend, precision, {.panels = 0}, m, d, WeightLaw::lattice, 1);
    Trainer trainer(*backend, model, unit_columns(d, n), std::vector<double>(n, 1.0), {});
    HeldOut held_out(*backend, model, unit_columns(d, held), std::vector<double>(held, 1.0), {},
                     trainer.chunk());
    double counted = 0.0;
    for (int epoch = 0; epoch < 5; ++epoch) {
      ASSERT_TRUE(trainer.evaluate().converged());
      const double before = total(backend->operations());
      ASSERT_EQ(held_out.evaluate(model).forward.status, SolveStatus::converged);
      counted += total(backend->operations()) - before;
      trainer.update(2e-3);
    }
    EXPECT_LT(expected, 1.6 * counted) << name_of(precision);
    EXPECT_GT(expected, counted / 1.6) << name_of(precision);
  }
}

TEST(EstimateWork, IsWhatTheBackendCounts) {
  const auto backend = make_cpu_backend(1);
  const Index m = 384, n = 60, d = 8;
  const int epochs = 10;
  for (const bool warm : {true, false}) {
    for (const Precision precision : {Precision::fp64, Precision::fp32, Precision::mixed}) {
      if (precision == Precision::mixed && !backend->why_not_mixed().empty()) continue;
      Workload work = workload(m, n, precision);
      work.epochs = epochs;
      work.warm_start = warm;
      ModelOptions options;
      options.panels = precision == Precision::mixed || !warm ? 0 : 1;
      Model model(*backend, precision, options, m, d, WeightLaw::lattice, 1);
      TrainerOptions how;
      how.warm_start = warm;
      std::vector<double> targets;
      for (Index j = 0; j < n; ++j)
        targets.push_back(j % 2 == 0 ? 1.0 : -1.0);
      Trainer trainer(*backend, model, unit_columns(d, n), targets, {}, how);
      const double before = total(backend->operations());
      for (int epoch = 0; epoch < epochs; ++epoch) {
        ASSERT_TRUE(trainer.evaluate(nullptr, epoch + 1 == epochs).converged());
        trainer.update(2e-3);
      }
      const double counted = total(backend->operations()) - before;
      const double expected = total(estimate_work(work).all);
      EXPECT_LT(expected, 1.6 * counted) << name_of(precision) << " " << warm;
      EXPECT_GT(expected, counted / 1.6) << name_of(precision) << " " << warm;
    }
  }
}

TEST(EstimateWork, OfFlowsAndBatchesIsWhatTheBackendCounts) {
  const auto backend = make_cpu_backend(1);
  const Index m = 384, n = 60, d = 8;
  const int epochs = 4;
  for (const Index batch : {Index{0}, Index{16}}) {  // 0: a flow
    for (const Precision precision : {Precision::fp64, Precision::fp32, Precision::mixed}) {
      if (precision == Precision::mixed && !backend->why_not_mixed().empty()) continue;
      Workload work = workload(m, n, precision);
      work.epochs = epochs;
      work.is_flow = batch == 0;
      work.batch = batch;
      ModelOptions options;
      options.panels = 0;
      Model model(*backend, precision, options, m, d, WeightLaw::lattice, 1);
      TrainerOptions how;
      how.warm_start = false;
      std::vector<double> targets;
      for (Index j = 0; j < n; ++j)
        targets.push_back(j % 2 == 0 ? 1.0 : -1.0);
      const HostMatrix X = unit_columns(d, n);
      Trainer trainer(*backend, model, X, targets, {}, how);
      GradientFlow flow(*backend, model, trainer, 1e-2);
      FlowState state;
      const double before = total(backend->operations());
      for (int epoch = 0; epoch < epochs; ++epoch) {
        if (work.is_flow) {
          ASSERT_TRUE(trainer.evaluate().converged());
          ASSERT_EQ(flow.advance(state, 2e-3).steps, 1);
        } else {
          ASSERT_TRUE(
              descend_in_batches(trainer, X, targets, batch, 1, epoch, 1e-3).seen.converged());
        }
      }
      const double counted = total(backend->operations()) - before;
      const double expected = total(estimate_work(work).all);
      EXPECT_LT(expected, 1.6 * counted) << name_of(precision) << " " << batch;
      EXPECT_GT(expected, counted / 1.6) << name_of(precision) << " " << batch;
    }
  }
}

TEST(EstimateMemory, AFlowHasElevenSetsOfAllWeights) {
  Workload work = workload(64, 10, Precision::fp64);
  work.is_flow = true;
  EXPECT_EQ(bytes_of(estimate_memory(work).training, "stages of the flow"),
            11 * 8 * 64 * (64 + 8 + 2));
}

TEST(EstimateWork, AuditsComeAsTheTrainersDo) {
  const auto backend = make_cpu_backend(1);
  const Index m = 256, n = 20, d = 8;
  for (const double tolerance : {1e-4, 5.2e-7}) {
    for (const Precision precision : {Precision::fp64, Precision::fp32, Precision::mixed}) {
      if (precision == Precision::mixed && !backend->why_not_mixed().empty()) continue;
      TrainerOptions how;
      const int interval = plan_training(10, m, precision, tolerance, how).audit_every;
      // Single precision gathers rounding that counts beside 5e-7.
      const bool is_regular = precision == Precision::fp64 || tolerance > 1e-5;
      EXPECT_EQ(interval, is_regular ? how.audit_every : 6);
      Model model(*backend, precision, {}, m, d, WeightLaw::lattice, 1);
      Trainer trainer(*backend, model, unit_columns(d, n), std::vector<double>(n, 1.0),
                      {.tolerance = tolerance}, how);
      int epoch = 0;  // the first one is cold
      bool is_audited = false;
      for (; !is_audited && epoch <= 4 * interval; ++epoch) {
        is_audited = trainer.evaluate().forward.audit.has_value();
        trainer.update(1e-4);
      }
      EXPECT_TRUE(is_audited) << tolerance;
      // A trainer goes by the sweeps there have been, not by those to be expected.
      if (is_regular) {
        EXPECT_EQ(epoch - 1, interval) << tolerance;
      } else {
        EXPECT_GE(2 * (epoch - 1), interval) << tolerance;
      }
    }
  }
}

TEST(EstimateWork, AnyNumberOfEpochsToAnAuditIsTakenAtOnce) {
  TrainerOptions how;
  how.audit_every = std::numeric_limits<int>::max();
  EXPECT_EQ(plan_training(10, 256, Precision::fp64, 1e-6, how).audit_every, how.audit_every);
  EXPECT_EQ(plan_training(10, 256, Precision::fp32, 5.2e-7, how).audit_every, 6);
  how.audit_every = 3;
  EXPECT_EQ(plan_training(10, 256, Precision::fp32, 5.2e-7, how).audit_every, 3);
  EXPECT_EQ(plan_training(10, 256, Precision::fp32, 1e-9, how).audit_every, 1);
}

TEST(EstimateWork, ScalesWithShapesAndEpochs) {
  const auto all = [](const Workload& work) { return total(estimate_work(work).all); };
  Workload work = workload(20'000, 100, Precision::fp32);
  const double one = all(work);
  work.samples = 200;
  EXPECT_NEAR(all(work) / one, 2.0, 0.05);
  work.samples = 100;
  work.width = 40'000;
  EXPECT_NEAR(all(work) / one, 4.0, 0.1);
  work.width = 20'000;
  work.epochs = 200;
  EXPECT_GT(all(work), 8.0 * one);
  EXPECT_LT(all(work), 10.0 * one);
  work.epochs = 20;
  work.tolerance = 1e-3;
  EXPECT_LT(all(work), one);
  work.gamma = 0.8;
  EXPECT_GT(all(work), total(estimate_work(workload(20'000, 100, Precision::fp32)).first));
}

TEST(EstimateTime, AddsUp) {
  const Workload work = workload(1000, 100, Precision::mixed);
  const WorkEstimate operations = estimate_work(work);
  Speed speed{.fp64 = 1e10, .fp32 = 1e11, .int8 = 1e12, .bytes = 1e10};
  const TimeEstimate time = estimate_time(work, operations, speed);
  EXPECT_DOUBLE_EQ(time.all, time.first + 19 * time.later + 2 * time.gram);
  speed = {.fp64 = 2e10, .fp32 = 2e11, .int8 = 2e12, .bytes = 2e10};
  EXPECT_NEAR(estimate_time(work, operations, speed).all, time.all / 2.0, 1e-9 * time.all);
}

TEST(Estimate, AnswersForAnyWidthAtOnce) {
  const auto backend = make_cpu_backend(2);
  const auto start = std::chrono::steady_clock::now();
  Estimate e = estimate(*backend, workload(200'000, 1000, Precision::fp32), "/tmp/none/such");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
  EXPECT_GT(e.memory.peak(), 9.0 * 4e10);
  EXPECT_GT(e.time.all, 60.0);
  ASSERT_TRUE(e.disk_available);
  e.memory_available = 1e9;
  e.disk_available = 1e9;
  EXPECT_FALSE(fits(e));
  const std::string table = format_estimate(e);
  for (const char* part : {"width 200000", "memory at most", "weights.npz", "time in all",
                           "The memory is too small: ", " 1.00 GB available; lower --width",
                           "The disk is too small: ", " 1.00 GB free"})
    EXPECT_NE(table.find(part), table.npos) << part << "\n" << table;
  e.memory_available = e.disk_available = 1e15;
  EXPECT_TRUE(fits(e));
  EXPECT_EQ(format_estimate(e).find("too small"), std::string::npos);
}

TEST(Estimate, SuggestsAWidthThatFitsTheGpu) {
  for (const bool is_flow : {false, true}) {
    Estimate e;
    e.work = workload(8192, 300, Precision::fp32);
    e.work.is_flow = is_flow;
    e.speed.fp32 = 1e11;
    e.memory = estimate_memory(e.work, true);
    e.device_available = 0.75 * total(e.memory.device);
    const std::string table = format_estimate(e);
    const std::string before = "lower --width (about ";
    const auto at = table.find(before);
    ASSERT_NE(at, table.npos) << table;
    Workload smaller = e.work;
    smaller.width = std::stol(table.substr(at + before.size()));
    EXPECT_LT(smaller.width, 8192);
    EXPECT_LE(total(estimate_memory(smaller, true).device), *e.device_available);
    ++smaller.width;
    EXPECT_GT(total(estimate_memory(smaller, true).device), *e.device_available);
    // Less than there is without any network.
    e.device_available = 1e9;
    EXPECT_NE(format_estimate(e).find("lower --samples, or --chunk, or use --backend cpu"),
              std::string::npos);
  }
}

TEST(Estimate, SaysWhatTheBackendCannotDo) {
  const auto backend = make_cpu_backend(1);
  const Estimate e = estimate(*backend, workload(200'000, 10, Precision::mixed), "");
  EXPECT_FALSE(e.unsupported.empty());
  EXPECT_FALSE(fits(e));
  EXPECT_NE(format_estimate(e).find("--precision fp32"), std::string::npos);
}

TEST(Estimate, ComesFromAConfiguration) {
  TrainConfig config;
  config.width = 300;
  config.precision = Precision::fp32;
  config.epochs = 7;
  config.chunk = 5;
  config.weights = "gaussian";
  config.learning_rate = 0.1;
  config.warm_start = false;
  const Workload work = workload_of(config, 20, 4);
  EXPECT_EQ(work.width, 300);
  EXPECT_EQ(work.samples, 20);
  EXPECT_EQ(work.inputs, 4);
  EXPECT_EQ(work.precision, Precision::fp32);
  EXPECT_EQ(work.epochs, 7);
  EXPECT_EQ(work.chunk, 5);
  EXPECT_EQ(work.weights, WeightSource::gaussian);
  EXPECT_FALSE(work.automatic_rate);
  EXPECT_FALSE(work.warm_start);
}

TEST(FormatBytes, ThreeDigits) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(1000), "1.00 kB");
  EXPECT_EQ(format_bytes(12'345), "12.3 kB");
  EXPECT_EQ(format_bytes(999.6e6), "1.00 GB");
  EXPECT_EQ(format_bytes(123.4e9), "123 GB");
}

}  // namespace
}  // namespace widedeq
