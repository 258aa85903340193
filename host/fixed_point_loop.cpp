// The loop of one solve: sweeps to a target, a settling of the plane, the next target; see
// solve_fixed_point() in fixed_point.hpp.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "host/fixed_point.hpp"

namespace widedeq {
namespace {

/// An increment this much longer than the first one will not come back: the map expands.
constexpr double hopeless_growth = 1e4;

/// With a plane, sweep this far before the first settling: near enough to measure the plane's gain.
constexpr double first_target = 0.05;

/// The gain of fewer columns than this may be small by chance, in a move that says little of the
/// next.
constexpr Index enough_columns = 8;

/// A plane that weighs so much more than assumed has been settled with too few digits.
constexpr double most_surprise = 8.0;

/// A sample that has become so much smaller carries too much of its former rounding. (With 2,
/// audits have found residuals of 1.15e-6 at a tolerance of 1e-6, in single precision without fused
/// multiply-adds: a sample at 1/1.94 of its former size.)
constexpr double most_shrinkage = 1.5;

/// Brings the peaks up to date; returns whether a sample has shrunk.
bool note_sizes(std::vector<double>& peaks, const std::vector<double>& sizes) {
  peaks.resize(sizes.size());
  bool has_shrunk = false;
  for (std::size_t j = 0; j < sizes.size(); ++j) {
    peaks[j] = std::max(peaks[j], sizes[j]);
    has_shrunk = has_shrunk || peaks[j] > most_shrinkage * sizes[j];
  }
  return has_shrunk;
}

/// 0 where there are none.
double largest(const std::vector<double>& values) {
  return values.empty() ? 0.0 : *std::ranges::max_element(values);
}

Sweep with_tolerance(Sweep sweep, double tolerance) {
  sweep.tolerance = tolerance;
  return sweep;
}

class Loop {
 public:
  Loop(Backend& backend, SweepState& state, const Sweep& equation, const SolveOptions& options,
       Start start, Carried& carried)
      : backend_(backend),
        state_(state),
        sweep_(equation),
        options_(options),
        is_cold_(start == Start::cold),
        is_opened_(start == Start::predicted),
        carried_(carried),
        unsettled_(options.tolerance, equation.A.width) {
    sweep_.jacobi = carried.jacobi;
    sweep_.hopeless_growth = hopeless_growth;
  }

  SolveReport run() {
    target_ = has_plane() ? unsettled_.target(carried_.plane.expected) : options_.tolerance;
    if (is_cold_) start_cold();
    if (!std::isfinite(sweep_.A.plane_size)) {  // digits cannot hold what A has
      report_.status = SolveStatus::non_finite;
      report_.worst_residual = std::numeric_limits<double>::quiet_NaN();  // nothing was measured
      report_.residuals.assign(static_cast<std::size_t>(state_.count), report_.worst_residual);
      return std::move(report_);
    }
    for (Settling kind = Settling::first;; kind = Settling::later) {
      sweep_to_target(kind);
      if (has_failed() || !has_plane()) break;
      const SettledColumns columns = choose_columns(kind);
      if (columns.size() == 0 && target_ <= unsettled_.within(gain_ * columns.left)) break;
      const SweepStatus look = settle(kind, columns);
      // Those that wait may do so only as long as they are not known to lack more.
      const double waiting = gain_ * columns.left;
      if (has_failed() || (look.open == 0 && waiting <= may_wait_)) break;
      // z has about `worst_residual` to go, and the next settling will pass on `gain` of it, and of
      // what waits: no use in sweeping below that, nor further than what it leaves of the
      // tolerance.
      const double later = std::max(carried_.plane.gain(Settling::later, sweep_), found_);
      target_ = unsettled_.target(later * look.worst_residual + waiting);
    }
    return finish();
  }

 private:
  bool has_plane() const { return sweep_.A.has_plane; }
  bool has_failed() const { return report_.status != SolveStatus::converged; }

  /// z = 0, P = c
  void start_cold() {
    backend_.fill(state_.applied, 0.0);
    backend_.fill(state_.pace, 0.0);
    carried_.base_version = sweep_.A.base_version;
    if (!has_plane()) return;
    backend_.fill(state_.settled, 0.0);
    target_ = std::max(first_target, options_.tolerance);
  }

