// Forward solve: Z = relu(s A Z + Phi), one sample a column.
#pragma once

#include "host/fixed_point.hpp"
#include "host/model.hpp"

namespace widedeq {

class EquilibriumSolver {
 public:
  /// Buffers for up to `columns` samples of a width-m model.
  EquilibriumSolver(Backend& backend, Precision precision, Index width, Index columns);

  /// Solves for the samples whose injection is Phi (m x n, n <= columns).
  SolveReport solve(const Model& model, ConstBlock Phi, const SolveOptions& options);

  /// Z and P = s A Z + Phi of the last solve, m x n; D = 1[P > 0].
  ConstBlock Z() const { return state_.applied.columns(0, state_.count); }
  ConstBlock P() const { return state_.P.columns(0, state_.count); }

 private:
  Backend& backend_;
  SweepState state_;
};

}  // namespace widedeq
