// Gauss-Seidel by row panels: a panel uses the increments that the panels above it have just made.
//
//   for every panel p of rows:
//     P_p += s (op(A)_p,<p q_new + op(A)_p,>=p q_old)    what has not reached these rows yet
//     d    = f(P_p) - Zhat_p      q_p = round(d)      Zhat_p += q_p
//
// With q and Zhat starting at zero every increment reaches every row exactly once: the panels below
// in its own sweep, the others in the next. In int8 the two products have scales of their own,
// since increments shrink from sweep to sweep; a sweep's scale is set from the last one's largest
// entry, and what it clips stays missing and is in the next increment.
//
// A column's residual belongs to one Zhat only when nothing is pending. Such is the case in a
// closing sweep, which takes in what is pending and makes no increments: a column closes when its
// residual is expected to be within the tolerance, and stops if it is.
//
// A map that contracts may grow under Gauss-Seidel: two halves of z that are turned into one
// another by 120 degrees, say. Random weights are not like that; for others there is Sweep::jacobi.
#include "kernels/cpu/gauss_seidel.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/open_columns.hpp"
#include "kernels/cpu/panel_products.hpp"
#include "kernels/cpu/panel_rows.hpp"
#include "kernels/gained.hpp"

namespace widedeq::cpu {
namespace {

/// The rows of SweepState::pace: a column's last residual, 0 where the sweep after it has nothing
/// pending to take in, and so nothing to fall by; the factor by which it falls, which stays what it
/// is from solve to solve; its largest missing entry, and whether it is closing.
enum Pace : Index { last_residual, fall, largest_entry, closing };

constexpr double usual_fall = 0.4;  // gamma 0.5, before a column has shown its own

/// A residual beside the last one, as the factor that is expected of the next; 0.9 for no number.
constexpr double fall_from(double ratio) {
  return ratio < 0.9 ? std::max(ratio, 0.1) : 0.9;
}

/// What an increment's largest entry is expected to be beside the last one's.
constexpr double shrinkage = 0.7;

/// The iteration at one epilogue and element type.
template <Epilogue epilogue, class Real, class Increment, class Products>
class PanelIteration {
 public:
  PanelIteration(SweepState& state, const Sweep& sweep, Products products)
      : state_(state),
        sweep_(sweep),
        products_(products),
        pace_(state.pace.block().template as<double>()),
        pending_(state.pending.block().template as<Increment>()),
        open_(state.open.block().template as<std::int32_t>().data),
        scale_(state.scale.block().template as<double>().data) {}

  /// Opens every column that misses the tolerance, with nothing pending.
  SweepStatus measure(bool starting) {
    state_.open_count = state_.count;
    for (Index j = 0; j < state_.count; ++j)
      open_[j] = static_cast<std::int32_t>(j);
    begin();
    run_panels<true>({});
    double* first_step = state_.first_step.block().template as<double>().data;
    for (std::size_t j = 0; starting && j < sums_.size(); ++j) {
      const ColumnNorms norms = sums_[j].total();
      first_step[j] = std::max(norms.step(), norms.size());
    }
    return start_from_here();
  }

  SweepStatus run(int most) {
    SweepStatus status;
    status.open = state_.open_count;
    while (status.sweeps < most && status.open > 0 && status.finite &&
           !is_hopeless(status.sweeps, status.worst_growth, sweep_.hopeless_growth)) {
      const int sweeps = status.sweeps + 1;
      if (sweep_.jacobi && state_.pending_in == PendingIn::no_rows) make_increments();
      status = state_.pending_in == PendingIn::all_rows ? apply_pending() : sweep();
      status.sweeps = sweeps;
    }
    status.operations = operations_;
    return status;
  }

 private:
  /// Increments in int8 have scales; others are what they are.
  static constexpr bool is_int8 = std::is_same_v<Increment, std::int8_t>;

  /// P += s op(A) pending, for increments that have reached no row yet; then measures.
  SweepStatus apply_pending() {
    begin();
    run_panels<true>({.newer = true, .older = true});
    return start_from_here();
  }

