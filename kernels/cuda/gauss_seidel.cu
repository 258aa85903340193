// Gauss-Seidel by row panels on a device; see cpu/gauss_seidel.cpp for what it means:
//
//   for every panel p of rows:
//     P_p += s (op(A)_p,<p q_new + op(A)_p,>=p q_old)
//     d    = f(P_p) - Zhat_p      q_p = round(d)      Zhat_p += q_p
//
// A panel is its products by the library and a pass over its entries (panel_pass.cuh), or one
// launch of the fused kernel (fused_sweep.cuh). A sweep ends with a look at the columns
// (panel_look.cuh), which also decides the next sweep's scales and which columns close.
//
// The host goes through the phases of an iteration: increments that have reached no row yet are
// applied, the first sweep has nothing older to multiply, and from then on one sweep is like the
// next, so a loop on the device repeats it. The host waits at the end only.
#include "kernels/cuda/gauss_seidel.hpp"

#include <algorithm>
#include <bit>
#include <type_traits>
#include <vector>

#include "kernels/cuda/fused_sweep.cuh"
#include "kernels/cuda/panel_look.cuh"
#include "kernels/cuda/panel_products.cuh"
#include "kernels/cuda/settle.hpp"
#include "kernels/panels.hpp"
#include "kernels/stage_checks.hpp"

namespace widedeq::cuda {
namespace {

/// What an increment's largest entry is expected to be beside the last one's.
constexpr double usual_shrinkage = 0.7;

/// Increments without panels: their largest entry is known.
constexpr double no_shrinkage = 1.0;

/// An iteration on a state. What is enqueued works on the first `columns` places.
template <class Real, class Increment, class A>
class PanelIteration {
 public:
  PanelIteration(Context& context, SweepState& state, const Sweep& sweep, const A& operand,
                 double unit, const SweepAlgorithm& algorithm)
      : context_(context),
        state_(state),
        sweep_(sweep),
        A_(operand),
        unit_(unit),
        tile_columns_(algorithm.tile_columns),
        m_(state.P.rows()),
        pending_(state.pending.block().as<Increment>()) {
    bool even = true;  // panels begin at multiples of 64, as they do where there are rows enough
    for (int p = 0; p < algorithm.panels; ++p) {
      const Index first = panel_start(m_, algorithm.panels, p);
      const Index count = panel_start(m_, algorithm.panels, p + 1) - first;
      panels_.push_back({.first = first, .count = count, .tile = tiles_});
      tiles_ += tiles_of(count);
      most_rows_ = std::max(most_rows_, count);
      entries_below_ += static_cast<double>(first * count);
      even = even && first % fused_step == 0;
    }
    fused_ = is_int8 && even && !sweep.jacobi && algorithm.multiplier == Multiplier::fused &&
             is_aligned(pending_, 16);
    packed_ = even && is_aligned(P(), 16) && is_aligned(applied(), 16) && is_aligned(gate(), 16) &&
              is_aligned(pending_, is_int8 ? rows_a_thread : 16) && is_aligned(gained().P, 16) &&
              is_aligned(gained().Z, 16);
    take_memory();
  }

  /// Opens every column that misses the tolerance, with nothing pending.
  SweepStatus measure(bool starting, const Row& extra) {
    enqueue_measurement(starting, 0);
    pack_open(context_.stream(), packing(), state_.count);
    return status_of(read_progress(context_, progress_, rows(extra)));
  }

  SweepStatus run(Loop& loop, int most) {
    const Progress from = start_of(sweep_, state_.open_count, most);
    if (state_.open_count == 0 || most <= 0) return status_of(from);
    set_progress(context_.stream(), progress_, from);
    return go_on(loop, class_of(state_.open_count), most);
  }

  SweepStatus measure_and_run(Loop& loop, bool starting, int most) {
    if (state_.count == 0) return measure(starting, {});
    enqueue_measurement(starting, most);
    return go_on(loop, state_.count, most);
  }

 private:
  /// Increments in int8 have scales, and newer and older ones are multiplied apart; others are what
  /// they are, and one product does.
  static constexpr bool is_int8 = std::is_same_v<Increment, std::int8_t>;
  using Product = std::conditional_t<is_int8, std::int32_t, Real>;
  using Products = MatrixView<const Product>;

