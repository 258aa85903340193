// The loop around sweeps; see fixed_point.hpp.
#include "host/fixed_point.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "host/drift.hpp"

namespace widedeq {
namespace {

/// An increment this much longer than the first one will not come back: the map expands.
constexpr double hopeless_growth = 1e4;

/// With a plane, sweep this far before the first settling: near enough to measure the plane's gain.
constexpr double first_target = 0.05;

/// The gain of fewer columns than this may be small by chance, in a move that says little of the
/// next.
constexpr Index enough_columns = 8;

/// Where an audit finds a residual above the tolerance, it is not far above.
constexpr double sweeps_after_audit = 4.0;

/// A plane that weighs so much more than assumed has been settled with too few digits.
constexpr double most_surprise = 8.0;

/// What a look at the columns means for the solve.
void note(const SweepStatus& status, SolveReport& report) {
  if (!status.finite) {
    report.status = SolveStatus::non_finite;
  } else if (status.worst_growth > hopeless_growth) {
    report.status = SolveStatus::diverged;
  }
}

/// Adds what an iteration has come to, `most` sweeps having been allowed.
void add_sweeps(const SweepStatus& status, int most, SolveReport& report) {
  report.sweeps += status.sweeps;
  note(status, report);
  if (report.status == SolveStatus::converged && status.open > 0 && status.sweeps >= most)
    report.status = SolveStatus::max_sweeps;
}

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

void transfer_drives(Archive& archive, Index samples, Drives& drives) {
  auto count = static_cast<std::int64_t>(drives.size());
  archive.integer("drives", count);
  drives.resize(static_cast<std::size_t>(
      std::clamp<std::int64_t>(count, 0, static_cast<std::int64_t>(most_drives))));
  bool fit = true;
  for (std::size_t k = 0; k < drives.size(); ++k) {
    archive.numbers("drive" + std::to_string(k), drives[k]);
    fit = fit && static_cast<Index>(drives[k].size()) == samples;
  }
  if (!fit) drives.clear();  // what does not fit guesses nothing
}

/// Gains that do not fit P are none.
void transfer_gains(Archive& archive, const Matrix& P, Gains& gains) {
  archive.matrix("P", gains.P);
  archive.matrix("Z", gains.Z);
  const auto fits = [&](const Matrix& matrix) {
    return matrix.element() == P.element() && matrix.rows() == P.rows() &&
           matrix.columns() == P.columns();
  };
  if (!fits(gains.P) || !(gains.Z.empty() || fits(gains.Z))) gains = {};
}

/// Rounding of a response grows with every one that is made of it, so history begins anew now and
/// then: after k guesses it is off by some k^1.5 roundings of itself.
constexpr int most_guesses = 50;

/// P is taken for one that has all of the plane's share.
void forget_unsettled(Backend& backend, SweepState& state) {
  backend.copy(state.applied.columns(0, state.count), state.settled.columns(0, state.count));
}

/// Makes room for what solves gain, and forgets responses of another base or too many guesses.
void ready_gains(Backend& backend, SweepState& state, const Operand& A, Carried& carried) {
  for (Gains* gains : {&state.gained, &state.gained_before}) {
    const auto make = [&](Matrix& matrix) {
      if (matrix.empty())
        matrix = backend.allocate(state.P.element(), state.P.rows(), state.P.columns());
    };
    make(gains->P);
    if (A.precision == Precision::mixed) make(gains->Z);
  }
  const bool is_old = carried.base_version != A.base_version || carried.guesses >= most_guesses;
  if (is_old && carried.drives.size() > 1) carried.drives.resize(1);
  carried.base_version = A.base_version;
  ++carried.guesses;
  if (carried.drives.size() > 1) return;
  backend.fill(state.known, 0.0);
  carried.guesses = 0;
}

/// What rounding in a cold solve's sweeps is expected to come to, relative to z; 0 where that would
/// leave too little of the tolerance.
double expected_drift(const Sweep& sweep, const SolveOptions& options) {
  const Index width = sweep.A.width;
  const double gamma = sweep.s * std::sqrt(static_cast<double>(width));
  const double drift = drift_after(0.0, cold_sweeps(gamma, options.tolerance), width,
                                   sweep.A.precision, options.tolerance);
  return drift <= most_drift * options.tolerance ? drift : 0.0;
}

/// The tolerance for the residual as measured, P being off by `drift`; but none that rounding would
/// keep out of reach.
SolveOptions beside(double drift, const Sweep& sweep, SolveOptions options) {
  const double least = std::min(options.tolerance, smallest_tolerance(sweep.A.precision));
  options.tolerance = std::max(residual_beside(drift, sweep.A.width, options.tolerance), least);
  return options;
}

/// What rounding has come to after an audit, and the few sweeps that may have to follow it.
double drift_of_audit(const Sweep& sweep, const SolveOptions& options) {
  const double drift =
      drift_after(0.0, sweeps_after_audit, sweep.A.width, sweep.A.precision, options.tolerance);
  return std::min(drift, most_drift * options.tolerance);
}

Sweep with_tolerance(Sweep sweep, double tolerance) {
  sweep.tolerance = tolerance;
  return sweep;
}

}  // namespace

const char* describe(SolveStatus status) {
  switch (status) {
    case SolveStatus::converged:
      return "converged";
    case SolveStatus::max_sweeps:
      return "did not reach the tolerance within the limit of sweeps";
    case SolveStatus::diverged:
      return "diverged";
    case SolveStatus::non_finite:
      return "met a value that is not finite";
  }
  return "?";
}

double smallest_tolerance(Precision precision) {
  // A few units of rounding in P, which every sweep adds to.
  return precision == Precision::fp64 ? 1e-14 : 1e-7;
}

SolveReport solve_fixed_point(Backend& backend, SweepState& state, const Sweep& equation,
                              const SolveOptions& options, Start start, Carried& carried) {
  Sweep sweep = equation;
  sweep.jacobi = carried.jacobi;
  sweep.hopeless_growth = hopeless_growth;
  PlaneForecast& plane = carried.plane;
  const bool has_plane = sweep.A.has_plane;
  const Lacking lacking(options.tolerance, sweep.A.width);
  double target = has_plane ? lacking.target(plane.expected) : options.tolerance;
  if (start == Start::cold) {
    backend.fill(state.applied, 0.0);
    backend.fill(state.pace, 0.0);
    carried.base_version = sweep.A.base_version;
    if (has_plane) {
      backend.fill(state.settled, 0.0);
      target = std::max(first_target, options.tolerance);
    }
  }

  SolveReport report;
  std::vector<double> moved;  // every column, relatively, since it was last settled; empty: unknown
  double limit = 0.0, gain = 0.0;  // beyond which columns are settled; what they pass on to P
  double found = 0.0;              // the largest gain there has been in this solve
  const auto iterate = [&](bool measures) {
    const Sweep towards = with_tolerance(sweep, target);
    const int most = options.max_sweeps - report.sweeps;
    SweepStatus status = measures ? backend.measure_and_iterate(state, towards, true, most)
                                  : backend.iterate(state, towards, most);
    if (measures) report.first_residual = status.first_residual;
    add_sweeps(status, most, report);
    moved = std::move(status.unsettled);
  };
  for (Settling kind = Settling::first; report.status == SolveStatus::converged;
       kind = Settling::later) {
    moved.clear();
    const bool is_first = kind == Settling::first;
    const bool measures = is_first && start != Start::predicted;
    if (measures || state.open_count > 0) iterate(measures);
    if (report.status != SolveStatus::converged || !has_plane) break;

    if (moved.empty()) moved = backend.unsettled(state);
    gain = std::max(plane.gain(kind, sweep), found);
    if (is_first && start != Start::cold) plane.expected = gain * largest(moved);
    // Columns to which a settling adds less than this wait for the next one, or the next solve.
    const double may_wait = start == Start::cold ? lacking.negligible() : lacking.most(gain, sweep);
    const DigitLimits limits = digit_limits(gain, may_wait);
    const SettledColumns columns = settled_columns(moved, limits);
    limit = limits[0];
    if (columns.size() == 0 && target <= lacking.within(gain * columns.left)) break;

    const bool all_settle = columns.left == 0.0;
    const double allowed = lacking.within(all_settle ? 0.0 : may_wait);
    const SettledLook settled =
        backend.settle_and_measure(state, with_tolerance(sweep, allowed), columns);
    if (columns.size() > 0) {
      const bool says_all = start == Start::cold || columns.size() >= enough_columns;
      plane.learn(kind, sweep, settled.gain, all_settle && says_all);
      report.doubtful = report.doubtful || settled.gain > most_surprise * gain;
      found = std::max(found, settled.gain);
      gain = std::max(gain, found);
    }
    note(settled.look, report);
    // Those that wait may do so only as long as they are not known to lack more.
    const double waiting = gain * columns.left;
    if (settled.look.open == 0 && waiting <= may_wait) break;
    // z has about `worst_residual` to go, and the next settling will pass on `gain` of it, and of
    // what waits: no use in sweeping below that, nor further than what it leaves of the tolerance.
    const double later = std::max(plane.gain(Settling::later, sweep), found);
    target = lacking.target(later * settled.look.worst_residual + waiting);
  }
  if (report.status != SolveStatus::converged) moved.clear();
  report.residuals = backend.residuals(state);
  lacking.add(moved, limit, gain, report.residuals);
  report.worst_residual = largest(report.residuals);
  if (start == Start::cold) carried.peaks.clear();
  report.has_shrunk = note_sizes(carried.peaks, backend.sizes(state));
  return report;
}

SolveOptions beside_drift(const Sweep& sweep, const SolveOptions& options) {
  return beside(expected_drift(sweep, options), sweep, options);
}

bool exceeds_expected_drift(const Sweep& sweep, const SolveOptions& options, int sweeps) {
  const Precision precision = sweep.A.precision;
  const double drift = drift_after(0.0, sweeps, sweep.A.width, precision, options.tolerance);
  const double after_audit =
      residual_beside(drift_of_audit(sweep, options), sweep.A.width, options.tolerance);
  return drift > expected_drift(sweep, options) && after_audit >= smallest_tolerance(precision);
}

SolveReport solve_warm(Backend& backend, SweepState& state, const Sweep& equation,
                       const SolveOptions& options, Carried& carried) {
  // What is left to settle was the plane's beside another base.
  if (equation.A.has_plane && carried.base_version != equation.A.base_version)
    forget_unsettled(backend, state);
  if (!carried.owed.empty())
    backend.absorb(state.P.columns(0, state.count), owed_to_P(backend, state, carried));
  // Without a change there is next to nothing to do, and no response to speak of.
  if (!carried.has_followed)
    return solve_fixed_point(backend, state, equation, options, Start::warm, carried);
  carried.has_followed = false;
  ready_gains(backend, state, equation.A, carried);
  const bool opened = backend.predict(state, equation, extrapolate(carried.drives));
  return solve_fixed_point(backend, state, equation, options,
                           opened ? Start::predicted : Start::warm, carried);
}

void transfer_solved(Archive& archive, SweepState& state, const Operand& A, bool warm,
                     Carried& carried) {
  archive.within("plane", [&] { carried.plane.transfer(archive); });
  archive.numbers("peaks", carried.peaks);
  archive.integer("jacobi", carried.jacobi);
  archive.integer("count", state.count);
  if (!warm) return;
  archive.matrix("P", state.P);
  archive.matrix("applied", state.applied);
  archive.matrix("settled", state.settled);
  archive.matrix("scale", state.scale);
  archive.matrix("residual", state.residual);
  archive.matrix("size", state.size);
  archive.matrix("first_step", state.first_step);
  archive.matrix("known", state.known);
  archive.matrix("pace", state.pace);
  archive.integer("pending_in", state.pending_in);
  archive.within("gained", [&] { transfer_gains(archive, state.P, state.gained); });
  archive.within("gained_before", [&] { transfer_gains(archive, state.P, state.gained_before); });
  transfer_drives(archive, state.count, carried.drives);
  const bool has_gains = !state.gained.P.empty() && !state.gained_before.P.empty();
  if (!has_gains && carried.drives.size() > 1) carried.drives.resize(1);
  archive.integer("guesses", carried.guesses);
  bool is_of_base = carried.base_version == A.base_version;
  archive.integer("is_of_base", is_of_base);
  if (archive.is_loading()) carried.base_version = A.base_version - (is_of_base ? 0 : 1);
  archive.integer("has_followed", carried.has_followed);
  archive.matrix("owed", carried.owed);
  state.open_count = 0;
}

void follow_plane(Backend& backend, SweepState& state, const Operand& A, double eta,
                  std::span<const double> r, Carried& carried) {
  Drives& drives = carried.drives;
  if (!carried.has_followed || drives.empty()) drives.emplace(drives.begin(), r.size());
  for (std::size_t j = 0; j < r.size(); ++j)
    drives.front()[j] += eta * r[j];
  if (drives.size() > most_drives) drives.pop_back();
  carried.has_followed = true;
  if (A.precision != Precision::mixed) return;
  // What a plane has not yet passed on it will, but one that has just come had nothing to.
  if (!A.has_plane) forget_unsettled(backend, state);
}

Block owed_to_P(Backend& backend, const SweepState& state, Carried& carried) {
  if (carried.owed.empty())
    carried.owed = backend.allocate(state.P.element(), state.P.rows(), state.P.columns());
  return carried.owed.columns(0, state.count);
}

void forgive(Backend& backend, Carried& carried) {
  if (!carried.owed.empty()) backend.fill(carried.owed, 0.0);
}

void audit_fixed_point(Backend& backend, SweepState& state, const Sweep& sweep, const WeightView& A,
                       ConstBlock c, const SolveOptions& options, SolveReport& report,
                       Carried& carried) {
  backend.rebuild(state, sweep, A, c);
  forgive(backend, carried);
  // Rebuilding has settled the plane.
  Carried rebuilt{.plane = {.expected = 0.0}, .peaks = {}, .jacobi = carried.jacobi};
  // Rebuilding has rounded P once, and what sweeps may follow will.
  const SolveOptions lower = beside(drift_of_audit(sweep, options), sweep, options);
  SolveReport after = solve_fixed_point(backend, state, sweep, lower, Start::warm, rebuilt);
  carried.peaks = std::move(rebuilt.peaks);
  after.audit = after.first_residual;
  after.first_residual = report.first_residual;
  after.sweeps += report.sweeps;
  report = std::move(after);
}

}  // namespace widedeq