  /// Stops what is done after a measurement with nothing pending, and readies the rest.
  SweepStatus start_from_here() {
    for (Index k = 0; k < state_.open_count; ++k) {
      double* column = pace_.column(open_[k]);
      column[closing] = 1.0;  // nothing is pending, as after a closing sweep
      column[last_residual] = 0.0;
      if (column[fall] == 0.0) column[fall] = usual_fall;
    }
    state_.pending_in = PendingIn::no_rows;
    return look();
  }

  /// Increments for all rows from P as it stands: with apply_pending(), a sweep without panels.
  void make_increments() {
    begin();
    choose_scales(1.0);
    run_panels<false>({});
    state_.pending_in = PendingIn::all_rows;
    keep_scales();
  }

  SweepStatus sweep() {
    begin();
    choose_scales(shrinkage);
    const Reach reach{.newer = std::ranges::any_of(new_scale_, [](double x) { return x > 0.0; }),
                      .older = state_.pending_in == PendingIn::upper_rows};
    run_panels<false>(reach);
    state_.pending_in = PendingIn::upper_rows;
    keep_scales();
    return look();
  }

  /// For increments whose largest entry is `factor` times the largest one missing; 0 for closing
  /// columns.
  void choose_scales(double factor) {
    for (Index k = 0; k < state_.open_count; ++k) {
      const double* column = pace_.column(open_[k]);
      const auto largest = static_cast<float>(factor * column[largest_entry]);
      const double scale = is_int8 ? static_cast<double>(int8_scale(largest)) : 1.0;
      new_scale_[static_cast<std::size_t>(k)] = column[closing] != 0.0 ? 0.0 : scale;
    }
  }
  void keep_scales() {
    for (Index k = 0; k < state_.open_count; ++k)
      scale_[open_[k]] = new_scale_[static_cast<std::size_t>(k)];
  }

  void begin() {
    sums_.assign(static_cast<std::size_t>(state_.open_count), {});
    new_scale_.resize(sums_.size());
  }

  /// What the products call back: the pass over the rows of a column.
  template <bool measure_only>
  struct Column {
    using Product = typename Products::Product;
    PanelIteration& at;
    MatrixView<Real> P = at.state_.P.block().template as<Real>();
    MatrixView<Real> applied = at.state_.applied.block().template as<Real>();
    MatrixView<const Real> gate = epilogue == Epilogue::mask
                                      ? at.sweep_.gate.template as<const Real>()
                                      : MatrixView<const Real>();
    Gained<Real> gained = gained_of<Real>(at.state_);

    double new_scale(Index k) const {
      return measure_only ? at.scale_[at.open_[k]] : at.new_scale_[static_cast<std::size_t>(k)];
    }
    Real unit(double scale) const {
      return static_cast<Real>(is_int8 ? at.products_.unit * scale : at.products_.unit);
    }

    bool makes(Index k) const { return new_scale(k) > 0.0; }

    [[gnu::always_inline]] void prefetch(Index k, Index first) const {
      const Index j = at.open_[k];
      prefetch_rows(P.column(j) + first);
      prefetch_rows(applied.column(j) + first);
      if (!gate.empty()) prefetch_rows(gate.column(j) + first);
      for (const Real* noted : {gained.of_P(j, first), gained.of_Z(j, first)})
        if (noted != nullptr) prefetch_rows(noted);
    }

    void finish(Index k, Index first, Index count, const Product* newer,
                const Product* older) const {
      const Index j = at.open_[k];
      const double scale = new_scale(k);
      update<epilogue, measure_only>(
          Rows<Real, Product, Increment>{P.column(j) + first, applied.column(j) + first,
                                         gate.empty() ? nullptr : gate.column(j) + first, newer,
                                         older, unit(scale), unit(at.scale_[j]),
                                         at.pending_.column(k) + first, static_cast<Real>(scale),
                                         gained.of_P(j, first), gained.of_Z(j, first)},
          count, at.sums_[static_cast<std::size_t>(k)]);
    }
  };

  /// The pass over all rows, panel by panel.
  template <bool measure_only>
  void run_panels(Reach reach) {
    const Column<measure_only> column{*this};
    count(reach, column);
    products_.run(pending_, state_.open_count, reach, column);
  }

