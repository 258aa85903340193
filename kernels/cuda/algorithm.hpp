// Which way a device goes about work of some size. Plain arithmetic: nothing here needs a device,
// so it is built and tested everywhere.
//
// What is chosen follows from counting, of tiles, bytes and sweeps, and where only a measurement
// can decide (fused_wins) from what was measured on an H200.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/backend.hpp"

namespace widedeq::cuda {

// ---- sweeps

/// Who multiplies in a sweep.
enum class Multiplier : std::uint8_t {
  library,  // cuBLAS or cuBLASLt, then a pass over the entries
  fused,    // our own kernel, product and pass in one launch (int8 only)
};

/// How sweeps of one shape go.
struct SweepAlgorithm {
  int panels = 1;  // row panels; 1: all rows at once
  Multiplier multiplier = Multiplier::library;
  int tile_columns = 0;  // of the fused kernel's tiles, 64 or 128; 0: chosen
};

/// Seconds of a mixed-precision sweep on a device of so many multiprocessors, both ways.
struct SweepMeasurement {
  int multiprocessors = 0;
  Index m = 0, n = 0;
  double library = 0.0, fused = 0.0;
};

/// What has been measured so far: an H200, where the library wins everywhere. Its int8 kernels
/// there use Hopper's own matrix instructions, ours those of compute capability 8.0.
std::span<const SweepMeasurement> measured_sweeps();

/// Tiles of the result that one multiprocessor works on at a time, in products of this size by the
/// library, and limits of row panels.
inline constexpr Index tile_height = 128, tile_width = 256;
inline constexpr int most_row_panels = 8;
inline constexpr Index smallest_row_panel = 1024;  // rows

/// The waves of a sweep: how often in turn every multiprocessor works on a tile. Panels wait for
/// one another, so each begins a wave of its own, and a wave that is not full takes as long as one
/// that is.
Index waves_of(Index m, Index n, int panels, int multiprocessors);

/// The panels and the multiplier for sweeps of width m and n columns. The panels are those that
/// make sweeps times waves least, the fewest of such: the more there are, the fewer sweeps it takes
/// (kernels/panels.hpp) and the more waves are left unfilled. Where all tiles fit one wave that is
/// one panel.
SweepAlgorithm choose_sweep(Precision precision, Index m, Index n, int multiprocessors,
                            std::span<const SweepMeasurement> table = measured_sweeps());

/// Whether the measurement nearest to (m, n), within a factor of two in each and from a device of
/// as many multiprocessors, has the fused kernel faster than the library. False where there is
/// none.
bool fused_wins(Index m, Index n, int multiprocessors, std::span<const SweepMeasurement> table);

/// What WIDEDEQ_CUDA_SWEEP asks for: "library", "fused", and nothing for "auto" or an empty text.
/// Throws Unsupported for anything else.
std::optional<Multiplier> multiplier_named(std::string_view text);

// ---- columns

/// The size classes an iteration on n columns goes through as columns stop: n, 3/4 n, n/2 and n/4,
/// rounded up to steps of integer products but not beyond n; each once, falling. None for n = 0.
std::vector<Index> column_classes(Index n);

// ---- passes over the entries of a column

/// Threads of the block that takes a column: as many as leave each up to four times the 16 bytes of
/// reals that it takes at once, between two warps and sixteen. More threads would wait for the
/// block's sums with nothing to do, fewer would leave memory idle.
int threads_for_column(Index m, Element real);

}  // namespace widedeq::cuda
