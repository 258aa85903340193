// Memory and disk; see estimate.hpp. m width, n samples, d inputs, c samples at a time; `real` is
// the bytes of a real. Each formula follows an allocation elsewhere, which its comment names.
#include <algorithm>
#include <cmath>

#include "host/drift.hpp"
#include "host/run/estimate_sizes.hpp"
#include "kernels/devices.hpp"

namespace widedeq {
namespace {

/// The program, its libraries and their buffers. Measured: 21 to 24 MB with two threads.
constexpr double program_bytes = 23e6;

/// The same with CUDA's libraries and the driver. Assumed, not measured.
constexpr double device_program_bytes = 0.5e9;

constexpr double float64_bytes = 8.0;

/// The digits of the plane that a run packs, of A and of A' in the mean: the third ones are asked
/// for by cold solves and by the adjoint of units that have switched. (kernels/cpu/operand.hpp)
constexpr double warm_digits = 2.5;
constexpr double cold_digits = 3.0;

/// Rows converted to double at a time, in Grams and audits. (kernels/cpu/gram.cpp, rebuild.cpp)
constexpr double converted_rows = 256.0;

double rounded_up(double value, double step) {
  return std::ceil(value / step) * step;
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
  const double columns = c * (8.0 * float64_bytes + 16.0);
  return (z.is_mixed ? 3.0 : 2.0) * whole + increments + columns;
}

/// Those of both solves, what their last two have gained and what they owe (host/fixed_point.hpp).
double states(const Sizes& z) {
  const double carried = (z.is_mixed ? 4.0 : 2.0) + 1.0;
  return 2.0 * (sweep_state(z, z.c) + (z.is_warm ? carried * z.m * z.c * z.real : 0.0));
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

/// X, and so many rows of W and of Phi, in double, where W X is added up so.
/// (kernels/cpu/readout.cpp, cuda/readout.cu)
double injection_in_double(const Sizes& z, const Workload& work, double rows) {
  if (injection_sums(work.inputs, work.precision, work.tolerance) == Sums::native) return 0.0;
  return float64_bytes * (z.d * z.c + std::min(rows, z.m) * (z.d + z.c));
}

/// Points and slopes of all weights: those of odeint's stepper and control, and ours.
/// (host/gradient_flow.cpp)
double flows(const Sizes& z, const Workload& work) {
  constexpr double sets = 11.0;  // two points, two slopes; k2 to k6, a stage, the error
  return work.is_flow && work.epochs > 0 ? sets * z.real * z.m * (z.m + z.d + 2.0) : 0.0;
}

/// The backend's one growing buffer: the largest that a stage asks for. (kernels/cpu/workspace.hpp)
double workspace(const Sizes& z, int panels) {
  const double update = std::min(1024.0, z.m) * (z.m + z.c) * z.real;   // rank_update
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

/// Rebuilding P in double. (kernels/cpu/rebuild.cpp)
double audit(const Sizes& z) {
  if (!z.is_warm) return 0.0;
  const double rows = std::min(converted_rows, z.m);
  return float64_bytes * (z.m * z.n + rows * (z.m + z.n) + z.factors * (2.0 * z.m + z.n));
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

/// The arrays of a weights file as they are read. (host/run/weights_file.cpp)
double weights_file(const Workload& work, const Sizes& z) {
  return work.weights == WeightSource::file ? float64_bytes * z.m * (z.m + z.d + 2.0) : 0.0;
}

/// A in double, and W twice; the last Gram, twice. (host/run/weights_file.cpp)
double saved_weights(const Sizes& z) {
  return float64_bytes * z.m * (z.m + 2.0 * z.d + 2.0) +
         (z.grams > 0 ? 2.0 * float64_bytes * z.n * z.n : 0.0);
}

/// Adds what there is any of.
void add(std::vector<Share>& shares, const char* name, double bytes) {
  if (bytes > 0.0) shares.push_back({name, bytes});
}

MemoryEstimate on_host(const Workload& work, const Sizes& z) {
  MemoryEstimate memory;
  add(memory.training, "weights", masters(z));
  add(memory.training, "weights, packed for products", packed_base(z) + packed_plane(z));
  add(memory.training, "states", states(z));
  add(memory.training, "data, injection, gradients", trainers(z));
  add(memory.training, "held-out samples", held_out(work, z));
  add(memory.training, "Gram", gram_memory(z) + norm_estimate(z));
  add(memory.training, "stages of the flow", flows(z, work));
  add(memory.training, "scratch", workspace(z, panels_of(work, z)));
  add(memory.training, "audit", audit(z));
  add(memory.training, "injection in double", injection_in_double(z, work, 512.0));
  add(memory.training, "program", program_bytes);

  // The data in double while everything is made; a weights file's arrays go when the model is done.
  Sizes before = z;
  before.has_change = work.weights != WeightSource::lattice;
  before.factors = 0.0;
  const double model = masters(before) + packed_base(z);
  const double rest = states(z) + trainers(z) + 3.0 * z.m * z.n * z.real * (z.grams > 0 ? 1 : 0);
  memory.loading =
      program_bytes + float64_bytes * z.d * z.n + model + std::max(rest, weights_file(work, z));
  // Beside the masters; the rest has been freed.
  memory.saving = program_bytes + masters(z) + saved_weights(z);
  return memory;
}

MemoryEstimate with_device(const Workload& work, const Sizes& z) {
  const auto chunk = static_cast<Index>(z.c);
  const bool is_lattice = work.weights == WeightSource::lattice && work.epochs == 0;
  const DeviceMemory there = device_memory(work.precision, work.width, chunk, !is_lattice);
  MemoryEstimate memory;
  add(memory.device, "weights", there.weights + z.m * (z.d + 2.0) * z.real);
  add(memory.device, "states", there.states);
  add(memory.device, "data, gradients",
      z.real * (z.d * z.n + z.m * (z.d + 2.0) + (z.is_chunked ? z.m * z.m : 0.0)));
  add(memory.device, "held-out samples", held_out(work, z));
  if (z.grams > 0)
    add(memory.device, "Gram", device_memory(work.precision, work.width, work.samples).grams);
  add(memory.device, "stages of the flow", flows(z, work));
  add(memory.device, "scratch", there.scratch);
  add(memory.device, "injection in double", injection_in_double(z, work, 4096.0));
  add(memory.device, "libraries", there.libraries);

  // The Gram's matrices here, and the four that arrive, in pinned memory. (kernels/cuda/gram.cu)
  add(memory.training, "Gram",
      z.grams > 0 ? 12.0 * float64_bytes * z.n * z.n + norm_estimate(z) : 0.0);
  add(memory.training, "program and libraries", device_program_bytes);
  memory.loading = device_program_bytes + float64_bytes * z.d * z.n + weights_file(work, z);
  memory.saving = device_program_bytes + saved_weights(z);
  return memory;
}

}  // namespace

double MemoryEstimate::peak() const {
  return std::max({total(training), loading, saving});
}

MemoryEstimate estimate_memory(const Workload& work, bool on_device) {
  const Sizes z(work);
  return on_device ? with_device(work, z) : on_host(work, z);
}

double total(const std::vector<Share>& shares) {
  double sum = 0.0;
  for (const Share& share : shares)
    sum += share.bytes;
  return sum;
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
    // change, W, u, v and what both solves leave. A new one is there before an old one goes.
    const double carried = 2.0 * (z.is_mixed ? 8.0 : 5.0) + 1.0;  // P, Zhat, gains, owed; Phi
    double one = z.real * (z.m * z.m + z.m * (z.d + 2.0) + carried * z.m * z.c);
    // The first kernel twice, for the drift and with its Gram, and the last one.
    if (z.grams > 0) one += 3.0 * float64_bytes * z.n * z.n;
    disk.push_back({"checkpoints", one * (work.checkpoints + 1.0)});
  }
  return disk;
}

}  // namespace widedeq
