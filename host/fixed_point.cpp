// Cold and warm solves, audits, and what one solve leaves to the next; see fixed_point.hpp.
#include "host/fixed_point.hpp"

#include <algorithm>
#include <cmath>

#include "host/drift.hpp"

namespace widedeq {
namespace {

/// Where an audit finds a residual above the tolerance, it is not far above.
constexpr double sweeps_after_audit = 4.0;

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

/// What rounding has come to after an audit, and the few sweeps that may have to follow it.
double drift_of_audit(const Sweep& sweep, const SolveOptions& options) {
  const double drift =
      drift_after(0.0, sweeps_after_audit, sweep.A.width, sweep.A.precision, options.tolerance);
  return std::min(drift, most_drift * options.tolerance);
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

SolveOptions tightened_by(double drift, Index width, Precision precision, SolveOptions options) {
  const double least = std::min(options.tolerance, smallest_tolerance(precision));
  const double off = std::hypot(drift, options.injection_off);
  options.tolerance = std::max(residual_beside(off, width, options.tolerance), least);
  return options;
}

SolveOptions forward_options(SolveOptions options, Index inputs, Precision precision) {
  const bool is_rounded = injection_sums(inputs, precision, options.tolerance) == Sums::native;
  options.injection_off = is_rounded ? injection_rounding(inputs, precision) : 0.0;
  return options;
}

void merge(SolveReport& all, SolveReport more) {
  if (more.status != SolveStatus::converged) all.status = more.status;
  if (more.audit) all.audit = std::max(all.audit.value_or(0.0), *more.audit);
  all.sweeps = std::max(all.sweeps, more.sweeps);
  all.worst_residual = std::max(all.worst_residual, more.worst_residual);
  all.residuals.insert(all.residuals.end(), more.residuals.begin(), more.residuals.end());
}

double smallest_tolerance(Precision precision) {
  // A few units of rounding in P, which every sweep adds to.
  return precision == Precision::fp64 ? 1e-14 : 1e-7;
}

namespace {

/// For a cold solve, whose sweeps are expected to round P (drift.hpp).
SolveOptions cold_options(const Sweep& sweep, const SolveOptions& options) {
  return tightened_by(expected_drift(sweep, options), sweep.A.width, sweep.A.precision, options);
}

/// What has reached the limit of sweeps, but with every residual within the tolerance that was
/// asked for (the solve's own is lower, for rounding's sake), is worth an audit, whose word is
/// final.
void leave_to_audit_where_near(const SolveOptions& options, SolveReport& report) {
  if (report.status != SolveStatus::max_sweeps || report.worst_residual > options.tolerance) return;
  report.status = SolveStatus::converged;
  report.wants_audit = true;
}

/// Whether so many sweeps may have rounded more, and an audit could put that right: next to the
/// smallest tolerance it could not.
bool exceeds_expected_drift(const Sweep& sweep, const SolveOptions& options, int sweeps) {
  const Precision precision = sweep.A.precision;
  const double drift = drift_after(0.0, sweeps, sweep.A.width, precision, options.tolerance);
  const double after_audit =
      residual_beside(drift_of_audit(sweep, options), sweep.A.width, options.tolerance);
  return drift > expected_drift(sweep, options) && after_audit >= smallest_tolerance(precision);
}

}  // namespace

SolveReport solve_cold(Backend& backend, SweepState& state, const Sweep& sweep,
                       const SolveOptions& options, Carried& carried,
                       const std::function<void()>& start_P) {
  carried.has_followed = false;  // `start_P` knows of every change
  carried.drives.clear();
  clear_owed(backend, carried);
  const auto solve = [&] {
    start_P();
    SolveReport report = solve_fixed_point(backend, state, sweep, cold_options(sweep, options),
                                           Start::cold, carried);
    report.wants_audit =
        report.wants_audit || exceeds_expected_drift(sweep, options, report.sweeps);
    leave_to_audit_where_near(options, report);
    return report;
  };
  SolveReport report = solve();
  const bool has_failed =
      report.status == SolveStatus::max_sweeps || report.status == SolveStatus::diverged;
  if (!has_failed || sweep.A.panels == 1 || carried.jacobi) return report;
  carried.jacobi = true;
  report = after(report, solve());
  carried.jacobi = report.status == SolveStatus::converged;
  return report;
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

void note_change(Backend& backend, SweepState& state, const Operand& A, double eta,
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

void clear_owed(Backend& backend, Carried& carried) {
  if (!carried.owed.empty()) backend.fill(carried.owed, 0.0);
}

void audit_fixed_point(Backend& backend, SweepState& state, const Sweep& sweep, const WeightView& A,
                       ConstBlock c, const SolveOptions& options, SolveReport& report,
                       Carried& carried) {
  const auto rebuild = [&] {
    state.open_count = 0;  // what is pending is in `applied`, of which P is made
    backend.rebuild(state, sweep, A, c);
  };
  rebuild();
  clear_owed(backend, carried);
  // Rebuilding has settled the plane.
  Carried rebuilt{.plane = {.expected = 0.0}, .peaks = {}, .jacobi = carried.jacobi};
  // Rebuilding has rounded P once, and what sweeps may follow will.
  const SolveOptions lower =
      tightened_by(drift_of_audit(sweep, options), sweep.A.width, sweep.A.precision, options);
  SolveReport audited = solve_fixed_point(backend, state, sweep, lower, Start::warm, rebuilt);
  carried.peaks = std::move(rebuilt.peaks);
  audited.audit = audited.first_residual;
  const bool has_ended = audited.status != SolveStatus::max_sweeps;
  leave_to_audit_where_near(options, audited);
  if (!has_ended && audited.status == SolveStatus::converged) {  // so many sweeps have rounded P
    rebuild();
    Sweep asked = sweep;
    asked.tolerance = options.tolerance;
    if (backend.measure(state, asked, false).open > 0) audited.status = SolveStatus::max_sweeps;
    audited.residuals = backend.residuals(state);
    audited.worst_residual = *std::ranges::max_element(audited.residuals);
  }
  report = after(report, std::move(audited));
}

}  // namespace widedeq
