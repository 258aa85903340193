// What a Gauss-Seidel sweep does to the entries of a row panel, once their products are there: the
// twin of cpu/panel_rows.hpp.
//
//   P += unit_new newer + unit_old older     d = f(P) - Zhat     q = round(d)     Zhat += q
//
// A warp takes 128 rows of one column, a tile, four neighbouring rows a thread. The sums over a
// tile's entries are made in the same order wherever the products come from, and so is every entry:
// the library's products with panel_pass() and the fused kernel (fused_sweep.cuh) give the same
// bits. Multiply-adds are spelled out for that reason; a compiler may contract one or the other.
//
// On an H200 a panel of 4096 x 1024 takes 29 us for 105 MB. (Four tiles a warp, one after another,
// to save what each warp finds out of its column: 34 us, for that takes 48 registers instead
// of 32.)
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/open_columns.hpp"
#include "kernels/cuda/pack.hpp"
#include "kernels/cuda/progress.hpp"
#include "kernels/element.hpp"
#include "kernels/gained.hpp"

namespace widedeq::cuda {

/// The rows of SweepState::pace, as on the CPU (cpu/gauss_seidel.cpp): a column's last residual or
/// 0, the factor by which it falls, its largest missing entry, and whether it is closing.
enum Pace : Index { last_residual, fall, largest_entry, closing };

inline constexpr int warp_lanes = 32;
inline constexpr int rows_a_thread = 4;
inline constexpr int tile_rows = warp_lanes * rows_a_thread;

constexpr Index tiles_of(Index rows) {
  return (rows + tile_rows - 1) / tile_rows;
}

/// What is summed up over a tile of a column.
struct TileSums {
  double missing = 0.0;  // ||d||^2
  double applied = 0.0;  // ||Zhat||^2
  double largest = 0.0;  // max |d|
};

/// Rows of a panel, and the number of their first tile among all panels' tiles.
struct PanelRows {
  Index first = 0, count = 0;
  Index tile = 0;
};

/// What an iteration's kernels are about. Column open[k] is at place k.
template <class Real, class Increment>
struct PanelState {
  const Progress* progress = nullptr;
  const std::int32_t* open = nullptr;
  const double* scale = nullptr;  // of the increments that the last sweep made
  MatrixView<const double> pace;
  MatrixView<Real> P, applied;
  Gained<Real> gained;
  MatrixView<const Real> gate;  // mask only
  MatrixView<Increment> made;   // where new increments go, by places
  TileSums* sums = nullptr;     // place k's begin at k * tiles
  Index tiles = 0;
  bool packed = false;  // columns lie so that a thread's rows may be accessed at once
  double unit = 0.0;    // value in P of one unit of a product with increments of scale 1
  /// What an increment's largest entry is expected to be beside the last one's; 0: increments are
  /// not made, what is missing is measured only.
  double shrinkage = 0.0;
};

/// The scale of a column's next increments; 0: none are made, for it is closing.
template <class Increment>
__device__ inline double choose_scale(const double* pace, double shrinkage) {
  if (shrinkage == 0.0 || pace[closing] != 0.0) return 0.0;
  if constexpr (std::is_same_v<Increment, std::int8_t>) {
    return static_cast<double>(int8_scale(static_cast<float>(shrinkage * pace[largest_entry])));
  } else {
    return 1.0;
  }
}

/// What all entries of a column share.
template <class Real>
struct ColumnTerms {
  Index column = -1;  // negative: stopped
  Real newer_unit = 0, older_unit = 0;
  Real scale = 0, inverse = 0;  // of the increments to make
  bool notes = false;           // what they add
};

template <class Real, class Increment>
__device__ ColumnTerms<Real> terms_of(const PanelState<Real, Increment>& state, Index place) {
  ColumnTerms<Real> terms;
  const std::int32_t column = state.open[place];
  if (has_stopped(column)) return terms;
  const double scale = choose_scale<Increment>(state.pace.column(column), state.shrinkage);
  const bool has_units = std::is_same_v<Increment, std::int8_t>;
  terms.column = column;
  terms.newer_unit = static_cast<Real>(has_units ? state.unit * scale : state.unit);
  terms.older_unit = static_cast<Real>(has_units ? state.unit * state.scale[column] : state.unit);
  terms.scale = static_cast<Real>(scale);
  terms.inverse = scale > 0.0 ? Real(1) / terms.scale : Real(0);
  terms.notes = state.gained.of_P(column) != nullptr;
  return terms;
}

/// The rows of one thread.
template <class T>
struct Rows4 {
  T values[rows_a_thread];