  /// The smallest size class with room for so many columns: for others the library would have to
  /// choose its kernels anew, which takes longer than the places that stay empty.
  Index class_of(Index open) const {
    Index fitting = state_.count;
    for (const Index columns : column_classes(state_.count))
      if (columns >= open) fitting = columns;
    return fitting;
  }

  void enqueue_measurement(bool starting, int most) {
    const cudaStream_t stream = context_.stream();
    open_all(stream, open(), state_.count);
    set_progress(stream, progress_, start_of(sweep_, state_.count, most));
    for (const PanelRows& rows : panels_)
      enqueue_pass(stream, state_.count, rows, 0.0, {}, {});
    enqueue_look(stream, state_.count, starting ? Before::starting : Before::pausing, 0.0, {}, {});
    state_.pending_in = PendingIn::no_rows;
  }

  /// Up to `most` sweeps from the progress on the device; `columns`, a size class, has room for the
  /// places in use.
  SweepStatus go_on(Loop& loop, Index columns, int most) {
    const bool in_all_rows = state_.pending_in == PendingIn::all_rows;
    const bool in_upper_rows = state_.pending_in == PendingIn::upper_rows;
    const bool jacobi = sweep_.jacobi && !in_upper_rows;
    const cudaStream_t stream = context_.stream();
    prepare_products(jacobi);
    if (in_all_rows) enqueue_pending(stream, columns, {});
    // The first sweep of row panels has nothing older to multiply.
    const int before = in_all_rows ? 1 : 0;
    if (!in_upper_rows && !jacobi && most > before) enqueue_sweep(stream, columns, false, {});
    pack_open(stream, packing(), columns);
    // From here on one sweep is like the next.
    const Progress end = loop.go_on(context_, progress_, state_.count, key(jacobi), body(jacobi));
    if (!in_upper_rows)
      state_.pending_in =
          !jacobi && end.sweeps > before ? PendingIn::upper_rows : PendingIn::no_rows;
    SweepStatus status = status_of(end);
    status.unsettled = context_.columns_seen().extra;
    return status;
  }

  SweepBody body(bool jacobi) {
    SweepBody body{.sweep =
                       [this, jacobi](cudaStream_t stream, Index columns, const Repeat& repeat) {
                         if (!jacobi) return enqueue_sweep(stream, columns, true, repeat);
                         enqueue_increments(stream, columns);
                         enqueue_pending(stream, columns, repeat);
                       },
                   .pack = [this](cudaStream_t stream,
                                  Index columns) { pack_open(stream, packing(), columns); },
                   .rows = rows({})};
    bring_moves(body, state_, sweep_, moves_);
    return body;
  }
  ColumnRows rows(const Row& extra) const {
    return {state_.residual.block().template as<double>().data,
            state_.size.block().template as<double>().data, state_.count, extra};
  }

  /// A sweep; `older`: there are increments of a last one.
  void enqueue_sweep(cudaStream_t stream, Index columns, bool older, const Repeat& repeat) {
    for (const PanelRows& rows : panels_) {
      const Index last = older ? m_ : rows.first;
      if (fused_) {
        enqueue_fused_panel(stream, columns, rows, older);
      } else if constexpr (is_int8) {
        const Products newer = multiply_by(stream, columns, rows, 0, rows.first, products_[0]);
        const Products rest = multiply_by(stream, columns, rows, rows.first, last, products_[1]);
        enqueue_pass(stream, columns, rows, usual_shrinkage, newer, rest);
      } else {
        const Products all = multiply_by(stream, columns, rows, 0, last, products_[0]);
        enqueue_pass(stream, columns, rows, usual_shrinkage, all, {});
      }
    }
    enqueue_look(stream, columns, Before::sweeping, usual_shrinkage,
                 {.older = older, .newer = true}, repeat);
  }

