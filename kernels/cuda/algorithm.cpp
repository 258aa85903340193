// Counting tiles and sweeps, see algorithm.hpp, and bytes, see kernels/devices.hpp.
#include "kernels/cuda/algorithm.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "kernels/devices.hpp"
#include "kernels/panels.hpp"

namespace widedeq::cuda {
namespace {

constexpr Index ratio_up(Index a, Index b) {
  return (a + b - 1) / b;
}

/// Sweeps to the tolerance with 1 to 8 panels, at gamma 0.5 and 1e-6: 16, 13, 12 and 11 with 1, 2,
/// 4 and 8 (kernels/panels.hpp), what is between them on straight lines.
constexpr std::array<double, most_row_panels> sweeps_with = {16.0,  13.0, 12.5,  12.0,
                                                             11.75, 11.5, 11.25, 11.0};

int choose_row_panels(Index m, Index n, int multiprocessors) {
  int best = 1;
  double least = 0.0;
  for (int panels = 1; panels <= most_row_panels; ++panels) {
    if (panels > 1 && m < panels * smallest_row_panel) break;
    const double cost = sweeps_with[static_cast<std::size_t>(panels - 1)] *
                        static_cast<double>(waves_of(m, n, panels, multiprocessors));
    if (panels > 1 && cost >= least) continue;
    best = panels;
    least = cost;
  }
  return best;
}

/// How far apart two sizes are, in doublings.
double doublings(Index a, Index b) {
  return std::abs(std::log2(static_cast<double>(a) / static_cast<double>(b)));
}

}  // namespace

// ---- sweeps

std::span<const SweepMeasurement> measured_sweeps() {
  // Commit 02310b3 but for rounds of several sweeps, a sixth of the bench's stage "sweep" without
  // --cold; with it (bench/results/nvidia-h200) the library takes a tenth more.
  static constexpr SweepMeasurement h200[] = {
      {.multiprocessors = 132, .m = 1024, .n = 256, .library = 24.2e-6, .fused = 38.8e-6},
      {.multiprocessors = 132, .m = 2048, .n = 512, .library = 32.0e-6, .fused = 44.8e-6},
      {.multiprocessors = 132, .m = 4096, .n = 64, .library = 27.7e-6, .fused = 52.2e-6},
      {.multiprocessors = 132, .m = 4096, .n = 1000, .library = 73.7e-6, .fused = 143.0e-6},
      {.multiprocessors = 132, .m = 8192, .n = 1024, .library = 173.0e-6, .fused = 377.0e-6},
  };
  return h200;
}

Index waves_of(Index m, Index n, int panels, int multiprocessors) {
  Index waves = 0;
  for (int p = 0; p < panels; ++p) {
    const Index rows = panel_start(m, panels, p + 1) - panel_start(m, panels, p);
    const Index tiles = ratio_up(rows, tile_height) * ratio_up(n, tile_width);
    waves += ratio_up(tiles, std::max(multiprocessors, 1));
  }
  return waves;
}

SweepAlgorithm choose_sweep(Precision precision, Index m, Index n, int multiprocessors,
                            std::span<const SweepMeasurement> table) {
  SweepAlgorithm algorithm{.panels = choose_row_panels(m, n, multiprocessors)};
  if (precision == Precision::mixed && fused_wins(m, n, multiprocessors, table))
    algorithm.multiplier = Multiplier::fused;
  return algorithm;
}

bool fused_wins(Index m, Index n, int multiprocessors, std::span<const SweepMeasurement> table) {
  constexpr double farthest = 1.0;  // doublings
  bool wins = false;
  double nearest = 2.0 * farthest;
  if (m < 1 || n < 1) return false;
  for (const SweepMeasurement& measured : table) {
    if (measured.multiprocessors != multiprocessors) continue;
    const double in_m = doublings(m, measured.m), in_n = doublings(n, measured.n);
    if (in_m > farthest || in_n > farthest || in_m + in_n > nearest) continue;
    nearest = in_m + in_n;
    wins = measured.fused < measured.library;
  }
  return wins;
}

std::optional<Multiplier> multiplier_named(std::string_view text) {
  if (text.empty() || text == "auto") return std::nullopt;
  if (text == "library") return Multiplier::library;
  if (text == "fused") return Multiplier::fused;
  throw Unsupported("WIDEDEQ_CUDA_SWEEP=" + std::string(text) +
                    ": it can be library, fused or auto");
}

// ---- columns

std::vector<Index> column_classes(Index n) {
  constexpr Index step = 16;  // of int8 products, product_step of context.hpp
  std::vector<Index> classes;
  for (const Index quarters : {4, 3, 2, 1}) {
    const Index columns = std::min(n, ratio_up(ratio_up(n * quarters, 4), step) * step);
    const Index last = classes.empty() ? n + 1 : classes.back();
    if (columns > 0 && columns < last) classes.push_back(columns);
  }
  return classes;
}

// ---- passes over the entries of a column

int threads_for_column(Index m, Element real) {
  constexpr int fewest = 64, most = 512;
  constexpr Index turns = 4;
  const auto values = static_cast<Index>(16 / size_of(real));
  int threads = fewest;
  while (threads < most && threads * values * turns < m)
    threads *= 2;
  return threads;
}

}  // namespace widedeq::cuda

