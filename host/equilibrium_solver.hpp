// Forward solve: Z = relu(s A Z + Phi), one sample a column.
//
// A solver that has solved once can go on from where it stands when the weights move a little:
//
//   follow(eta, ...)    A <- A - eta s (L diag r) Z':  P -= eta s^2 (L diag r) (Z'Z)
//   add_injection(c, d) Phi <- Phi + c d:              P += c d
//   solve_on()          iterates from there, from a guess where it can (solve_warm())
//   audit()             makes P anew from A, Phi and Z, and mends what has drifted
#pragma once

#include <span>

#include "host/fixed_point.hpp"
#include "host/model.hpp"

namespace widedeq {

class EquilibriumSolver {
 public:
  /// Buffers for up to `columns` samples of a width-m model.
  EquilibriumSolver(Backend& backend, Precision precision, Index width, Index columns);

  /// Solves for the samples whose injection is Phi (m x n, n <= columns), from Z = 0.
  SolveReport solve(const Model& model, ConstBlock Phi, const SolveOptions& options);

  /// The same samples again, after follow() and add_injection() have said what has changed.
  SolveReport solve_on(const Model& model, const SolveOptions& options);
  /// Rebuilds P from the model, Phi and Z; adds to the report of the solve before.
  void audit(const Model& model, ConstBlock Phi, const SolveOptions& options, SolveReport& report);

  /// P follows rank_update(A, -eta s, L, r, Z). To be called before A changes its operand.
  void follow(const Model& model, double eta, ConstBlock L, std::span<const double> r);
  /// P follows Phi <- Phi + c dPhi.
  void add_injection(double c, ConstBlock dPhi);

  /// Z and P = s A Z + Phi of the last solve, m x n; D = 1[P > 0].
  ConstBlock Z() const { return state_.applied.columns(0, state_.count); }
  ConstBlock P() const { return state_.P.columns(0, state_.count); }

  /// The next solve, which must be a solve(), will go by nothing that earlier ones have learnt.
  void forget() { carried_ = {}; }

  /// Saves or restores what the next solve starts from.
  void transfer(const Model& model, bool warm, Archive& archive);

 private:
  Sweep sweep(const Model& model, const SolveOptions& options) const;

  Backend& backend_;
  SweepState state_;
  Carried carried_;
};

}  // namespace widedeq