  /// Counts the products of a pass.
  template <class C>
  void count(Reach reach, const C& column) {
    double making = 0.0;
    for (Index k = 0; k < state_.open_count; ++k)
      making += column.makes(k) ? 1.0 : 0.0;
    const auto m = static_cast<double>(state_.P.rows());
    const double below = products_.entries_below();
    if (reach.newer) operations_ += 2.0 * below * making;
    if (reach.older) operations_ += 2.0 * (m * m - below) * static_cast<double>(state_.open_count);
  }

  /// Stops the columns that are done and decides which ones close next.
  SweepStatus look() {
    double* residual = state_.residual.block().template as<double>().data;
    const double* first_step = state_.first_step.block().template as<const double>().data;
    SweepStatus status;
    for (Index k = 0; k < state_.open_count; ++k) {
      const Index j = open_[k];
      const ColumnNorms norms = sums_[static_cast<std::size_t>(k)].total();
      double* column = pace_.column(j);
      residual[j] = norms.residual();
      state_.size.block().template as<double>()(0, j) = norms.size();
      status.worst_residual = std::max(status.worst_residual, residual[j]);
      if (first_step[j] > 0.0)
        status.worst_growth = std::max(status.worst_growth, norms.step() / first_step[j]);
      status.finite = status.finite && norms.is_finite();

      if (column[last_residual] > 0.0)
        column[fall] = fall_from(residual[j] / column[last_residual]);
      const bool nothing_pending = column[closing] != 0.0;
      if (nothing_pending && norms.is_within(sweep_.tolerance)) {
        mark_stopped(open_, k);
        continue;
      }
      column[closing] =
          !nothing_pending && residual[j] * column[fall] <= sweep_.tolerance ? 1.0 : 0.0;
      column[last_residual] = nothing_pending ? 0.0 : residual[j];
      column[largest_entry] = norms.largest;
    }
    pack_open<Increment>(state_);
    status.open = state_.open_count;
    return status;
  }

  SweepState& state_;
  const Sweep& sweep_;
  Products products_;
  MatrixView<double> pace_;
  MatrixView<Increment> pending_;
  std::int32_t* open_;
  double* scale_;
  std::vector<LaneSums> sums_;     // per open column
  std::vector<double> new_scale_;  // the same
  double operations_ = 0.0;        // in products so far
};

/// Calls with the iteration at the sweep's epilogue.
template <class Real, class Increment, class Products, class Call>
SweepStatus with_epilogue(SweepState& state, const Sweep& sweep, Products products, Call call) {
  const auto at = [&]<Epilogue epilogue>() {
    PanelIteration<epilogue, Real, Increment, Products> iteration(state, sweep, products);
    return call(iteration);
  };
  switch (sweep.epilogue) {
    case Epilogue::relu:
      return at.template operator()<Epilogue::relu>();
    case Epilogue::mask:
      return at.template operator()<Epilogue::mask>();
    case Epilogue::none:
      break;
  }
  return at.template operator()<Epilogue::none>();
}

/// Calls with the iteration at the operand's precision.
template <class Call>
SweepStatus with_iteration(SweepState& state, const Sweep& sweep, Workspace& workspace, Call call) {
  const auto dense = [&]<class Real>(Real) {
    const auto& A = static_cast<const DenseOperand<Real>&>(sweep.A);
    return with_epilogue<Real, Real>(
        state, sweep, DensePanels<Real>{A, sweep.transpose, workspace, sweep.s}, call);
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
  return with_epilogue<float, std::int8_t>(
      state, sweep, StripPanels{A.strips[sweep.transpose], sweep.s * A.step}, call);
}

}  // namespace

SweepStatus measure_panels(SweepState& state, const Sweep& sweep, bool starting) {
  check_sweep("measure", state, sweep);
  Workspace unused;
  return with_iteration(state, sweep, unused,
                        [&](auto& iteration) { return iteration.measure(starting); });
}

SweepStatus iterate_panels(SweepState& state, const Sweep& sweep, int most, Workspace& workspace) {
  check_sweep("iterate", state, sweep);
  return with_iteration(state, sweep, workspace,
                        [&](auto& iteration) { return iteration.run(most); });
}

}  // namespace widedeq::cpu
