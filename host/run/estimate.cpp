// The formulas behind estimate.hpp. m width, n samples, d inputs, c samples at a time; `real` is
// the bytes of a real. Each follows an allocation or a product elsewhere, which its comment names.
#include "host/run/estimate.hpp"

#include <algorithm>
#include <cmath>

#include "host/update_cost.hpp"
#include "kernels/panels.hpp"

namespace widedeq {
namespace {

/// Samples a chunk takes when nobody says (host/trainer.cpp); a test compares it with a trainer's.
constexpr Index trainers_chunk = 1024;

/// The program, its libraries and their buffers. Measured: 21 to 24 MB with two threads.
constexpr double program_bytes = 23e6;

constexpr double float64_bytes = 8.0;

/// The digits of the plane that a run packs, both ways round: the last ones are asked for by cold
/// solves alone. (kernels/cpu/operand.hpp)
constexpr int warm_digits = 2;
constexpr int cold_digits = 3;

/// Rows converted to double at a time, in Grams and audits. (kernels/cpu/gram.cpp, rebuild.cpp)
constexpr double converted_rows = 256.0;

/// The workload in doubles, and what follows from it at once.
struct Sizes {
  explicit Sizes(const Workload& work)
      : m(static_cast<double>(work.width)),
        n(static_cast<double>(work.samples)),
        d(static_cast<double>(work.inputs)),
        real(static_cast<double>(size_of(real_of(work.precision)))),
        is_mixed(work.precision == Precision::mixed) {
    const Index chunk = std::min(work.samples, work.chunk > 0 ? work.chunk : trainers_chunk);
    c = static_cast<double>(chunk);
    is_chunked = chunk < work.samples;
    TrainerOptions how(chunk);
    how.warm_start = work.warm_start && !work.is_flow && work.batch == 0;
    is_flow = work.is_flow;
    steps = work.batch > 0 ? std::ceil(n / static_cast<double>(work.batch)) : 1.0;
    how.audit_every = work.audit_every;
    is_warm = Trainer::starts_warm(work.samples, work.width, how, work.precision, work.tolerance);
    const Index rank = work.batch > 0 ? work.batch : chunk;  // of an update
    if (is_mixed && !is_chunked && !work.is_flow)
      kept = static_cast<double>(updates_to_keep(work.width, rank));
    const double updates = std::max(0, work.epochs) * steps;
    has_factors = kept > 0.0 && updates > 0.0;
    has_change = work.weights != WeightSource::lattice || updates > kept;
    factors = has_factors ? kept * static_cast<double>(rank) : 0.0;
    const bool has_first = work.epochs > 0 && (work.automatic_rate || work.gram_every > 0);
    const int regular = work.gram_every > 0 ? (work.epochs - 1) / work.gram_every : 0;
    grams = has_first ? 1 + regular : 0;
  }

