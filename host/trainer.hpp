// Full-batch gradient descent on A, W, u and v.
//
//   r = yhat - y            loss = 1/2 sum r^2
//   dA = s (L diag r) Z'    dW = (B diag r) X' / sqrt(m)    du = Z r    dv = Phi r
//
// Samples go through in chunks, so that the working set is m x chunk however large n is. One chunk:
// its update is applied straight from L and Z. Several: gradients add up in an m x m accumulator.
#pragma once

#include <optional>
#include <vector>

#include "host/adjoint_solver.hpp"
#include "host/equilibrium_solver.hpp"
#include "host/gram_monitor.hpp"

namespace widedeq {

/// What an epoch saw before its update.
struct Evaluation {
  double loss = 0.0;                // 1/2 sum r^2
  SolveReport forward, adjoint;     // over all chunks: worst status, most sweeps, every residual
  std::vector<double> predictions;  // yhat, n
  bool converged() const {
    return forward.status == SolveStatus::converged && adjoint.status == SolveStatus::converged;
  }
};

class Trainer {
 public:
  /// inputs d x n, targets n. `chunk` samples at a time (0: chosen so that m x chunk stays
  /// moderate).
  Trainer(Backend& backend, Model& model, const HostMatrix& inputs, std::vector<double> targets,
          const SolveOptions& options, Index chunk = 0);

  Index samples() const { return static_cast<Index>(targets_.size()); }
  Index chunk() const { return chunk_; }
  ConstBlock X() const { return X_; }

  /// Solves forward and adjoint for every sample and gathers the gradient at the current weights.
  /// Copies Z, L and Phi to `monitor` when given (between its begin() and submit()). Stops at the
  /// first chunk that does not converge; then no update() may follow.
  Evaluation evaluate(GramMonitor* monitor = nullptr);

  /// Weights -= eta * gradient of the last evaluate(). Returns the gradient's norm over all
  /// parameters.
  double update(double eta);

  /// The gradient of the last evaluate() in double: A m x m, W m x d, u and v m.
  Weights gradient();

 private:
  void clear_gradient();
  void add_chunk_gradient(Index first, Index count);
  /// C += alpha dA; returns ||dA||_F^2.
  double add_recurrent_gradient(Block C, double alpha);

  Backend& backend_;
  Model& model_;
  std::vector<double> targets_;
  SolveOptions options_;
  Index chunk_ = 0;
  Matrix X_;        // d x n
  Matrix Phi_, B_;  // m x chunk
  EquilibriumSolver forward_;
  AdjointSolver adjoint_;
  std::vector<double> r_;  // n
  Matrix dA_;              // m x m, several chunks only
  Matrix dW_, du_, dv_;    // m x d, m, m
  Matrix ones_;            // 1 x chunk
};

}  // namespace widedeq
