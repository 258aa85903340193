// ||A||_2 from below, by Lanczos steps that go on from where the last estimate ended.
#pragma once

#include <vector>

#include "host/archive.hpp"
#include "kernels/backend.hpp"

namespace widedeq {

/// Estimates ||A||_2 from below by Golub-Kahan-Lanczos bidiagonalisation.
///
/// `start` (length m) is the starting right vector; on return it holds the approximate top right
/// singular vector, so that the next call on slightly changed weights needs few steps. The estimate
/// never exceeds the norm (to rounding) and proves nothing about an upper bound.
/// Cost: two products of A with a vector a step. Source: Golub & Van Loan, section 10.4.
/// `change`: end before so many steps once four have changed the norm by no more than that,
/// relatively; 0: take them all.
double estimate_operator_norm(Backend& backend, const WeightView& A, std::vector<double>& start,
                              int steps, double change = 0.0);

/// The norm of one A again and again while training changes it a little at a time. The top of a
/// random matrix's spectrum is crowded, so an estimate takes up to 40 steps; later ones start from
/// the last one's vector and some of a fresh one, and end when the estimate has settled.
class OperatorNorm {
 public:
  /// As estimate_operator_norm(). Synchronises.
  double estimate(Backend& backend, const WeightView& A);
  /// Saves or restores what the next estimate starts from.
  void transfer(Archive& archive);

 private:
  std::vector<double> start_;  // empty before the first
};

}  // namespace widedeq