  /// P += s op(A) pending, for increments that have reached no row yet; then measures.
  void enqueue_pending(cudaStream_t stream, Index columns, const Repeat& repeat) {
    for (const PanelRows& rows : panels_)
      enqueue_pass(stream, columns, rows, 0.0, {},
                   multiply_by(stream, columns, rows, 0, m_, products_[0]));
    enqueue_look(stream, columns, Before::pausing, 0.0, {.older = true, .newer = true}, repeat);
  }

  /// Increments for all rows from P as it stands: with enqueue_pending(), a sweep without panels.
  void enqueue_increments(cudaStream_t stream, Index columns) {
    for (const PanelRows& rows : panels_)
      enqueue_pass(stream, columns, rows, no_shrinkage, {}, {});
    launch(stream, grid_for(columns), keep_scales<Increment>, progress_, open(), pace(), scale(),
           no_shrinkage);
  }

  /// The panel's product with increments from ... to - 1, in the given memory; empty for none.
  Products multiply_by(cudaStream_t stream, Index columns, const PanelRows& rows, Index from,
                       Index to, Product* memory) {
    if (from == to) return {};
    const MatrixView<Product> product = product_in(memory, columns, rows);
    multiply_panel(context_, A_, sweep_.transpose, rows, from, to, increments(columns, from, to),
                   product, stream);
    return product;
  }
  MatrixView<Product> product_in(Product* memory, Index columns, const PanelRows& rows) const {
    return {memory, rows.count, columns, product_stride()};
  }
  MatrixView<const Increment> increments(Index columns, Index from, Index to) const {
    return {pending_.data + from, to - from, columns, pending_.stride};
  }
  Index product_stride() const { return padded_size(most_rows_); }

  /// Readies the library for all products of a loop.
  void prepare_products(bool jacobi) {
    if constexpr (is_int8) {
      if (fused_) return;
      for (const Index columns : column_classes(state_.count))
        for (const PanelRows& rows : panels_) {
          const auto with = [&](Index from, Index to) {
            prepare_panel(context_, A_, sweep_.transpose, rows, from, to,
                          increments(columns, from, to), product_in(products_[0], columns, rows));
          };
          with(0, jacobi ? m_ : rows.first);
          if (!jacobi) with(rows.first, m_);
        }
    }
  }

  void enqueue_pass(cudaStream_t stream, Index columns, const PanelRows& rows, double shrinkage,
                    Products newer, Products older) {
    constexpr Index warps = block_threads / warp_lanes;
    const Index blocks = (tiles_of(rows.count) + warps - 1) / warps;
    launch(stream, {.blocks = dim3(static_cast<unsigned>(columns), static_cast<unsigned>(blocks))},
           pass_kernel<Real, Product, Increment>(sweep_.epilogue, gained().P.data != nullptr),
           panel_state(shrinkage), rows, newer, older);
  }

  void enqueue_fused_panel(cudaStream_t stream, Index columns, const PanelRows& rows, bool older) {
    if constexpr (is_int8) {
      // Wide tiles read their factors half as often; narrow ones where there would be few blocks.
      const cudaDeviceProp& device = context_.properties();
      const Index wide_tiles = tiles_of(rows.count) * ((columns + 127) / 128);
      const bool wide = tile_columns_ == 0
                            ? has_room<128>(device) && wide_tiles >= device.multiProcessorCount
                            : tile_columns_ == 128;
      enqueue_fused(stream, sweep_.epilogue,
                    {.state = panel_state(usual_shrinkage),
                     .rows = rows,
                     .A = A_.base[sweep_.transpose].middle_columns(rows.first, rows.count),
                     .pending = pending_,
                     .older = older ? 1 : 0},
                    columns, wide ? 128 : 64);
    }
  }

  void enqueue_look(cudaStream_t stream, Index columns, Before before, double shrinkage,
                    Multiplied multiplied, const Repeat& repeat) {
    constexpr Index warps = block_threads / warp_lanes;
    Look<Increment> look{.progress = progress_,
                         .open = open(),
                         .pace = pace(),
                         .scale = scale(),
                         .residual = state_.residual.block().template as<double>().data,
                         .size = state_.size.block().template as<double>().data,
                         .first_step = state_.first_step.block().template as<double>().data,
                         .sums = sums_,
                         .tiles = tiles_,
                         .pending = pending_,
                         .made = {},
                         .reports = reports_,
                         .before = before,
                         .shrinkage = shrinkage};
    if (fused_) look.made = made();
    launch(stream, {.blocks = dim3(static_cast<unsigned>((columns + warps - 1) / warps))},
           look_at_columns<Increment>, look);
    launch(stream, {.blocks = dim3(1), .threads = look_threads}, look_at_all<look_threads>,
           progress_, reports_, multiplied, repeat);
  }

