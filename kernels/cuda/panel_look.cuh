// The end of a Gauss-Seidel sweep: columns are looked at one by one, then all together.
//
//   missing = sum ||d||^2, applied = sum ||Zhat||^2 over the tiles of a column
//   residual = ||d|| / ||Zhat||     stop, if nothing is pending and the residual is small enough
//   close, if it is expected to be: residual * fall <= tolerance
//
// look_at_columns() has a warp a column, which also brings pending up to date; look_at_all() is one
// block that adds up what the columns have reported, in a fixed order, and writes the progress.
#pragma once

#include "kernels/cuda/loop.cuh"
#include "kernels/cuda/panel_pass.cuh"

namespace widedeq::cuda {

inline constexpr double usual_fall = 0.4;  // gamma 0.5, before a column has shown its own

/// What has been done before a look.
enum class Before : std::uint8_t {
  starting,  // a measurement with nothing pending; the first increments' norms are recorded
  pausing,   // a measurement with nothing pending
  sweeping,  // a sweep
};

/// What a column says of itself. One that had stopped before says nothing.
struct ColumnReport {
  double residual = 0.0, growth = 0.0;
  std::int32_t was_open = 0, is_open = 0;
  std::int32_t makes = 0;  // the increments multiplied included new ones
  std::int32_t finite = 1;
};

/// What look_at_columns() works on.
template <class Increment>
struct Look {
  const Progress* progress = nullptr;
  std::int32_t* open = nullptr;
  MatrixView<double> pace;
  double* scale = nullptr;
  double* residual = nullptr;
  double* size = nullptr;
  double* first_step = nullptr;
  const TileSums* sums = nullptr;
  Index tiles = 0;
  MatrixView<Increment> pending;
  MatrixView<const Increment> made;  // what pending is to become; empty: it is that already
  ColumnReport* reports = nullptr;
  Before before = Before::sweeping;
  double shrinkage = 0.0;  // as in PanelState
};

/// The sums of the column at `place`, in every lane of a warp.
__device__ inline TileSums sum_tiles(const TileSums* tiles, Index count, Index lane) {
  TileSums mine;
  for (Index t = lane; t < count; t += warp_lanes)
    mine = {mine.missing + tiles[t].missing, mine.applied + tiles[t].applied,
            Larger()(mine.largest, tiles[t].largest)};
  return {warp_reduce(mine.missing, Plus()), warp_reduce(mine.applied, Plus()),
          warp_reduce(mine.largest, Larger())};
}

/// Looks at the open column j at place k: notes its residual, stops it or readies it for its next
/// sweep. One thread.
template <class Increment>
__device__ ColumnReport look_at(const Look<Increment>& look, Index k, Index j,
                                const TileSums& sums) {
  const double tolerance = look.progress->tolerance;
  double* pace = look.pace.column(j);
  ColumnReport report{.was_open = 1};
  if (look.before == Before::sweeping)
    look.scale[j] = choose_scale<Increment>(pace, look.shrinkage);
  report.makes = look.scale[j] > 0.0 ? 1 : 0;
  if (look.before == Before::starting)
    look.first_step[j] = std::sqrt(Larger()(sums.missing, sums.applied));
  if (look.before != Before::sweeping) {
    pace[closing] = 1.0;  // nothing is pending, as after a closing sweep
    pace[last_residual] = 0.0;
    if (pace[fall] == 0.0) pace[fall] = usual_fall;
  }

  const double step = std::sqrt(sums.missing);
  const double size = std::sqrt(sums.applied > 0.0 ? sums.applied : sums.missing);
  report.residual = sums.missing == 0.0 ? 0.0 : step / size;
  look.residual[j] = report.residual;
  look.size[j] = std::sqrt(sums.applied);
  if (look.first_step[j] > 0.0) report.growth = step / look.first_step[j];
  report.finite = std::isfinite(sums.missing) && std::isfinite(sums.applied) ? 1 : 0;

  if (pace[last_residual] > 0.0) {
    const double ratio = report.residual / pace[last_residual];
    pace[fall] = ratio < 0.9 ? Larger()(ratio, 0.1) : 0.9;  // for no number too
  }
  const bool nothing_pending = pace[closing] != 0.0;
  if (nothing_pending && sums.missing <= tolerance * tolerance * sums.applied) {
    mark_stopped(look.open, k);
    return report;
  }
  pace[closing] = !nothing_pending && report.residual * pace[fall] <= tolerance ? 1.0 : 0.0;
  pace[last_residual] = nothing_pending ? 0.0 : report.residual;
  pace[largest_entry] = sums.largest;
  report.is_open = 1;
  return report;
}

/// A warp a place.
template <class Increment>
__global__ __launch_bounds__(block_threads) void look_at_columns(Look<Increment> look) {
  constexpr Index warps = block_threads / warp_lanes;
  const Index k = static_cast<Index>(blockIdx.x) * warps + threadIdx.x / warp_lanes;
  const Index lane = threadIdx.x % warp_lanes;
  if (look.progress->running == 0 || k >= look.progress->places) return;
  const std::int32_t column = look.open[k];
  if (has_stopped(column)) {
    if (lane == 0) look.reports[k] = {};
    return;
  }
  const TileSums sums = sum_tiles(look.sums + k * look.tiles, look.tiles, lane);
  if (lane == 0) look.reports[k] = look_at(look, k, column, sums);

  // What is pending now: nothing, or what the sweep has made, if it has not been put there.
  const bool clears = look.before != Before::sweeping;
  if (!clears && look.made.data == nullptr) return;
  constexpr Index width = 16 / sizeof(Increment);
  Increment* to = look.pending.column(k);
  const Increment* from = clears ? nullptr : look.made.column(k);
  const Index m = look.pending.rows;
  const bool packed = reinterpret_cast<std::uintptr_t>(to) % 16 == 0 &&
                      reinterpret_cast<std::uintptr_t>(from) % 16 == 0;
  const Index whole = packed ? m / width * width : 0;
  for (Index i = lane * width; i < whole; i += warp_lanes * width)
    store(to + i, clears ? Pack<Increment, width>{} : load<width>(from + i));
  for (Index i = whole + lane; i < m; i += warp_lanes)
    to[i] = clears ? Increment(0) : from[i];
}

/// scale = that of the increments just made, where no look follows.
template <class Increment>
__global__ void keep_scales(const Progress* progress, const std::int32_t* open,
                            MatrixView<const double> pace, double* scale, double shrinkage) {
  if (progress->running == 0) return;
  const Index threads = static_cast<Index>(gridDim.x) * blockDim.x;
  for (Index k = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x; k < progress->places;
       k += threads)
    if (!has_stopped(open[k]))
      scale[open[k]] = choose_scale<Increment>(pace.column(open[k]), shrinkage);
}

/// What operations are counted by: whether columns have been multiplied with older increments and
/// with newer ones. Only a measurement multiplies nothing; all else is a sweep.
struct Multiplied {
  bool older = false, newer = false;
};

inline constexpr int look_threads = 512;

struct AddReports {
  __device__ ColumnReport operator()(const ColumnReport& a, const ColumnReport& b) const {
    return {.residual = Larger()(a.residual, b.residual),
            .growth = Larger()(a.growth, b.growth),
            .was_open = a.was_open + b.was_open,
            .is_open = a.is_open + b.is_open,
            .makes = a.makes + b.makes,
            .finite = a.finite & b.finite};
  }
};

/// One block of look_threads: adds up the reports and writes the progress.
template <int threads = look_threads>
__global__ __launch_bounds__(threads) void look_at_all(Progress* progress,
                                                       const ColumnReport* reports,
                                                       Multiplied multiplied, Repeat repeat) {
  if (progress->running != 0) {
    constexpr AddReports add;
    ColumnReport all;
    for (std::int32_t k = static_cast<std::int32_t>(threadIdx.x); k < progress->places;
         k += threads)
      all = add(all, reports[k]);
    all = block_reduce<threads>(all, add);
    if (threadIdx.x == 0) {
      progress->open = all.is_open;
      if (multiplied.newer) ++progress->sweeps;
      progress->finite = all.finite;
      progress->worst_residual = all.residual;
      if (!multiplied.newer) progress->first_residual = all.residual;
      progress->worst_growth = all.growth;
      if (multiplied.older) progress->columns += all.was_open;
      if (multiplied.newer) progress->newer_columns += all.makes;
      progress->running =
          all.is_open > 0 && all.finite != 0 && progress->sweeps < progress->most &&
                  !is_hopeless(progress->sweeps, progress->worst_growth, progress->hopeless_growth)
              ? 1
              : 0;
    }
  }
  if (threadIdx.x == 0) repeat_sweep(repeat, *progress);
}

}  // namespace widedeq::cuda
