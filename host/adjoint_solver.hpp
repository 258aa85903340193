// Adjoint solve with unit residual: L = D o (u 1' + s A' L), D = 1[P > 0] of the forward solve.
#pragma once

#include "host/fixed_point.hpp"
#include "host/model.hpp"

namespace widedeq {

class AdjointSolver {
 public:
  /// Buffers for up to `columns` samples of a width-m model.
  AdjointSolver(Backend& backend, Precision precision, Index width, Index columns);

  /// Solves for the samples whose forward pre-activation is P (m x n, n <= columns).
  SolveReport solve(const Model& model, ConstBlock P, const SolveOptions& options);

  /// L of the last solve, m x n.
  ConstBlock L() const { return state_.applied.columns(0, state_.count); }

 private:
  Backend& backend_;
  SweepState state_;
};

}  // namespace widedeq
