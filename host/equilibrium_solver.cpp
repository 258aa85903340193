// The forward solve's start and its one equation; see equilibrium_solver.hpp.
#include "host/equilibrium_solver.hpp"

namespace widedeq {

EquilibriumSolver::EquilibriumSolver(Backend& backend, Precision precision, Index width,
                                     Index columns)
    : backend_(backend), state_(backend.make_sweep_state(precision, width, columns)) {}

SolveReport EquilibriumSolver::solve(const Model& model, ConstBlock Phi,
                                     const SolveOptions& options) {
  if (Phi.columns > state_.P.columns())
    throw ShapeError("forward solve: Phi is " + shape(Phi) + ", buffers are " +
                     shape(state_.P.block()));
  state_.count = Phi.columns;
  backend_.copy(Phi, state_.P.columns(0, state_.count));  // P = Phi + s A Z at Z = 0

  // Z = relu(s A Z + Phi)
  const Sweep sweep{.A = model.A.operand(),
                    .transpose = Transpose::no,
                    .s = model.s(),
                    .epilogue = Epilogue::relu,
                    .gate = {},
                    .tolerance = options.tolerance};
  return solve_fixed_point(backend_, state_, sweep, options);
}

}  // namespace widedeq
