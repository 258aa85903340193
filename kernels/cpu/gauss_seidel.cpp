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
#include "kernels/cpu/gauss_seidel.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/multiply.hpp"
#include "kernels/cpu/open_columns.hpp"
#include "kernels/panels.hpp"

namespace widedeq::cpu {
namespace {

/// The rows of SweepState::pace: a column's last residual, the factor by which it falls, its
/// largest missing entry, and whether it is closing.
enum Pace : Index { last_residual, fall, largest_entry, closing };

constexpr double usual_fall = 0.4;  // gamma 0.5, before a column has shown its own

/// What an increment's largest entry is expected to be beside the last one's.
constexpr double shrinkage = 0.7;

/// The rows of one panel in one column. Handed on by value, as in sweep.cpp.
template <class Real, class Product, class Increment>
struct Rows {
  Real* P;
  Real* applied;
  const Real* gate;      // mask only
  const Product* newer;  // null: nothing
  const Product* older;  // null: nothing
  Real newer_unit, older_unit;
  Increment* pending;
  Real scale;  // of the increments to make; 0: make none
};

struct Sums {
  double missing = 0.0;  // ||d||^2
  double applied = 0.0;  // ||Zhat||^2
  double largest = 0.0;  // max |d|
};

/// P takes in the products; what is missing in Zhat is measured and, unless `measure_only`, made
/// into increments.
template <Epilogue epilogue, bool measure_only, class Real, class Product, class Increment>
Sums update(Rows<Real, Product, Increment> rows, Index count) {
  if (rows.newer != nullptr) {
#pragma omp simd
    for (Index i = 0; i < count; ++i)
      rows.P[i] += rows.newer_unit * static_cast<Real>(rows.newer[i]);
  }
  if (rows.older != nullptr) {
#pragma omp simd
    for (Index i = 0; i < count; ++i)
      rows.P[i] += rows.older_unit * static_cast<Real>(rows.older[i]);
  }
  double missing = 0.0;
  double applied = 0.0;
  Real largest = 0;
  const Real inverse = rows.scale > Real(0) ? Real(1) / rows.scale : Real(0);
#pragma omp simd reduction(+ : missing, applied) reduction(max : largest)
  for (Index i = 0; i < count; ++i) {
    const Real z = rows.applied[i];
    const Real gate = epilogue == Epilogue::mask ? rows.gate[i] : Real(0);
    const Real d = activate<epilogue>(rows.P[i], gate) - z;
    missing += static_cast<double>(d) * static_cast<double>(d);
    applied += static_cast<double>(z) * static_cast<double>(z);
    largest = std::max(largest, std::abs(d));
    if constexpr (measure_only) continue;
    if constexpr (std::is_same_v<Increment, std::int8_t>) {
      const Real rounded = int8_round(d, inverse);
      const Real q = rounded == rounded ? rounded : Real(0);  // NaN is noticed by the sums
      rows.applied[i] = z + rows.scale * q;
      rows.pending[i] = static_cast<Increment>(q);
    } else {
      const Real q = rows.scale > Real(0) ? d : Real(0);
      rows.applied[i] = z + q;
      rows.pending[i] = q;
    }
  }
  return {missing, applied, static_cast<double>(largest)};
}

/// One operand type's products of a panel with the packed increments.
template <class Real>
struct DenseProducts {
  using Product = Real;
  const DenseOperand<Real>& A;
  Transpose transpose;
  Workspace& workspace;
  double unit = 1.0;
  const Real* newer = nullptr;  // both at once: increments have no scales
  const Real* older = nullptr;

  void multiply(int p, MatrixView<const Real> q, Index columns, bool has_newer, bool has_older) {
    const Index m = A.width;
    const Index first = panel_start(m, A.panels, p);
    const Index rows = panel_start(m, A.panels, p + 1) - first;
    const Index from = has_newer ? 0 : first;
    older = nullptr;
    const Index to = has_older ? m : first;
    newer = nullptr;
    if (from == to) return;
    Real* product = workspace.get<Real>(static_cast<std::size_t>(rows * columns));
    const MatrixView<const Real> whole = A.view();
    const bool transposed = transpose == Transpose::yes;
    const MatrixView<const Real> part(transposed ? &whole(from, first) : &whole(first, from),
                                      transposed ? to - from : rows, transposed ? rows : to - from,
                                      m);
    gemm<Real>(transpose, Transpose::no, Real(1), part,
               MatrixView<const Real>(q.data + from, to - from, columns, q.stride), Real(0),
               MatrixView<Real>(product, rows, columns));
    newer = product;
  }
};

struct DigitProducts {
  using Product = std::int32_t;
  const DigitOperand& A;
  Transpose transpose;
  Workspace& workspace;
  double unit;
  const std::int32_t* newer = nullptr;
  const std::int32_t* older = nullptr;

