// Losses, gradients and steps of gradient descent on A, W, u and v.
//
//   r = yhat - y            loss = 1/2 sum r^2
//   dA = s (L diag r) Z'    dW = (B diag r) X' / sqrt(m)    du = Z r    dv = Phi r
//
// Samples go through in chunks, so that the working set is m x chunk however large n is. Several
// chunks: every solve starts cold, and gradients add up in an m x m accumulator. One chunk: its
// update is applied straight from L and Z, and the solves start where the last epoch's ended, their
// states following the update:
//
//   A -= eta s (L diag r) Z'   hence   s A Z   -= eta s^2 (L diag r) (Z'Z)
//                                      s A' L  -= eta s^2 (Z diag r) (L'L)
//
// Rounding adds up in states that are carried on, so they are audited: rebuilt in double when it is
// time (audit_schedule.hpp), and when a solve asks for it (SolveReport::wants_audit).
#pragma once

#include <span>
#include <vector>

#include "host/adjoint_solver.hpp"
#include "host/audit_schedule.hpp"
#include "host/equilibrium_solver.hpp"
#include "host/gram_monitor.hpp"
#include "host/parameters.hpp"
#include "host/training_plan.hpp"

namespace widedeq {

/// What an epoch saw before its update.
struct Evaluation {
  double loss = 0.0;                // 1/2 sum r^2
  SolveReport forward, adjoint;     // over all chunks: see merge()
  std::vector<double> predictions;  // yhat, n
  bool converged() const {
    return forward.status == SolveStatus::converged && adjoint.status == SolveStatus::converged;
  }
};

class Trainer {
 public:
  /// inputs d x n, targets n.
  Trainer(Backend& backend, Model& model, const HostMatrix& inputs, std::vector<double> targets,
          const SolveOptions& options, const TrainerOptions& how = {});

  Index samples() const { return static_cast<Index>(targets_.size()); }
  Index chunk() const { return plan_.chunk; }
  ConstBlock X() const { return X_; }
  /// Z and L of the chunk that evaluate() solved last, m x chunk: of all samples when there is one.
  ConstBlock Z() const { return forward_.Z(); }
  ConstBlock L() const { return adjoint_.L(); }

  /// Solves forward and adjoint for every sample and gathers the gradient at the current weights.
  /// Copies Z, L and Phi to `monitor` when given (between its begin() and submit()). Stops at the
  /// first chunk that does not converge; then no update() may follow.
  /// `audit`: have warm-started states audited now, whether or not it is time.
  Evaluation evaluate(GramMonitor* monitor = nullptr, bool audit = false);

  /// The same for other samples, no more of them than the trainer was made for: a batch. inputs are
  /// d x count, targets count; solved cold, and the next evaluate() starts cold as well. update()
  /// and gradient() then are the batch's.
  Evaluation evaluate_batch(const HostMatrix& inputs, std::span<const double> targets);

  /// To be called when the weights have been changed by anything but update(): the next evaluate()
  /// starts cold.
  void forget() { audits_.forget(); }

  /// Weights -= eta * gradient of the last evaluate(). Returns the gradient's norm over all
  /// parameters.
  double update(double eta);

  /// Saves or restores what the next epoch depends on beside the weights. To be called between an
  /// update() and the next evaluate(), the model having been transferred before.
  void transfer(Archive& archive);

  /// The gradient of the last evaluate() in double: A m x m, W m x d, u and v m.
  Weights gradient();

  /// direction = alpha times the gradient of the last evaluate(), on the backend. Returns the
  /// gradient's norm over all parameters.
  double gradient(double alpha, Parameters& direction);

 private:
  /// Z = relu(s A Z + Phi) for the samples of Phi, and then L; cold, or from where they stand. What
  /// does not converge from there, or has shrunk, is solved cold.
  SolveReport solve_forward(Index first, Index count, bool audit);
  SolveReport solve_adjoint(bool audit);
  bool is_warm() const { return audits_.is_warm(); }
  /// Whether the samples in view are more than one chunk, whose gradients add up in dA_.
  bool in_chunks() const { return static_cast<Index>(r_.size()) > plan_.chunk; }
  /// For warm solves: the tolerance lowered by what their states have gathered since the last
  /// audit.
  SolveOptions warm_options(const SolveOptions& options) const;
  /// Chunk by chunk, the samples in view.
  Evaluation evaluate_chunks(GramMonitor* monitor, bool audit);
  void clear_gradient();
  void add_chunk_gradient(Index first, Index count);
  /// A += alpha dA; returns ||dA||_F^2.
  double update_recurrent_weights(double alpha);
  /// u -= eta du, and the adjoint follows; returns ||du||^2.
  double update_readout(double eta);
  /// C += alpha dA; returns ||dA||_F^2.
  double add_recurrent_gradient(Block C, double alpha);

  Backend& backend_;
  Model& model_;
  std::vector<double> targets_;
  SolveOptions options_, forward_options_;
  TrainingPlan plan_;
  AuditSchedule audits_;
  Matrix X_;        // d x n
  Matrix Phi_, B_;  // m x chunk
  EquilibriumSolver forward_;
  AdjointSolver adjoint_;
  struct InView {
    ConstBlock X;                     // d x count
    std::span<const double> targets;  // count
  } in_view_;                         // all samples, or a batch
  Matrix batch_X_;                    // d x the most there has been in a batch
  std::vector<double> r_;             // count
  Matrix dA_;                         // m x m, several chunks only
  Matrix dW_, du_, dv_;               // m x d, m, m
  Matrix u_before_;                   // m
  Matrix ones_;                       // 1 x chunk
};

}  // namespace widedeq
