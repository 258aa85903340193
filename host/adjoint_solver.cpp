// The adjoint solve's start and its one equation; see adjoint_solver.hpp.
#include "host/adjoint_solver.hpp"

namespace widedeq {

AdjointSolver::AdjointSolver(Backend& backend, Precision precision, Index width, Index columns)
    : backend_(backend), state_(backend.make_sweep_state(precision, width, columns)) {}

SolveReport AdjointSolver::solve(const Model& model, ConstBlock P, const SolveOptions& options) {
  if (P.columns > state_.P.columns())
    throw ShapeError("adjoint solve: P is " + shape(P) + ", buffers are " +
                     shape(state_.P.block()));
  state_.count = P.columns;
  backend_.broadcast(model.u, state_.P.columns(0, state_.count));  // u 1' + s A' L at L = 0

  // L = D o (u 1' + s A' L), D = 1[P > 0]
  const Sweep sweep{.A = model.A.operand(),
                    .transpose = Transpose::yes,
                    .s = model.s(),
                    .epilogue = Epilogue::mask,
                    .gate = P,
                    .tolerance = options.tolerance};
  return solve_fixed_point(backend_, state_, sweep, options);
}

}  // namespace widedeq
