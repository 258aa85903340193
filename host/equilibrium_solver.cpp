// The forward solve's start, its one equation, and how it goes on; see equilibrium_solver.hpp.
#include "host/equilibrium_solver.hpp"

namespace widedeq {

EquilibriumSolver::EquilibriumSolver(Backend& backend, Precision precision, Index width,
                                     Index columns)
    : backend_(backend), state_(backend.make_sweep_state(precision, width, columns)) {}

Sweep EquilibriumSolver::sweep(const Model& model, const SolveOptions& options) const {
  // Z = relu(s A Z + Phi)
  return {.A = model.A.operand(),
          .transpose = Transpose::no,
          .s = model.s(),
          .epilogue = Epilogue::relu,
          .gate = {},
          .tolerance = options.tolerance};
}

SolveReport EquilibriumSolver::solve(const Model& model, ConstBlock Phi,
                                     const SolveOptions& options) {
  if (Phi.columns > state_.P.columns())
    throw ShapeError("forward solve: Phi is " + shape(Phi) + ", buffers are " +
                     shape(state_.P.block()));
  state_.count = Phi.columns;
  SolveReport report = solve_cold(backend_, state_, sweep(model, options), options, carried_, [&] {
    backend_.copy(Phi, state_.P.columns(0, state_.count));  // P = Phi + s A Z at Z = 0
  });
  if (report.wants_audit && report.status == SolveStatus::converged)
    audit(model, Phi, options, report);
  return report;
}

SolveReport EquilibriumSolver::solve_on(const Model& model, const SolveOptions& options) {
  return solve_warm(backend_, state_, sweep(model, options), options, carried_);
}

void EquilibriumSolver::audit(const Model& model, ConstBlock Phi, const SolveOptions& options,
                              SolveReport& report) {
  audit_fixed_point(backend_, state_, sweep(model, options), model.A.view(), Phi, options, report,
                    carried_);
}

void EquilibriumSolver::follow(const Model& model, double eta, ConstBlock L,
                               std::span<const double> r) {
  note_change(backend_, state_, model.A.operand(), eta, r, carried_);
  const double s = model.s();
  backend_.follow_rank_update(owed_to_P(backend_, state_, carried_), -eta * s * s, L, r, Z(),
                              model.precision());
}

void EquilibriumSolver::add_injection(double c, ConstBlock dPhi) {
  backend_.add_scaled(owed_to_P(backend_, state_, carried_), c, dPhi);
}

void EquilibriumSolver::transfer(const Model& model, bool warm, Archive& archive) {
  transfer_solved(archive, state_, model.A.operand(), warm, carried_);
}

}  // namespace widedeq