// ---- memory
//
// Bytes for each of m^2 entries, in mixed precision:
//
//   base of the masters 1, base of the operand's own 1, both ways round for the products 2,
//   change 4, three digits of the plane both ways round 6
//
// of which weights drawn from the lattice and never trained have the first and the third. In fp64
// and fp32: base 1, change and dense copy a real each.
//
// Bytes for each of m n entries: two states (forward, adjoint) of P and Zhat, in mixed precision
// what was settled, and the increments; Phi; training adds B, what both have gained in the last two
// solves, P and in mixed precision Zhat, what both owe, and what rebuilding starts from; Grams
// their copies of Z, L and Phi. Scratch memory: two products, increments being packed; as reals the
// difference that is settled, in mixed precision, or the n x n Gram that P follows an update by,
// whichever is larger; in mixed precision the digits of an update, three of each factor, of A, of P
// or of the Gram that P follows by.
//
// Factors in mixed precision: two matrices of up to 6.4 sqrt(m) columns (host/update_cost.hpp),
// and their digits when they are folded into A.
//
// Grams: six n x n matrices in double. W, the readouts and single columns are left out.

namespace widedeq {
namespace {

/// Pieces in which updates, Grams and rebuilding go (256 MiB at most, each), workspaces of the
/// libraries, the driver's own memory and the kernels' code. Assumed, not measured.
constexpr double fixed_bytes = 1.5 * 0x1p30;

double bytes_a_weight(Precision precision, bool training) {
  if (precision == Precision::mixed) return training ? 14.0 : 3.0;
  const auto real = static_cast<double>(size_of(real_of(precision)));
  return 1.0 + (training ? 2.0 : 1.0) * real;
}

}  // namespace

DeviceMemory device_memory(Precision precision, Index m, Index n, bool training) {
  const auto width = static_cast<double>(m), samples = static_cast<double>(n);
  const auto real = static_cast<double>(size_of(real_of(precision)));
  const bool mixed = precision == Precision::mixed;
  const double increment = mixed ? 1.0 : real;
  const double factors = training && mixed ? 6.4 * std::sqrt(width) : 0.0;  // columns
  const double digits = 3.0 * std::max({2.0 * width * samples, 2.0 * width * factors,
                                        (width + samples) * samples});  // int8
  const double reals = std::max(mixed ? width * samples : 0.0, samples * samples);

  DeviceMemory memory;
  memory.weights = (bytes_a_weight(precision, training) * width + 2.0 * real * factors) * width;
  memory.states = (2.0 * ((mixed ? 3.0 : 2.0) * real + increment) + real) * width * samples;
  if (training) {
    memory.states += (mixed ? 12.0 : 8.0) * real * width * samples;
    memory.grams = 3.0 * real * width * samples + 6.0 * 8.0 * samples * samples;
  }
  memory.scratch = (2.0 * real + increment) * width * samples + real * reals;
  if (mixed) memory.scratch += digits;
  memory.libraries = fixed_bytes;
  return memory;
}

Index widest_width(double memory, Index n, Precision precision, bool training) {
  constexpr Index no_limit = Index{1} << 24;
  Index fits = 0;
  Index too_wide = (precision == Precision::mixed ? widest_exact : no_limit) + 1;
  while (too_wide - fits > 1) {
    const Index middle = fits + (too_wide - fits) / 2;
    (device_memory(precision, middle, n, training).total() <= memory ? fits : too_wide) = middle;
  }
  return fits;
}

}  // namespace widedeq