  void multiply(int p, MatrixView<const std::int8_t> q, Index columns, bool has_newer,
                bool has_older) {
    const PackedPanel& panel = A.base[transpose][static_cast<std::size_t>(p)];
    const Index padded = padded_columns(columns);
    const auto room = static_cast<std::size_t>(panel.rows() * padded);
    const auto copied = static_cast<std::size_t>(A.width * padded);
    auto* product = workspace.get<std::int32_t>(2 * room + copied / sizeof(std::int32_t) + 1);
    auto* copy = reinterpret_cast<std::int8_t*>(product + 2 * room);
    newer = older = nullptr;
    if (has_newer) {
      copy_rows(q, 0, panel.first, columns, copy);
      panel.newer.multiply(copy, padded, product);
      newer = product;
    }
    if (has_older) {
      const Index rows = A.width - panel.first;
      if (panel.first > 0) copy_rows(q, panel.first, rows, columns, copy);
      panel.older.multiply(panel.first > 0 ? copy : q.data, padded, product + room);
      older = product + room;
    }
  }

  /// The library is fast on dense matrices alone, so rows of q are copied out of it.
  static void copy_rows(MatrixView<const std::int8_t> q, Index first, Index rows, Index columns,
                        std::int8_t* to) {
#pragma omp parallel for schedule(static)
    for (Index k = 0; k < columns; ++k)
      std::copy_n(q.column(k) + first, rows, to + k * rows);
  }
};

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
    run_panels<true>(nullptr);
    double* first_step = state_.first_step.block().template as<double>().data;
    for (std::size_t j = 0; starting && j < sums_.size(); ++j)
      first_step[j] = std::sqrt(std::max(sums_[j].missing, sums_[j].applied));
    return start_from_here();
  }

  SweepStatus run(int most) {
    SweepStatus status;
    status.open = state_.open_count;
    while (status.sweeps < most && status.open > 0 && status.finite) {
      const int sweeps = status.sweeps + 1;
      status = state_.pending_in == PendingIn::all_rows ? apply_pending() : sweep();
      status.sweeps = sweeps;
    }
    return status;
  }

 private:
  /// Increments in int8 have scales; others are what they are.
  static constexpr bool is_int8 = std::is_same_v<Increment, std::int8_t>;

  /// P += s op(A) pending, for increments that have reached no row yet; then measures.
  SweepStatus apply_pending() {
    begin();
    const Reach everything{.newer = true, .older = true};
    run_panels<true>(&everything);
    return start_from_here();
  }

  /// Stops what is done after a measurement with nothing pending, and readies the rest.
  SweepStatus start_from_here() {
    for (Index k = 0; k < state_.open_count; ++k) {
      std::fill_n(pending_.column(k), pending_.rows, Increment(0));
      double* column = pace_.column(open_[k]);
      column[closing] = 1.0;  // nothing is pending, as after a closing sweep
      column[fall] = usual_fall;
    }
    state_.pending_in = PendingIn::no_rows;
    return look();
  }

  SweepStatus sweep() {
    begin();
    for (Index k = 0; k < state_.open_count; ++k) {
      const double* column = pace_.column(open_[k]);
      const auto largest = static_cast<float>(shrinkage * column[largest_entry]);
      const double scale = is_int8 ? static_cast<double>(int8_scale(largest)) : 1.0;
      new_scale_[static_cast<std::size_t>(k)] = column[closing] != 0.0 ? 0.0 : scale;
    }
    const Reach reach{.newer = std::ranges::any_of(new_scale_, [](double x) { return x > 0.0; }),
                      .older = state_.pending_in == PendingIn::upper_rows};
    run_panels<false>(&reach);
    state_.pending_in = PendingIn::upper_rows;
    for (Index k = 0; k < state_.open_count; ++k)
      scale_[open_[k]] = new_scale_[static_cast<std::size_t>(k)];
    return look();
  }

