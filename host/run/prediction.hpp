// What the kernel says the loss should do, beside what it did.
#pragma once

#include <span>
#include <vector>

#include "kernels/host_matrix.hpp"

namespace widedeq {

/// The losses 1/2 |r_k|^2 for k = 0 .. epochs-1 of r_{k+1} = (I - eta H) r_k: gradient descent as
/// if the kernel stayed H (n x n, symmetric). n^2 operations an epoch.
std::vector<double> linearised_losses(const HostMatrix& H, std::vector<double> r, double eta,
                                      int epochs);

/// The same of r(t) = exp(-H t) r at t = k eta: gradient flow. The exponential is summed up as a
/// power series, which costs 20 n^2 operations an epoch and more where eta ||H|| is above 1.
std::vector<double> flow_losses(const HostMatrix& H, std::vector<double> r, double eta, int epochs);

/// One or the other; nothing where that is more than 2e10 operations, some ten seconds.
std::vector<double> affordable_losses(const HostMatrix& H, const std::vector<double>& r, double eta,
                                      int epochs, bool is_flow);

/// How far the root of a loss is open by solves to `tolerance`: they know ||r|| to about
/// 2 tolerance ||yhat||, ||yhat|| being taken as r(0)'s size.
double loss_noise(double first_loss, double tolerance);

/// The losses before solves to `tolerance` leave them open by more than a tenth.
std::span<const double> above_noise(std::span<const double> losses, double tolerance);

/// The factor by which the loss falls each epoch: exp of the slope of the least-squares line
/// through log loss over the second half of the epochs. NaN with fewer than two positive losses
/// there.
double loss_factor(std::span<const double> losses);

/// loss_factor() of the losses above noise and of the predicted ones of the same epochs: where the
/// loss falls faster and faster, or slower, a mean depends on which they are. NaN for none.
struct LossFactors {
  double measured, predicted;
  std::size_t epochs;
};
LossFactors loss_factors(std::span<const double> losses, std::span<const double> predicted,
                         double tolerance);

}  // namespace widedeq