  PanelState<Real, Increment> panel_state(double shrinkage) {
    return {.progress = progress_,
            .open = open(),
            .scale = scale(),
            .pace = pace(),
            .P = P(),
            .applied = applied(),
            .gained = gained(),
            .gate = gate(),
            .made = fused_ ? made() : pending_,
            .sums = sums_,
            .tiles = tiles_,
            .packed = packed_,
            .unit = unit_,
            .shrinkage = shrinkage};
  }

  Packing packing() {
    return {.progress = progress_,
            .open = open(),
            .from = from_,
            .pending = state_.pending,
            .spare = spare_};
  }

  MatrixView<Real> P() { return state_.P.block().template as<Real>(); }
  MatrixView<Real> applied() { return state_.applied.block().template as<Real>(); }
  Gained<Real> gained() { return gained_of<Real>(state_); }
  MatrixView<const Real> gate() const {
    return sweep_.epilogue == Epilogue::mask ? sweep_.gate.as<const Real>()
                                             : MatrixView<const Real>();
  }
  MatrixView<double> pace() { return state_.pace.block().as<double>(); }
  double* scale() { return state_.scale.block().as<double>().data; }
  std::int32_t* open() { return state_.open.block().as<std::int32_t>().data; }
  /// Where the fused kernel puts new increments, between packings.
  MatrixView<Increment> made() const {
    return {spare_, pending_.rows, pending_.columns, pending_.stride};
  }

  /// Memory for what an iteration needs beside its state; it stays where it is until the end.
  void take_memory() {
    const auto n = static_cast<std::size_t>(state_.count);
    const std::size_t product =
        static_cast<std::size_t>(product_stride() * padded_size(state_.count));
    products_[0] = context_.scratch<Product>(Scratch::product, product);
    if (is_int8) products_[1] = context_.scratch<Product>(Scratch::second_product, product);
    spare_ = reinterpret_cast<Increment*>(
        context_.scratch<std::byte>(Scratch::digits, pending_bytes(state_)));
    const std::size_t sums = n * static_cast<std::size_t>(tiles_);
    auto* notes = context_.scratch<std::byte>(
        Scratch::sums, sizeof(Progress) + sums * sizeof(TileSums) +
                           n * (sizeof(ColumnReport) + sizeof(double) + sizeof(std::int32_t)));
    progress_ = reinterpret_cast<Progress*>(notes);
    sums_ = reinterpret_cast<TileSums*>(progress_ + 1);
    reports_ = reinterpret_cast<ColumnReport*>(sums_ + sums);
    moves_ = reinterpret_cast<double*>(reports_ + n);
    from_ = reinterpret_cast<std::int32_t*>(moves_ + n);
  }

  /// All that a captured sweep has in it.
  SweepKey key(bool jacobi) {
    SweepKey key;
    const auto add = [&](const auto... values) {
      (key.push_back(static_cast<std::uint64_t>(values)), ...);
    };
    const auto add_view = [&](const auto& view) {
      add(reinterpret_cast<std::uintptr_t>(view.data), view.rows, view.stride);
    };
    add(sizeof(Real), sizeof(Increment), panels_.size(), sweep_.epilogue, sweep_.transpose, jacobi,
        fused_, tile_columns_, std::bit_cast<std::uint64_t>(unit_));
    for (const Block& block : {state_.P.block(), state_.applied.block(), state_.pending.block(),
                               state_.pace.block(), state_.scale.block(), state_.residual.block(),
                               state_.size.block(), state_.first_step.block(), state_.open.block()})
      add_view(block);
    add_view(gained().P);
    add_view(gained().Z);
    add(reinterpret_cast<std::uintptr_t>(gained().switched));
    add_view(gate());
    if constexpr (is_int8) {
      add_view(A_.base[sweep_.transpose]);
    } else {
      add_view(A_.A.block());
    }
    for (const void* memory :
         {static_cast<void*>(products_[0]), static_cast<void*>(products_[1]),
          static_cast<void*>(spare_), static_cast<void*>(sums_), static_cast<void*>(from_)})
      add(reinterpret_cast<std::uintptr_t>(memory));
    return key;
  }

