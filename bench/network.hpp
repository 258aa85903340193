// The networks that stages are timed on: random data, default weights, and weights as training
// leaves them.
#pragma once

#include "bench/stage.hpp"
#include "host/trainer.hpp"

namespace widedeq::bench {

/// d x n columns of unit length, and targets +-1.
HostMatrix random_inputs(const Case& c);
std::vector<double> random_targets(const Case& c);

/// A m x n block of N(0,1) draws in the precision's reals; `stream` tells several apart.
Matrix random_matrix(const Case& c, Index rows, Index columns, std::uint64_t stream);

/// The default network: A from the lattice, which int8 holds exactly.
Model lattice_model(const Case& c);

/// A gamma at which fixed points are found at any width, by stages that need one and do not time
/// it.
inline constexpr double contracting_gamma = 0.25;

/// model.A's change = 1e-3 N(0,1), the size of what training adds; the operand is left as it was.
void perturb(const Case& c, Model& model);

/// A network in training: one epoch done, so that its weights have a change, and its learning rate
/// 1 / lambda_max(H(0)).
struct Training {
  explicit Training(const Case& c);

  Model model;
  Trainer trainer;
  double learning_rate = 0.0;
  Evaluation first;  // of the epoch done; not converged: no update was made
};

/// "diverged after 40 sweeps, residual 3.2", or "" for a solve that converged.
std::string describe_failure(const SolveReport& report);

/// The arithmetic of real products at a precision: fp64, else fp32.
constexpr Precision real_arithmetic(Precision precision) {
  return precision == Precision::fp64 ? Precision::fp64 : Precision::fp32;
}

/// Bytes of one real.
inline double real_bytes(Precision precision) {
  return static_cast<double>(size_of(real_of(precision)));
}

/// Sizes of a case as factors of a formula.
struct Sizes {
  double m, n, d;
};
inline Sizes sizes(const Case& c) {
  return {static_cast<double>(c.shape.m), static_cast<double>(c.shape.n),
          static_cast<double>(c.inputs)};
}

}  // namespace widedeq::bench
