// How a network does on samples it is not trained on, and on those it is.
#pragma once

#include <span>
#include <vector>

#include "host/equilibrium_solver.hpp"

namespace widedeq {

/// The share of samples, 0 to 1, whose prediction is nearer to another class's target than to their
/// own; a tie is no error. `targets` has one entry a sample, each among `class_targets`.
double classification_error(std::span<const double> predictions, std::span<const double> targets,
                            std::span<const double> class_targets);

/// What held-out samples say of the current weights.
struct HeldOutScore {
  SolveReport forward;              // over all chunks solved: see merge()
  double loss = 0.0;                // 1/2 sum (yhat - y)^2
  std::vector<double> predictions;  // yhat, n
};

class HeldOut {
 public:
  /// inputs d x n, targets n; `chunk` samples at a time. Throws ShapeError when they do not fit.
  HeldOut(Backend& backend, const Model& model, const HostMatrix& inputs,
          std::vector<double> targets, const SolveOptions& options, Index chunk);

  /// Solves Z = relu(s A Z + Phi) from Z = 0 for every sample and reads out yhat = u'Z + v'Phi.
  /// Stops at the first chunk that does not converge. Leaves nothing behind that a later call, or
  /// training, depends on. Synchronises.
  HeldOutScore evaluate(const Model& model);

 private:
  Backend& backend_;
  std::vector<double> targets_;
  SolveOptions options_;
  Matrix X_;    // d x n
  Matrix Phi_;  // m x chunk
  EquilibriumSolver solver_;
};

}  // namespace widedeq