  /// Which increments there are to multiply.
  struct Reach {
    bool newer, older;
  };

  void begin() {
    sums_.assign(static_cast<std::size_t>(state_.open_count), {});
    new_scale_.resize(sums_.size());
  }

  /// The pass over all rows, panel by panel; no products without a `reach`.
  template <bool measure_only>
  void run_panels(const Reach* reach) {
    const auto P = state_.P.block().template as<Real>();
    const auto applied = state_.applied.block().template as<Real>();
    const MatrixView<const Real> gate = epilogue == Epilogue::mask
                                            ? sweep_.gate.template as<const Real>()
                                            : MatrixView<const Real>();
    const int panels = sweep_.A.panels;
    for (int p = 0; p < panels; ++p) {
      const Index first = panel_start(P.rows, panels, p);
      const Index count = panel_start(P.rows, panels, p + 1) - first;
      if (reach != nullptr)
        products_.multiply(p, pending_, state_.open_count, reach->newer && p > 0, reach->older);
#pragma omp parallel for schedule(static)
      for (Index k = 0; k < state_.open_count; ++k) {
        const Index j = open_[k];
        const auto at = static_cast<std::size_t>(k);
        const double newer = measure_only ? scale_[j] : new_scale_[at];
        const auto unit = [&](double scale) {
          return static_cast<Real>(is_int8 ? products_.unit * scale : products_.unit);
        };
        const auto product = [&](const auto* of) { return of == nullptr ? of : of + k * count; };
        const Sums panel = update<epilogue, measure_only>(
            Rows<Real, typename Products::Product, Increment>{
                P.column(j) + first, applied.column(j) + first,
                gate.empty() ? nullptr : gate.column(j) + first, product(products_.newer),
                product(products_.older), unit(newer), unit(scale_[j]), pending_.column(k) + first,
                static_cast<Real>(newer)},
            count);
        sums_[at].missing += panel.missing;
        sums_[at].applied += panel.applied;
        sums_[at].largest = std::max(sums_[at].largest, panel.largest);
      }
    }
  }

  /// Stops the columns that are done and decides which ones close next.
  SweepStatus look() {
    double* residual = state_.residual.block().template as<double>().data;
    const double* first_step = state_.first_step.block().template as<const double>().data;
    SweepStatus status;
    for (Index k = 0; k < state_.open_count; ++k) {
      const Index j = open_[k];
      const Sums& sums = sums_[static_cast<std::size_t>(k)];
      double* column = pace_.column(j);
      const double step = std::sqrt(sums.missing);
      const double size = std::sqrt(sums.applied > 0.0 ? sums.applied : sums.missing);
      residual[j] = sums.missing == 0.0 ? 0.0 : step / size;
      status.worst_residual = std::max(status.worst_residual, residual[j]);
      if (first_step[j] > 0.0)
        status.worst_growth = std::max(status.worst_growth, step / first_step[j]);
      status.finite = status.finite && std::isfinite(sums.missing) && std::isfinite(sums.applied);

      const bool nothing_pending = column[closing] != 0.0;
      if (nothing_pending && sums.missing <= sweep_.tolerance * sweep_.tolerance * sums.applied) {
        mark_stopped(open_, k);
        continue;
      }
      if (!nothing_pending && column[last_residual] > 0.0)
        column[fall] = std::clamp(residual[j] / column[last_residual], 0.1, 0.9);
      column[closing] =
          !nothing_pending && residual[j] * column[fall] <= sweep_.tolerance ? 1.0 : 0.0;
      column[last_residual] = residual[j];
      column[largest_entry] = sums.largest;
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
  std::vector<Sums> sums_;         // per open column
  std::vector<double> new_scale_;  // the same
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
        state, sweep, DenseProducts<Real>{A, sweep.transpose, workspace, sweep.s}, call);
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
      state, sweep, DigitProducts{A, sweep.transpose, workspace, sweep.s * A.step}, call);
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