  SweepStatus status_of(const Progress& progress) {
    state_.open_count = progress.open;
    const double entries = static_cast<double>(m_) * static_cast<double>(m_);
    SweepStatus status;
    status.sweeps = progress.sweeps;
    status.open = progress.open;
    status.worst_residual = progress.worst_residual;
    status.worst_growth = progress.worst_growth;
    status.finite = progress.finite != 0;
    status.first_residual = progress.first_residual;
    status.operations = 2.0 * entries_below_ * progress.newer_columns +
                        2.0 * (entries - entries_below_) * progress.columns;
    return status;
  }

  Context& context_;
  SweepState& state_;
  const Sweep& sweep_;
  const A& A_;
  double unit_;       // of a product with increments of scale 1, in P
  int tile_columns_;  // of the fused kernel; 0: chosen
  Index m_;
  MatrixView<Increment> pending_;
  std::vector<PanelRows> panels_;
  Index tiles_ = 0;             // of all panels
  Index most_rows_ = 0;         // of a panel
  double entries_below_ = 0.0;  // of A, left of the panels' own blocks
  bool fused_ = false;          // by the fused kernel
  bool packed_ = false;         // as in PanelState
  Product* products_[2] = {};
  Increment* spare_ = nullptr;
  Progress* progress_ = nullptr;
  TileSums* sums_ = nullptr;
  ColumnReport* reports_ = nullptr;
  double* moves_ = nullptr;  // what unsettled() says, where A has a plane
  std::int32_t* from_ = nullptr;
};

/// Calls with the iteration at the operand's precision.
template <class Call>
SweepStatus with_iteration(Context& context, const SweepAlgorithm& algorithm, SweepState& state,
                           const Sweep& sweep, Call call) {
  const auto dense = [&]<class Real>(Real) {
    const auto& A = static_cast<const DenseOperand&>(sweep.A);
    PanelIteration<Real, Real, DenseOperand> iteration(context, state, sweep, A, sweep.s,
                                                       algorithm);
    return call(iteration);
  };
  switch (sweep.A.precision) {
    case Precision::fp64:
      return dense(0.0);
    case Precision::fp32:
      return dense(0.0F);
    case Precision::mixed:
      break;
  }
  const auto& A = static_cast<const DigitOperand&>(sweep.A);
  PanelIteration<float, std::int8_t, DigitOperand> iteration(context, state, sweep, A,
                                                             sweep.s * A.step, algorithm);
  return call(iteration);
}

}  // namespace

SweepStatus measure_panels(Context& context, const SweepAlgorithm& algorithm, SweepState& state,
                           const Sweep& sweep, bool starting, const Row& extra) {
  check_sweep("measure", state, sweep);
  return with_iteration(context, algorithm, state, sweep,
                        [&](auto& iteration) { return iteration.measure(starting, extra); });
}

SweepStatus iterate_panels(Context& context, Loop& loop, const SweepAlgorithm& algorithm,
                           SweepState& state, const Sweep& sweep, int most) {
  check_sweep("iterate", state, sweep);
  return with_iteration(context, algorithm, state, sweep,
                        [&](auto& iteration) { return iteration.run(loop, most); });
}

SweepStatus measure_and_iterate_panels(Context& context, Loop& loop,
                                       const SweepAlgorithm& algorithm, SweepState& state,
                                       const Sweep& sweep, bool starting, int most) {
  check_sweep("measure", state, sweep);
  return with_iteration(context, algorithm, state, sweep, [&](auto& iteration) {
    return iteration.measure_and_run(loop, starting, most);
  });
}

}  // namespace widedeq::cuda