  /// Sweeps the open columns until their residuals are at the target; at first those of all are
  /// measured, unless columns have been opened already.
  void sweep_to_target(Settling kind) {
    moved_.clear();
    const bool measures = kind == Settling::first && !is_opened_;
    if (!measures && state_.open_count == 0) return;
    const Sweep towards = with_tolerance(sweep_, target_);
    const int most = options_.max_sweeps - report_.sweeps;
    SweepStatus status = measures ? backend_.measure_and_iterate(state_, towards, true, most)
                                  : backend_.iterate(state_, towards, most);
    if (measures) report_.first_residual = status.first_residual;
    report_.sweeps += status.sweeps;
    take(status);
    if (!has_failed() && status.open > 0 && status.sweeps >= most)
      report_.status = SolveStatus::max_sweeps;
    moved_ = std::move(status.unsettled);
  }

  /// Those that have moved by so much that the plane's share of it matters. The others wait for the
  /// next settling, or the next solve.
  SettledColumns choose_columns(Settling kind) {
    if (moved_.empty()) moved_ = backend_.unsettled(state_);
    gain_ = std::max(carried_.plane.gain(kind, sweep_), found_);
    if (kind == Settling::first && !is_cold_) carried_.plane.expected = gain_ * largest(moved_);
    may_wait_ = is_cold_ ? unsettled_.negligible() : unsettled_.most(gain_, sweep_);
    const DigitLimits limits = digit_limits(gain_, may_wait_);
    limit_ = limits[0];
    return settled_columns(moved_, limits);
  }

  /// P += s op(E) (z - settled) in these columns; looks at all of them.
  SweepStatus settle(Settling kind, const SettledColumns& columns) {
    const bool all_settle = columns.left == 0.0;
    const double allowed = unsettled_.within(all_settle ? 0.0 : may_wait_);
    const SettledLook settled =
        backend_.settle_and_measure(state_, with_tolerance(sweep_, allowed), columns);
    if (columns.size() > 0) {
      const bool says_all = is_cold_ || columns.size() >= enough_columns;
      carried_.plane.learn(kind, sweep_, settled.gain, all_settle && says_all);
      report_.wants_audit = report_.wants_audit || settled.gain > most_surprise * gain_;
      found_ = std::max(found_, settled.gain);
      gain_ = std::max(gain_, found_);
    }
    take(settled.look);
    return settled.look;
  }

  /// What a look at the columns means for the solve.
  void take(const SweepStatus& status) {
    if (!status.finite) {
      report_.status = SolveStatus::non_finite;
    } else if (status.worst_growth > hopeless_growth) {
      report_.status = SolveStatus::diverged;
    }
  }

  SolveReport finish() {
    if (has_failed()) moved_.clear();
    report_.residuals = backend_.residuals(state_);
    unsettled_.add(moved_, limit_, gain_, report_.residuals);
    report_.worst_residual = largest(report_.residuals);
    if (is_cold_) carried_.peaks.clear();
    report_.wants_cold_start = note_sizes(carried_.peaks, backend_.sizes(state_));
    return std::move(report_);
  }

  Backend& backend_;
  SweepState& state_;
  Sweep sweep_;
  const SolveOptions& options_;
  bool is_cold_;
  bool is_opened_;  // the open columns have been chosen
  Carried& carried_;
  UnsettledShare unsettled_;
  SolveReport report_;
  double target_ = 0.0;        // the residual to sweep to
  std::vector<double> moved_;  // every column, relatively, since it was settled; empty: unknown
  double gain_ = 0.0;          // what columns pass on to P of what they have moved by
  double found_ = 0.0;         // the largest gain there has been in this solve
  double limit_ = 0.0;         // columns that have moved by more are settled
  double may_wait_ = 0.0;      // what a column that is not settled may lack
};

}  // namespace

SolveReport solve_fixed_point(Backend& backend, SweepState& state, const Sweep& equation,
                              const SolveOptions& options, Start start, Carried& carried) {
  return Loop(backend, state, equation, options, start, carried).run();
}

}  // namespace widedeq