  __device__ T& operator[](int i) { return values[i]; }
  __device__ const T& operator[](int i) const { return values[i]; }
};

/// `count` of four rows from `from` on, zeros for the rest; `packed`: on a 16-byte boundary, or on
/// that of all four.
template <class T>
__device__ Rows4<std::remove_const_t<T>> load_rows(T* from, Index count, bool packed) {
  using Value = std::remove_const_t<T>;
  Rows4<Value> rows;
  if (packed && count >= rows_a_thread) {
    constexpr int width = sizeof(Value) == 8 ? 2 : rows_a_thread;
#pragma unroll
    for (int i = 0; i < rows_a_thread; i += width) {
      const auto part = load<width, Value>(from + i);
#pragma unroll
      for (int j = 0; j < width; ++j)
        rows[i + j] = part[j];
    }
  } else {
#pragma unroll
    for (int i = 0; i < rows_a_thread; ++i)
      rows[i] = i < count ? from[i] : Value(0);
  }
  return rows;
}

template <class T>
__device__ void store_rows(T* to, const Rows4<T>& rows, Index count, bool packed) {
  if (packed && count >= rows_a_thread) {
    constexpr int width = sizeof(T) == 8 ? 2 : rows_a_thread;
#pragma unroll
    for (int i = 0; i < rows_a_thread; i += width) {
      Pack<T, width> part;
#pragma unroll
      for (int j = 0; j < width; ++j)
        part[j] = rows[i + j];
      store(to + i, part);
    }
  } else {
#pragma unroll
    for (int i = 0; i < rows_a_thread; ++i)
      if (i < count) to[i] = rows[i];
  }
}

/// A thread's rows of P, Zhat, the gate and what P gains.
template <class Real>
struct Entries {
  Rows4<Real> P, applied, gate, gained;
};

/// Those of a column from `row` on, `count` at most. `can_note`: here and below, false where no
/// column notes what it gains, which saves registers.
template <Epilogue epilogue, bool can_note, class Real, class Increment>
__device__ Entries<Real> load_entries(const PanelState<Real, Increment>& state,
                                      const ColumnTerms<Real>& terms, Index row, Index count) {
  const Index column = terms.column;
  Entries<Real> entries;
  entries.P = load_rows(state.P.column(column) + row, count, state.packed);
  entries.applied = load_rows(state.applied.column(column) + row, count, state.packed);
  if constexpr (epilogue == Epilogue::mask) {
    entries.gate = load_rows(state.gate.column(column) + row, count, state.packed);
  } else {
    entries.gate = {};
  }
  entries.gained = {};
  if (can_note && terms.notes)
    entries.gained = load_rows(state.gained.P.column(column) + row, count, state.packed);
  return entries;
}

/// P += newer_unit newer + older_unit older, and so does what it gains. Both products at once, so
/// that P is rounded once; zeros for one that is not there.
template <bool can_note, class Real, class Product>
__device__ void add_products(Entries<Real>& entries, const ColumnTerms<Real>& terms,
                             const Rows4<Product>& newer, const Rows4<Product>& older) {
#pragma unroll
  for (int i = 0; i < rows_a_thread; ++i) {
    const Real sum = std::fma(terms.older_unit, static_cast<Real>(older[i]),
                              terms.newer_unit * static_cast<Real>(newer[i]));
    entries.P[i] += sum;
    if constexpr (can_note) entries.gained[i] += sum;
  }
}

/// Zhat's gain += scale made, for a thread's rows.
template <class Real, class Increment>
__device__ void note_increments(Real* gained, Real scale, const Rows4<Increment>& made, Index count,
                                bool packed) {
  Rows4<Real> rows = load_rows(gained, count, packed);
#pragma unroll
  for (int i = 0; i < rows_a_thread; ++i)
    rows[i] = std::fma(scale, static_cast<Real>(made[i]), rows[i]);
  store_rows(gained, rows, count, packed);
}

/// What a thread's four rows add to a tile's sums. Rows that are not there are zero and add
/// nothing.
template <class Real>
struct ThreadSums {
  double missing = 0.0, applied = 0.0;
  Real largest = 0;
};

/// Measures what is missing in `entries`, rounds it to `made`, and adds that to Zhat. P is up to
/// date.
template <Epilogue epilogue, class Real, class Increment>
__device__ ThreadSums<Real> make_increments(const ColumnTerms<Real>& terms, Entries<Real>& entries,
                                            Rows4<Increment>& made) {
  ThreadSums<Real> sums;
#pragma unroll
  for (int i = 0; i < rows_a_thread; ++i) {
    const Real d = activate<epilogue>(entries.P[i], entries.gate[i]) - entries.applied[i];
    const Real size = std::abs(d);
    sums.largest = size > sums.largest ? size : sums.largest;
    const auto missing = static_cast<double>(d), applied = static_cast<double>(entries.applied[i]);
    sums.missing = std::fma(missing, missing, sums.missing);
    sums.applied = std::fma(applied, applied, sums.applied);
    if constexpr (std::is_same_v<Increment, std::int8_t>) {
      const Real q = int8_digit(d, terms.inverse);
      entries.applied[i] = std::fma(terms.scale, q, entries.applied[i]);
      made[i] = static_cast<Increment>(q);
    } else {
      made[i] = terms.scale > Real(0) ? d : Real(0);
      entries.applied[i] += made[i];
    }
  }
  return sums;
}

struct Larger {
  template <class T>
  WIDEDEQ_HOST_DEVICE T operator()(T a, T b) const {
    return a < b ? b : a;
  }
};
struct Plus {
  template <class T>
  WIDEDEQ_HOST_DEVICE T operator()(T a, T b) const {
    return a + b;
  }
};

/// A warp finishes a tile of a column: the entries of this thread's rows, P being up to date, are
/// measured, made into increments and stored, and the tile's sums too. `row` is the thread's first
/// row, `count` how many of the panel there are from it on (0 or less: none).
template <Epilogue epilogue, bool can_note, class Real, class Increment>
__device__ void finish_tile(const PanelState<Real, Increment>& state,
                            const ColumnTerms<Real>& terms, Entries<Real>& entries, Index place,
                            Index tile, Index row, Index count) {
  Rows4<Increment> made;
  const ThreadSums<Real> mine = make_increments<epilogue>(terms, entries, made);
  store_rows(state.P.column(terms.column) + row, entries.P, count, state.packed);
  if (terms.scale > Real(0))
    store_rows(state.applied.column(terms.column) + row, entries.applied, count, state.packed);
  if (state.shrinkage != 0.0) store_rows(state.made.column(place) + row, made, count, state.packed);
  if (can_note && terms.notes) {
    store_rows(state.gained.P.column(terms.column) + row, entries.gained, count, state.packed);
    if (state.gained.Z.data != nullptr && terms.scale > Real(0))
      note_increments(state.gained.Z.column(terms.column) + row, terms.scale, made, count,
                      state.packed);
  }

  const TileSums sums{warp_reduce(mine.missing, Plus()), warp_reduce(mine.applied, Plus()),
                      static_cast<double>(warp_reduce(mine.largest, Larger()))};
  if (threadIdx.x % warp_lanes == 0) state.sums[place * state.tiles + tile] = sums;
}

/// Place blockIdx.x's rows of a panel, a tile a warp. Either product may be empty: nothing to add.
template <Epilogue epilogue, bool can_note, class Real, class Product, class Increment>
__global__ __launch_bounds__(block_threads) void panel_pass(PanelState<Real, Increment> state,
                                                            PanelRows rows,
                                                            MatrixView<const Product> newer,
                                                            MatrixView<const Product> older) {
  const Index place = blockIdx.x;
  if (state.progress->running == 0 || place >= state.progress->places) return;
  constexpr Index warps = block_threads / warp_lanes;
  const Index tile = static_cast<Index>(blockIdx.y) * warps + threadIdx.x / warp_lanes;
  if (tile >= tiles_of(rows.count)) return;
  const ColumnTerms<Real> terms = terms_of(state, place);
  if (terms.column < 0) return;

  // Row and count of the panel's rows from this thread's first one on.
  const Index offset = tile * tile_rows + threadIdx.x % warp_lanes * rows_a_thread;
  const Index row = rows.first + offset, count = rows.count - offset;
  Entries<Real> entries = load_entries<epilogue, can_note>(state, terms, row, count);
  const auto product = [&](const MatrixView<const Product>& from) {
    return from.data == nullptr ? Rows4<Product>()
                                : load_rows(from.column(place) + offset, count, state.packed);
  };
  add_products<can_note>(entries, terms, product(newer), product(older));
  finish_tile<epilogue, can_note>(state, terms, entries, place, rows.tile + tile, row, count);
}

/// The pass; `notes`: some columns note what they gain.
template <class Real, class Product, class Increment>
auto pass_kernel(Epilogue epilogue, bool notes) {
  const auto at = [&]<Epilogue f>() {
    return notes ? &panel_pass<f, true, Real, Product, Increment>
                 : &panel_pass<f, false, Real, Product, Increment>;
  };
  switch (epilogue) {
    case Epilogue::relu:
      return at.template operator()<Epilogue::relu>();
    case Epilogue::mask:
      return at.template operator()<Epilogue::mask>();
    case Epilogue::none:
      break;
  }
  return at.template operator()<Epilogue::none>();
}

}  // namespace widedeq::cuda
