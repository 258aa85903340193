// Stochastic gradient descent: an epoch visits every sample once, a batch at a time.
//
//   theta <- theta - eta (n/|b|) grad loss_b(theta),   loss_b = 1/2 sum over b of r^2
//
// for every batch b of an order drawn anew each epoch, loss_b at the weights the batch before has
// left. Every sample is as likely as any other to be in a batch, so the expectation of (n/|b|) grad
// loss_b over orders is grad loss: a step is on average a step of gradient descent, and an epoch
// has ceil(n/size) of them.
//
// How large a step may be. Near a batch's weights its own residual follows r_b <- (I - eta (n/|b|)
// H_bb) r_b, so no batch overshoots itself while eta (n/|b|) lambda_max(H_bb) < 2. The largest
// eigenvector of a kernel of positive entries is spread over all samples, and a random principal
// block keeps its share of it: (n/|b|) lambda_max(H_bb) is about lambda_max(H) while |b| is large
// beside trace(H)/lambda_max(H); for single samples it is n H_jj, about the trace. (By interlacing
// it is never more than n/|b| lambda_max(H).) batch_curvature() says what it is.
#pragma once

#include <vector>

#include "host/trainer.hpp"

namespace widedeq {

/// The samples 0 ... n-1 in an epoch's order: sorted by 64 random bits each, which depend on (seed,
/// epoch, sample) and on nothing else. All orders are equally likely.
std::vector<Index> sample_order(std::uint64_t seed, int epoch, Index n);

/// What an epoch in batches has seen.
struct BatchesReport {
  /// The loss is the sum of the batches', each before its own step: at no one set of weights.
  /// Predictions and residuals likewise, a sample each in the data's order; sweeps and residuals
  /// are the worst. Where it did not converge, a batch did not, and the epoch ended before its
  /// step.
  Evaluation seen;
  int steps = 0;               // taken
  double gradient_norm = 0.0;  // root mean square over steps of (n/|b|) ||grad loss_b||
};

/// One epoch on all samples: inputs d x n, targets n, those `trainer` was made for. Ends early at a
/// batch that is not solved, whose loss is not finite, or whose step fits no float; the report
/// tells by its status, its loss or its gradient_norm. `size` 1 or more; the last batch has what is
/// left.
BatchesReport descend_in_batches(Trainer& trainer, const HostMatrix& inputs,
                                 const std::vector<double>& targets, Index size, std::uint64_t seed,
                                 int epoch, double eta);

/// The largest (n/|b|) lambda_max(H_bb) over the batches of an epoch; H is n x n.
double batch_curvature(const HostMatrix& H, Index size, std::uint64_t seed, int epoch);

}  // namespace widedeq
