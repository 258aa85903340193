// The pass over every entry of the open columns, a block of threads a column:
//
//   P += factor product      d = f(P) - Zhat      ||d||, ||Zhat||, max |d|
//   stop, or:  q = round(d / c), c from max |d|      Zhat += c q      pending = q
//
// The norms must be complete before the first increment, so a column is gone through twice. What
// the second time needs, d and Zhat, a thread keeps in registers where the column is short enough;
// for longer ones it is read again, most likely from the L2 cache: 8 bytes an entry beside 21
// (mixed, no mask). What that costs has not been measured on a GPU yet.
#pragma once

#include <cmath>

#include "kernels/cuda/algorithm.hpp"
#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/open_columns.hpp"
#include "kernels/cuda/progress.hpp"
#include "kernels/gained.hpp"

namespace widedeq::cuda {

/// What a pass says of the column at a place, for the end of the sweep to add up.
struct ColumnResult {
  double residual;
  double growth;
  std::int32_t open;  // it was open and has not stopped
  std::int32_t finite;
};

/// A pass's arguments. Columns of P, applied and gate are samples, of product and pending places.
template <class Real, class Product, class Increment>
struct Pass {
  const Progress* progress;
  MatrixView<Real> P, applied;
  Gained<Real> gained;
  MatrixView<const Real> gate;        // mask only
  MatrixView<const Product> product;  // op(A) pending; empty: nothing to add to P
  double unit;                        // one unit of it is worth unit * scale
  MatrixView<Increment> pending;
  std::int32_t* open;
  double *scale, *residual, *size, *first_step;
  ColumnResult* results;
  bool starting;  // sets first_step
};

/// ||d||^2, ||Zhat||^2 and max |d|. Squares are taken in double: those of small inputs would
/// underflow in single precision, and the column would pass for converged.
struct ColumnSums {
  double missing, applied, largest;
};

struct AddColumnSums {
  __device__ ColumnSums operator()(const ColumnSums& a, const ColumnSums& b) const {
    return {a.missing + b.missing, a.applied + b.applied,
            a.largest < b.largest ? b.largest : a.largest};
  }
};

/// A few neighbouring entries of d and Zhat.
template <class Real, int width>
struct Entries {
  Pack<Real, width> missing, applied;
};

template <class Real, int width>
__device__ void add_to(ColumnSums& sums, const Entries<Real, width>& entries) {
  Real largest = 0;
  for (int e = 0; e < width; ++e) {
    const auto d = static_cast<double>(entries.missing[e]);
    const auto z = static_cast<double>(entries.applied[e]);
    sums.missing += d * d;
    sums.applied += z * z;
    const Real size = std::abs(entries.missing[e]);
    largest = largest < size ? size : largest;
  }
  const auto wide = static_cast<double>(largest);
  sums.largest = sums.largest < wide ? wide : sums.largest;
}

/// One column in one block's hands.
template <Epilogue epilogue, class Real, class Product>
struct Column {
  Real* P;
  Real* applied;
  const Real* gate;
  const Product* product;
  Real factor;
  Real *gained_P, *gained_Z;  // null: not noted

