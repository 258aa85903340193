// Iterating z = f(s op(A) z + c) to a tolerance: what forward and adjoint solves share.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "host/archive.hpp"
#include "host/extrapolation.hpp"
#include "host/plane_share.hpp"
#include "kernels/backend.hpp"

namespace widedeq {

enum class SolveStatus : std::uint8_t { converged, max_sweeps, diverged, non_finite };

/// "converged", "diverged", ... for logs and errors: what a sample or a solve did.
const char* describe(SolveStatus status);

struct SolveOptions {
  /// Per-sample relative residual ||f(z) - z|| / ||z|| at which a sample stops.
  double tolerance = 1e-6;
  int max_sweeps = 1000;
  double injection_off = 0.0;  // what the injection is off by, relative to z (drift.hpp)
};

/// The tolerance that a residual as measured has to meet so that, with P off by `drift` and the
/// injection by `injection_off`, both relative to z, the one asked for holds; but none below what
/// rounding allows.
SolveOptions tightened_by(double drift, Index width, Precision precision, SolveOptions options);

/// The options for forward solves of a network of so many inputs, whose injection is added up as
/// injection_sums() has it.
SolveOptions forward_options(SolveOptions options, Index inputs, Precision precision);

/// The smallest tolerance a precision can honour: below it the residual is rounding.
double smallest_tolerance(Precision precision);

struct SolveReport {
  SolveStatus status = SolveStatus::converged;
  int sweeps = 0;                 // columns that have stopped take no part in later ones
  double worst_residual = 0.0;    // the largest over samples
  std::vector<double> residuals;  // per sample, relative
  double first_residual = 0.0;    // the worst at the first look, unless the start was predicted; an
                                  // audit's where there was one
  /// The plane turned out to weigh much more than it was taken for: the solve wants an audit.
  bool wants_audit = false;
  /// A sample has shrunk since P was made, and what P has of its former size's rounding may no
  /// longer be small beside it: the solve wants to start cold. (An audit would not do: where the
  /// sample has died, z = 0, what is left is all rounding and takes for ever to vanish.)
  bool wants_cold_start = false;
  /// The worst residual an audit found after it had rebuilt P, before it put things right.
  std::optional<double> audit = std::nullopt;
};

/// The report over more samples: the last status that is not converged, most sweeps, largest audit,
/// all residuals.
void merge(SolveReport& all, SolveReport more);

/// Where an iteration begins.
enum class Start : std::uint8_t {
  cold,       // P = c (already in state.P), z = 0
  warm,       // z of the last solve, P up to date with what has changed since
  predicted,  // the same, and Backend::predict has opened the columns; see solve_warm()
};

/// What one solve leaves to the next.
struct Carried {
  PlaneForecast plane;
  /// ||z|| of every sample at its largest since P was made anew: its rounding is in P still.
  std::vector<double> peaks;
  /// Sweeps go by all rows at once, because by panels they have failed (Sweep::jacobi).
  bool jacobi = false;
  /// What drove the last changes of the weights, those since the last cold solve: responses are
  /// known to all of them but the newest, which drives the next solve.
  Drives drives = {};
  int base_version = 0;       // A's in the last warm solve: responses are of one base
  int guesses = 0;            // that responses have been made of since there have been any
  bool has_followed = false;  // P has followed a change since the last solve
  /// m x n real: changes that P is to follow, and afterwards what it has rounded off of them; made
  /// by the first one. Changes of one epoch are much like those of the last: rounded off every
  /// time, what is lost of them would add up. (Measured in 2^-24 ||z||, fp32, gradient descent so
  /// slow that P moves by 4e-6 an epoch, 512 x 50: 22 and 27 after 48 epochs, forward and adjoint;
  /// with this 5 and 4.)
  Matrix owed = {};
};

/// What P is to follow, m x count: whoever changes what P is made of adds to it.
Block owed_to_P(Backend& backend, const SweepState& state, Carried& carried);
/// P has been made anew: nothing is owed to it.
void clear_owed(Backend& backend, Carried& carried);

/// Saves or restores what one solve leaves to the next; P, Zhat and the columns' histories only
/// where the next one starts `warm` from them. No column may be open. `A` is what they solve for.
void transfer_solved(Archive& archive, SweepState& state, const Operand& A, bool warm,
                     Carried& carried);

/// Iterates until every sample's residual is within the tolerance.
///
/// Mixed precision with a residual plane E (A = base + E): sweeps multiply the base alone; E's
/// share of P, s op(E) z, is brought up to date once the residual is no larger than what it lacks.
/// In the end P = c + s op(base + E) z but for what is left to the next solve: nearly nothing after
/// a cold one, after others less than a third of the tolerance, which a sample's residual in the
/// report includes.
///
/// Never throws for numerical reasons: divergence and non-finite values are statuses.
SolveReport solve_fixed_point(Backend& backend, SweepState& state, const Sweep& equation,
                              const SolveOptions& options, Start start, Carried& carried);

/// A warm solve. After a change of the weights it begins with a guess: of what the solves before
/// have added to P, extrapolated as what drove them is (kernels/response.hpp). (Measured, mixed,
/// 4096 x 1000, sphere, 32 epochs: 10.6 int8 products an epoch; 12.7 with a guess that cost a
/// product and was rounded to int8, and went by the last response alone.)
SolveReport solve_warm(Backend& backend, SweepState& state, const Sweep& equation,
                       const SolveOptions& options, Carried& carried);

/// The report of a solve that another one came before: that one's sweeps are in it too.
inline SolveReport after(const SolveReport& before, SolveReport report) {
  report.sweeps += before.sweeps;
  return report;
}

/// A cold solve: `start_P` fills P. One that fails by row panels is tried again by all rows at
/// once, which converges wherever ||s A|| < 1. It wants an audit where its sweeps may have rounded
/// P by more than was taken off the tolerance for that.
SolveReport solve_cold(Backend& backend, SweepState& state, const Sweep& sweep,
                       const SolveOptions& options, Carried& carried,
                       const std::function<void()>& start_P);

/// Audits a solved state: rebuilds P = c + s op(A) z in double, measures every residual
/// anew, and where one misses the tolerance iterates on. What that does not bring below it within
/// the limit of sweeps is rebuilt once more, and the last word is what is measured then. Adds to
/// the report of the solve.
void audit_fixed_point(Backend& backend, SweepState& state, const Sweep& sweep, const WeightView& A,
                       ConstBlock c, const SolveOptions& options, SolveReport& report,
                       Carried& carried);

/// Readies a solved state for a change dE of A's plane, whose share s dE applied P is about to
/// take. (The next settling multiplies what z has moved by since the last one by E + dE, although P
/// has followed dE: what is left unsettled counts dE twice. See UnsettledShare::most.) `A` is the
/// operand before it. Also tells solve_warm() that there has been a change, and its drive: eta r.
void note_change(Backend& backend, SweepState& state, const Operand& A, double eta,
                 std::span<const double> r, Carried& carried);

}  // namespace widedeq
