// Adjoint solve with unit residual: L = D o (u 1' + s A' L), D = 1[P > 0] of the forward solve.
//
// Like the forward solver it can go on from where it stands; here with P the adjoint's own
// pre-activation u 1' + s A' L:
//
//   follow(eta, ...)       A <- A - eta s (L diag r) Z':  P -= eta s^2 (Z diag r) (L'L)
//   follow_readout(c, du)  u <- u + c du:                 P += c du 1'
//   solve_on()             iterates from there, from a guess where it can (solve_warm())
#pragma once

#include <span>

#include "host/fixed_point.hpp"
#include "host/model.hpp"

namespace widedeq {

class AdjointSolver {
 public:
  /// Buffers for up to `columns` samples of a width-m model.
  AdjointSolver(Backend& backend, Precision precision, Index width, Index columns);

  /// Solves for the samples whose forward pre-activation is P (m x n, n <= columns), from L = 0.
  SolveReport solve(const Model& model, ConstBlock P, const SolveOptions& options);

  /// The same samples again, after follow() and follow_readout() have said what has changed; P is
  /// the new forward pre-activation.
  SolveReport solve_on(const Model& model, ConstBlock P, const SolveOptions& options);
  /// Rebuilds the pre-activation from the model and L; adds to the report of the solve before.
  void audit(const Model& model, ConstBlock P, const SolveOptions& options, SolveReport& report);

  /// The state follows rank_update(A, -eta s, L, r, Z). To be called before A changes its operand.
  void follow(const Model& model, double eta, ConstBlock Z, std::span<const double> r);
  /// The state follows u <- u + c du, du m x 1.
  void follow_readout(double c, ConstBlock du);

  /// L of the last solve, m x n.
  ConstBlock L() const { return state_.applied.columns(0, state_.count); }

  /// Saves or restores what the next solve starts from.
  void transfer(const Model& model, bool warm, Archive& archive);

 private:
  Sweep sweep(const Model& model, ConstBlock P, const SolveOptions& options) const;

  Backend& backend_;
  SweepState state_;
  Carried carried_;
};

}  // namespace widedeq