  /// Rows i ... of d, from P as it stands. `adding` the product to it first.
  template <bool adding, int width>
  __device__ Entries<Real, width> missing(Index i, Rows<width>) const {
    Pack<Real, width> pre = load<width>(P + i);
    if (adding && product != nullptr) {
      const Pack<Product, width> sums = load<width>(product + i);
      for (int e = 0; e < width; ++e)
        pre[e] += factor * static_cast<Real>(sums[e]);
      store(P + i, pre);
      if (gained_P != nullptr) {
        Pack<Real, width> gained = load<width>(gained_P + i);
        for (int e = 0; e < width; ++e)
          gained[e] += factor * static_cast<Real>(sums[e]);
        store(gained_P + i, gained);
      }
    }
    Pack<Real, width> open{};
    if constexpr (epilogue == Epilogue::mask) open = load<width>(gate + i);
    Entries<Real, width> entries;
    entries.applied = load<width>(applied + i);
    for (int e = 0; e < width; ++e)
      entries.missing[e] = activate<epilogue>(pre[e], open[e]) - entries.applied[e];
    return entries;
  }
};

/// Zhat += scale q and pending = q = round(d / scale), for the entries at `applied` and `pending`;
/// and what Zhat gains, unless it is null.
template <class Real, int width, class Increment>
__device__ void add_increment(Real* applied, Increment* pending, Real* gained,
                              Entries<Real, width> entries, Real scale) {
  Pack<Increment, width> increment;
  if constexpr (std::is_same_v<Increment, std::int8_t>) {
    const Real inverse = Real(1) / scale;
    for (int e = 0; e < width; ++e) {
      const Real q = int8_round(entries.missing[e], inverse);
      entries.applied[e] += scale * q;
      increment[e] = static_cast<Increment>(q);
    }
  } else {
    for (int e = 0; e < width; ++e)
      entries.applied[e] += entries.missing[e];
    increment = entries.missing;
  }
  store(applied, entries.applied);
  store(pending, increment);
  if (gained == nullptr) return;
  Pack<Real, width> sum = load<width>(gained);
  for (int e = 0; e < width; ++e)
    sum[e] += scale * static_cast<Real>(increment[e]);
  store(gained, sum);
}

/// The value of one unit of an increment whose largest entry is `largest`.
template <class Increment, class Real>
__device__ Real unit_of_increment([[maybe_unused]] double largest) {
  if constexpr (std::is_same_v<Increment, std::int8_t>) {
    return int8_scale(static_cast<float>(largest));
  } else {
    return Real(1);
  }
}

/// body(0), body(1), ... as straight code, the numbers known to the compiler, so that arrays
/// indexed by them can live in registers.
template <int count, class Body>
__device__ void unrolled(Body body) {
  if constexpr (count > 0) {
    unrolled<count - 1>(body);
    body(std::integral_constant<int, count - 1>());
  }
}

/// Writes down what is known of column j at place k. One thread's work.
template <class AnyPass>
__device__ void note(const AnyPass& pass, Index k, Index j, const ColumnSums& sums, bool stops) {
  const double step = std::sqrt(sums.missing), applied = std::sqrt(sums.applied);
  if (pass.starting)
    pass.first_step[j] = step < applied ? applied : step;  // a warm start's step is small
  // With Zhat = 0 there is nothing to be relative to but the step itself.
  const double size = sums.applied > 0.0 ? applied : step;
  const double residual = sums.missing == 0.0 ? 0.0 : step / size;
  const double first_step = pass.first_step[j];
  pass.residual[j] = residual;
  pass.size[j] = applied;
  pass.results[k] = {.residual = residual,
                     .growth = first_step > 0.0 ? step / first_step : 0.0,
                     .open = stops ? 0 : 1,
                     .finite = std::isfinite(sums.missing) && std::isfinite(sums.applied) ? 1 : 0};
  if (stops) mark_stopped(pass.open, k);
}

/// The pass, `width` rows a thread at once. (Two blocks a multiprocessor where nothing is kept, or
/// the compiler saves registers for more of them and spills.) `held`: such packs of the column that
/// a thread keeps, with held * width * threads >= m and m a multiple of width; 0: it reads them
/// again. `notes`: columns may note what they gain, which takes registers.
template <Epilogue epilogue, bool notes, int threads, int width, int held, class Real,
          class Product, class Increment>
__global__ void __launch_bounds__(threads, held == 0 ? 2 : 0)
    column_pass(Pass<Real, Product, Increment> pass) {
  const Progress& progress = *pass.progress;
  const Index k = blockIdx.x;
  if (progress.running == 0 || k >= progress.places) return;
  const Index j = pass.open[k];
  if (has_stopped(pass.open[k])) {
    if (threadIdx.x == 0)
      pass.results[k] = {.residual = 0.0, .growth = 0.0, .open = 0, .finite = 1};
    return;
  }
  const Index m = pass.P.rows;
  const Column<epilogue, Real, Product> column{
      pass.P.column(j),
      pass.applied.column(j),
      epilogue == Epilogue::mask ? pass.gate.column(j) : nullptr,
      pass.product.data == nullptr ? nullptr : pass.product.column(k),
      static_cast<Real>(pass.unit * pass.scale[j]),
      notes ? pass.gained.of_P(j) : nullptr,
      notes ? pass.gained.of_Z(j) : nullptr};
  const auto gained_Z = [&](Index i) {
    return column.gained_Z == nullptr ? nullptr : column.gained_Z + i;
  };
  Increment* pending = pass.pending.column(k);
  const auto row_of = [](int pack) {
    return (static_cast<Index>(pack) * threads + threadIdx.x) * width;
  };

  ColumnSums sums{0.0, 0.0, 0.0};
  Entries<Real, width> kept[held > 0 ? held : 1];
  if constexpr (held > 0) {
    unrolled<held>([&](auto pack) {
      const Index i = row_of(pack);
      kept[pack] = i < m ? column.template missing<true>(i, Rows<width>()) : Entries<Real, width>{};
      add_to(sums, kept[pack]);
    });
  } else {
    for_rows<width>(
        m, [&](Index i, auto rows) { add_to(sums, column.template missing<true>(i, rows)); });
  }
  sums = block_reduce<threads>(sums, AddColumnSums());

  const bool stops = sums.missing <= progress.tolerance * progress.tolerance * sums.applied;
  const bool goes_on = !stops && std::isfinite(sums.missing);
  const Real scale = unit_of_increment<Increment, Real>(sums.largest);
  if (goes_on) {
    if constexpr (held > 0) {
      unrolled<held>([&](auto pack) {
        const Index i = row_of(pack);
        if (i < m) add_increment(column.applied + i, pending + i, gained_Z(i), kept[pack], scale);
      });
    } else {
      for_rows<width>(m, [&](Index i, auto rows) {
        add_increment(column.applied + i, pending + i, gained_Z(i),
                      column.template missing<false>(i, rows), scale);
      });
    }
  }
  // Last: its square roots and quotients want registers too.
  if (threadIdx.x != 0) return;
  note(pass, k, j, sums, stops);
  if (goes_on) pass.scale[j] = static_cast<double>(scale);
}

/// Enqueues the pass for the places 0 .. columns - 1.
template <Epilogue epilogue, class Real, class Product, class Increment>
void launch_pass(cudaStream_t stream, Index columns, const Pass<Real, Product, Increment>& pass) {
  constexpr int width = pack_width<Real>, many = 512;
  const Index m = pass.P.rows;
  const bool notes = pass.gained.P.data != nullptr;
  const auto run = [&]<int threads, int rows, int held>() {
    constexpr int with_notes = held <= 4 ? held : 0;  // beside eight there are no registers left
    launch(stream, {.blocks = dim3(static_cast<unsigned>(columns)), .threads = threads},
           notes ? column_pass<epilogue, true, threads, rows, with_notes, Real, Product, Increment>
                 : column_pass<epilogue, false, threads, rows, held, Real, Product, Increment>,
           pass);
  };
  if (!can_pack(width, pass.P, pass.applied, pass.gate, pass.product, pass.pending, pass.gained.P,
                pass.gained.Z))
    return run.template operator()<many, 1, 0>();
  if (m % width != 0 || m > 8 * width * many) return run.template operator()<many, width, 0>();
  switch (threads_for_column(m, element_of<Real>())) {  // of up to four packs, while they may
    case 64:
    case 128:
      return run.template operator()<128, width, 4>();
    case 256:
      return run.template operator()<256, width, 4>();
    default:
      break;
  }
  if (m <= 4 * width * many) return run.template operator()<many, width, 4>();
  run.template operator()<many, width, 8>();
}

}  // namespace widedeq::cuda