  double m, n, d, c = 0.0, real;
  bool is_mixed, is_chunked = false, is_warm = false;
  bool has_change = false;   // A has a summand `change`
  bool has_factors = false;  // updates are kept as factors
  double kept = 0.0;         // that many
  double factors = 0.0;      // columns of the factors
  double steps = 1.0;        // updates an epoch
  bool is_flow = false;
  int grams = 0;
};

double rounded_up(double value, double step) {
  return std::ceil(value / step) * step;
}

/// base (int8), change, factors, W, u, v. (host/weight_operator.cpp, host/model.cpp)
double masters(const Sizes& z) {
  return z.m * z.m * (1.0 + (z.has_change ? z.real : 0.0)) + 2.0 * z.m * z.factors * z.real +
         z.m * (z.d + 2.0) * z.real;
}

/// A as products read it: packed both ways, or one dense copy. (kernels/cpu/operand.cpp)
double packed_base(const Sizes& z) {
  if (!z.is_mixed) return z.m * z.m * z.real;
  return 2.0 * rounded_up(z.m, 64.0) * rounded_up(z.m, 64.0);
}

double packed_plane(const Sizes& z) {
  if (!z.is_mixed || !z.has_change) return 0.0;
  return (z.is_warm ? warm_digits : cold_digits) * packed_base(z);
}

/// One of Backend::make_sweep_state, of c columns.
double sweep_state(const Sizes& z, double c) {
  const double whole = z.m * c * z.real;
  const double increments =
      z.is_mixed ? z.m * (rounded_up(c, 64.0) + std::ceil(64.0 / z.m)) : whole;
  const double columns = c * (10.0 * float64_bytes + 8.0);
  return (z.is_mixed ? 3.0 : 2.0) * whole + increments + columns;
}

/// Those of both solves, their responses and what they owe (host/fixed_point.hpp).
double states(const Sizes& z) {
  return 2.0 * (sweep_state(z, z.c) + (z.is_warm ? 2.0 * z.m * z.c * z.real : 0.0));
}

/// X, Phi and a sweep state. (host/held_out.cpp)
double held_out(const Workload& work, const Sizes& z) {
  const auto n = static_cast<double>(work.test_samples);
  const double c = std::min(n, z.c);
  return n > 0.0 ? z.real * (z.d * n + z.m * c) + sweep_state(z, c) : 0.0;
}

/// X, Phi, B, the gradients. (host/trainer.cpp)
double trainers(const Sizes& z) {
  return z.real *
         (z.d * z.n + 2.0 * z.m * z.c + z.m * (z.d + 2.0) + z.c + (z.is_chunked ? z.m * z.m : 0.0));
}

/// Points and slopes of all weights: those of odeint's stepper and control, and ours.
/// (host/gradient_flow.cpp)
double flows(const Sizes& z, const Workload& work) {
  constexpr double sets = 11.0;  // two points, two slopes; k2 to k6, a stage, the error
  return work.is_flow && work.epochs > 0 ? sets * z.real * z.m * (z.m + z.d + 2.0) : 0.0;
}

/// The backend's one growing buffer: the largest that a stage asks for. (kernels/cpu/workspace.hpp)
double workspace(const Sizes& z, int panels) {
  const double update = 256.0 * (z.m + z.c) * z.real;                   // rank_update
  const double follow = z.is_warm ? z.c * z.c * z.real : 0.0;           // follow_rank_update
  const double norm = z.has_factors ? (2.0 * z.n + z.m) * z.n * 8 : 0;  // copy_factors
  double solve = 0.0;
  if (z.is_mixed) {
    const double digit = z.has_change ? z.m * z.m : 0.0;  // prepare_plane
    const double difference = 4.0 * z.m * (z.c + std::ceil(64.0 / z.m));
    const double share = z.has_factors ? 4.0 * (2.0 * z.m + z.factors) * z.c : 0.0;
    // Three digits of both factors, where the processor multiplies those (cpu/digit_update.cpp).
    const double columns = rounded_up(z.c, 64.0);
    const double update_digits = 3.0 * columns * (z.m + std::max(z.m, z.d) + 64.0);
    const double follow_digits = 3.0 * columns * (z.m + z.c + 64.0) + 4.0 * z.c * z.c;
    const double factor_digits = std::max(update_digits, follow_digits);
    solve = std::max({digit, difference + share, factor_digits});
  } else {
    solve = z.m / panels * rounded_up(z.c, 64.0) * z.real;
  }
  return std::max({update, follow, norm, solve});
}

/// Rebuilding P in double, and what it is compared with. (kernels/cpu/rebuild.cpp)
double audit(const Sizes& z) {
  if (!z.is_warm) return 0.0;
  const double rows = std::min(converted_rows, z.m);
  return float64_bytes * (z.m * z.n + rows * (z.m + z.n) + z.factors * (2.0 * z.m + z.n)) +
         z.m * z.n * z.real;
}

/// Copies of Z, L and Phi; eight n x n matrices: five in the making or being decomposed, the first
/// for the drift, and the journal's first and last. (host/gram_monitor.cpp, kernels/cpu/gram.cpp)
/// The patterns of activations are small beside these.
double gram_memory(const Sizes& z) {
  if (z.grams == 0) return 0.0;
  return 3.0 * z.m * z.n * z.real + float64_bytes * (8.0 * z.n * z.n + converted_rows * z.n);
}

double norm_estimate(const Sizes& z) {
  return z.grams == 0 ? 0.0 : 80.0 * z.m * float64_bytes;  // 40 steps, two vectors each
}

int panels_of(const Workload& work, const Sizes& z) {
  return z.is_warm ? 1 : choose_panels(work.width);  // host/run/prepare.cpp, fp32 and fp64
}

}  // namespace

Workload workload_of(const TrainConfig& config, Index samples, Index inputs) {
  Workload work;
  work.width = config.width.value_or(TrainConfig::default_width);
  work.samples = samples;
  work.inputs = inputs;
  work.precision = config.precision.value_or(Precision::fp64);
  work.chunk = config.chunk;
  work.is_flow = config.optimizer == Optimizer::flow;
  work.batch = config.in_batches(samples) ? config.batch_size : 0;
  work.warm_start = config.warm_start;
  work.audit_every = config.audit_every;
  work.test_samples = config.test_samples;
  work.test_every = config.test_every;
  work.epochs = config.epochs;
  work.gram_every = config.gram_every;
  work.automatic_rate = !config.learning_rate;
  work.weights = config.weights_from_file()     ? WeightSource::file
                 : config.weights == "gaussian" ? WeightSource::gaussian
                                                : WeightSource::lattice;
  work.gamma = config.gamma;
  work.tolerance = config.tolerance;
  work.injection = config.injection;
  return work;
}

double MemoryEstimate::peak() const {
  double sum = 0.0;
  for (const Share& share : training)
    sum += share.bytes;
  return std::max({sum, loading, saving});
}

MemoryEstimate estimate_memory(const Workload& work) {
  const Sizes z(work);
  MemoryEstimate memory;
  const auto add = [&](const char* name, double bytes) {
    if (bytes > 0.0) memory.training.push_back({name, bytes});
  };
  add("weights", masters(z));
  add("weights, packed for products", packed_base(z) + packed_plane(z));
  add("states", states(z));
  add("data, injection, gradients", trainers(z));
  add("held-out samples", held_out(work, z));
  add("Gram", gram_memory(z) + norm_estimate(z));
  add("stages of the flow", flows(z, work));
  add("scratch", workspace(z, panels_of(work, z)));
  add("audit", audit(z));
  add("program", program_bytes);

  // The data in double while everything is made; a weights file's arrays go when the model is done.
  Sizes before = z;
  before.has_change = work.weights != WeightSource::lattice;
  before.factors = 0.0;
  const double model = masters(before) + packed_base(z);
  const double file = float64_bytes * z.m * (z.m + z.d + 2.0);
  const double rest = states(z) + trainers(z) + 3.0 * z.m * z.n * z.real * (z.grams > 0 ? 1 : 0);
  memory.loading = program_bytes + float64_bytes * z.d * z.n + model +
                   std::max(rest, work.weights == WeightSource::file ? file : 0.0);

  // A in double, W twice (host/run/weights_file.cpp), beside the masters; the rest has been freed.
  memory.saving = program_bytes + masters(z) + float64_bytes * z.m * (z.m + 2.0 * z.d + 2.0) +
                  (z.grams > 0 ? 2.0 * float64_bytes * z.n * z.n : 0.0);
  return memory;
}

namespace {

/// Products of both solves of an epoch, m x m times m x n being one.
///
/// A solve contracts by about gamma sqrt(active fraction) a sweep. What is added to that, and the
/// factors, are fitted to counted operations at (m, n) = (1024, 200), gamma 0.2, 0.5 and 0.8,
/// tolerance 1e-3 and 1e-6: within a quarter. A warm start is worth three digits and a bit.
struct SolveProducts {
  explicit SolveProducts(const Workload& work, const Sizes& z) {
    const double active = work.injection == Injection::relu ? 0.7 : 0.5;
    const double rate = std::log(std::max(1e-3, std::min(0.98, work.gamma * std::sqrt(active))));
    const double sweeps =
        2.0 * std::log(work.tolerance) / rate;  // by all rows at once, both solves
    const double digits = std::max(1.0, -std::log10(work.tolerance));
    const double saved = std::max(0.17, 1.0 - 3.3 / digits);
    const bool has_panels = panels_of(work, z) > 1;
    const double fp = std::max(2.0, has_panels ? 0.8 * sweeps : sweeps);
    const double strips = 4.5 + 0.5 * sweeps;  // Gauss-Seidel by strips
    const double plane = 15.0 + 0.15 * strips;
    if (z.is_mixed) {
      cold = strips + (work.weights != WeightSource::lattice ? plane : 0.0);
      const double settled = work.weights != WeightSource::lattice ? 14.0 : 4.5;
      later = z.is_warm ? saved * sweeps + settled : strips + plane;
      cold_with_change = strips + plane;
    } else {
      cold = cold_with_change = fp;
      later = z.is_warm ? std::max(2.0, saved * sweeps) : fp;
    }
  }
  double cold = 0.0, later = 0.0;
  double cold_with_change = 0.0;  // from nothing, but with weights that have been trained
};

Operations& operator+=(Operations& sum, const Operations& more) {
  sum.fp64 += more.fp64;
  sum.fp32 += more.fp32;
  sum.int8 += more.int8;
  return sum;
}

Operations times(const Operations& one, double count) {
  return {one.fp64 * count, one.fp32 * count, one.int8 * count};
}

double& of(Operations& operations, Precision precision) {
  if (precision == Precision::mixed) return operations.int8;
  return precision == Precision::fp32 ? operations.fp32 : operations.fp64;
}

}  // namespace

WorkEstimate estimate_work(const Workload& work) {
  const Sizes z(work);
  const double one = 2.0 * z.m * z.m * z.n;
  const SolveProducts solves(work, z);
  const Precision real = z.is_mixed ? Precision::fp32 : work.precision;

  // A -= eta s (L diag r) Z'  1; what follows it in P and Q  3 n/(2 m) each; Phi and dW  d/m each.
  // Factors: their norm b/m for an update of rank b, and the four settlings' products with half of
  // them.
  const double rank = z.n / z.steps;
  double update = 1.0 + 2.0 * z.d / z.m;
  if (z.is_warm) update += 3.0 * z.n / z.m;
  if (z.has_factors) update += rank / z.m + 4.0 * z.factors / z.m;

  WorkEstimate estimate;
  const auto epoch = [&](double products) {
    Operations operations;
    of(operations, work.precision) += products * one;
    of(operations, real) += update * one;
    return operations;
  };
  // Entries of m x n that pass by beside the products: about 18 bytes a sweep in mixed, six reals
  // else, and some 25 passes around the solves. Of m x m: a new plane, or change and operand.
  const double sweep_bytes = (z.is_mixed ? 18.0 : 6.0 * z.real) * z.m * z.n;
  const double around = 25.0 * z.real * z.m * z.n;
  const double fold = z.is_mixed ? 40.0 / std::max(1.0, z.kept) : 4.0 * z.real + 1.0;
  const double square = (fold + (z.is_chunked ? 6.0 * z.real : 0.0)) * z.m * z.m;
  // Epochs of batches: all but the first step has what training has added to A. Of a flow: one
  // evaluation, a step's six, and sums of all weights: some 60 passes.
  const double after = z.is_flow ? 6.0 : z.steps - 1.0;
  const double share = z.is_flow ? 1.0 : 1.0 / z.steps;  // of the samples, in one evaluation
  const double sums = z.is_flow ? 60.0 * z.real * z.m * z.m : 0.0;
  const auto bytes = [&](double first) {
    return share * ((first + after * solves.later) * sweep_bytes + (1.0 + after) * around) +
           (1.0 + after) * square + sums;
  };
  estimate.first = epoch(share * (solves.cold + after * solves.later));
  estimate.later = epoch(share * (1.0 + after) * solves.later);
  if (z.is_flow) {
    of(estimate.first, real) += after * update * one;
    of(estimate.later, real) += after * update * one;
  }
  estimate.first_bytes = bytes(solves.cold);
  estimate.later_bytes = bytes(solves.later);

  // Audits: both solves' P in double, every so often and in the last epoch.
  const int later = std::max(0, work.epochs - 1);
  if (z.is_warm && later > 0) {
    const int audits = 1 + (later - 1) / std::max(1, work.audit_every);
    estimate.later.fp64 += 2.0 * one * audits / later;
  }
  // Held-out samples: a forward solve, half of both, from nothing.
  if (work.test_samples > 0) {
    const double one_test =
        one * static_cast<double>(work.test_samples) / z.n * solves.cold_with_change / 2.0;
    of(estimate.first, work.precision) += one_test;
    of(estimate.later, work.precision) += one_test / std::max(1, work.test_every);
  }
  if (work.epochs > 0) estimate.all = estimate.first;
  estimate.all += times(estimate.later, later);

  // Four m x n symmetric products and one d x n, and two sets of eigenvalues, whose (4/3) n^3
  // operations run at about a quarter of a product's speed.
  estimate.grams = z.grams;
  estimate.gram.fp64 = (4.0 * z.m + z.d) * z.n * z.n + 4.0 * 2.0 * 4.0 / 3.0 * z.n * z.n * z.n;
  estimate.gram_bytes = 16.0 * masters(z) + 6.0 * z.m * z.n * z.real;
  if (z.steps > 1.0) {  // all samples at the same weights
    of(estimate.gram, work.precision) += solves.later * one;
    of(estimate.gram, real) += update * one;
    estimate.gram_bytes += solves.later * sweep_bytes + around;
  }
  return estimate;
}

std::vector<Share> estimate_disk(const Workload& work) {
  const Sizes z(work);
  constexpr double header = 128.0;  // of an .npy file
  std::vector<Share> disk;
  // A record of an epoch is about 230 bytes, of a Gram 300; the log has a line for each.
  disk.push_back({"metrics, log", 4e3 + 350.0 * work.epochs + 400.0 * z.grams});
  if (z.grams > 0)
    disk.push_back({"gram/", z.grams * (header + float64_bytes * z.n) +
                                 4.0 * (header + float64_bytes * z.n * z.n)});
  disk.push_back({"weights.npz", 1e3 + z.real * z.m * (z.m + z.d + 2.0)});
  if (work.checkpoints > 0) {
    // change, W, u, v and the states of both solves. A new one is there before an old one goes.
    const double one =
        z.real * (z.m * z.m + z.m * (z.d + 2.0) + (z.is_mixed ? 11.0 : 9.0) * z.m * z.c);
    disk.push_back({"checkpoints", one * (work.checkpoints + 1.0)});
  }
  return disk;
}

TimeEstimate estimate_time(const Workload& work, const WorkEstimate& operations,
                           const Speed& speed) {
  const auto seconds = [&](const Operations& count, double bytes) {
    const auto part = [](double amount, double rate) { return rate > 0.0 ? amount / rate : 0.0; };
    return part(count.fp64, speed.fp64) + part(count.fp32, speed.fp32) +
           part(count.int8, speed.int8) + part(bytes, speed.bytes);
  };
  TimeEstimate time;
  time.first = seconds(operations.first, operations.first_bytes);
  time.later = seconds(operations.later, operations.later_bytes);
  time.gram = seconds(operations.gram, operations.gram_bytes);
  // Grams run beside the epochs, on the same cores.
  const int later = std::max(0, work.epochs - 1);
  time.all =
      (work.epochs > 0 ? time.first : 0.0) + later * time.later + operations.grams * time.gram;
  return time;
}

}  // namespace widedeq
