// The adjoint solve's start, its one equation, and how it goes on; see adjoint_solver.hpp.
#include "host/adjoint_solver.hpp"

namespace widedeq {

AdjointSolver::AdjointSolver(Backend& backend, Precision precision, Index width, Index columns)
    : backend_(backend), state_(backend.make_sweep_state(precision, width, columns)) {}

Sweep AdjointSolver::sweep(const Model& model, ConstBlock P, const SolveOptions& options) const {
  // L = D o (u 1' + s A' L), D = 1[P > 0]
  return {.A = model.A.operand(),
          .transpose = Transpose::yes,
          .s = model.s(),
          .epilogue = Epilogue::mask,
          .gate = P,
          .tolerance = options.tolerance};
}

SolveReport AdjointSolver::solve(const Model& model, ConstBlock P, const SolveOptions& options) {
  if (P.columns > state_.P.columns())
    throw ShapeError("adjoint solve: P is " + shape(P) + ", buffers are " +
                     shape(state_.P.block()));
  state_.count = P.columns;
  SolveReport report =
      solve_cold(backend_, state_, sweep(model, P, options), options, carried_, [&] {
        backend_.broadcast(model.u, state_.P.columns(0, state_.count));  // u 1' + s A' L at L = 0
      });
  if (report.wants_audit && report.status == SolveStatus::converged)
    audit(model, P, options, report);
  return report;
}

SolveReport AdjointSolver::solve_on(const Model& model, ConstBlock P, const SolveOptions& options) {
  return solve_warm(backend_, state_, sweep(model, P, options), options, carried_);
}

void AdjointSolver::audit(const Model& model, ConstBlock P, const SolveOptions& options,
                          SolveReport& report) {
  Matrix c = backend_.allocate(state_.P.element(), state_.P.rows(), state_.count);
  backend_.broadcast(model.u, c);
  audit_fixed_point(backend_, state_, sweep(model, P, options), model.A.view(), c, options, report,
                    carried_);
}

void AdjointSolver::follow(const Model& model, double eta, ConstBlock Z,
                           std::span<const double> r) {
  note_change(backend_, state_, model.A.operand(), eta, r, carried_);
  const double s = model.s();
  backend_.follow_rank_update(owed_to_P(backend_, state_, carried_), -eta * s * s, Z, r, L(),
                              model.precision());
}

void AdjointSolver::follow_readout(double c, ConstBlock du) {
  backend_.add_column(owed_to_P(backend_, state_, carried_), c, du);
}

void AdjointSolver::transfer(const Model& model, bool warm, Archive& archive) {
  transfer_solved(archive, state_, model.A.operand(), warm, carried_);
}

}  // namespace widedeq
