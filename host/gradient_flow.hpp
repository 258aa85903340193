// Gradient flow: d theta / dt = -grad loss(theta), theta = (A, W, u, v).
//
// The right-hand side is that of gradient descent, Trainer's: both solves to their tolerance, all
// parameters. It is integrated by Dormand and Prince's pair of orders 5 and 4, whose difference is
// the error that the step's size follows; tableau and control are Boost.Odeint's, sums are the
// backend's. The seventh stage is the first of the next step, so a step costs six evaluations, and
// what an interval begins with is the gradient its caller has just evaluated.
//
// Error control. A step of size h is accepted when
//
//   ||error||_F <= tolerance (path + ||step||_F),     path = the lengths of all steps before,
//
// all parameters together. Entries of theta are of size 1 and training moves them by O(1/sqrt m),
// so an error relative to theta would say nothing; this one is relative to how far the weights have
// come. (Relative to the step's own length it could not be met late, when r is small beside yhat
// and so are the digits of grad.) What it means for the loss: to first order an error e of the
// weights changes ||r|| = sqrt(2 loss) by at most sqrt(lambda_max(H)) ||e||, and as the flow does
// not lengthen errors where H is positive, N steps leave ||e|| of N tolerance path at most; in
// practice about one, for the steps before hardly count.
//
// The pair has its order where the right-hand side is smooth. Where an activation passes zero the
// gradient jumps, in one row of dA by its whole size, hence by about 1/sqrt(m) of ||grad||; over a
// step the jumps of all samples add up, at random. The control makes steps as small as the
// tolerance asks for, and below what the jumps come to they get many: at m = 512, n = 200 (digits,
// epochs of 1/lambda_max) the first epochs took 1 step at 1e-3, 3 at 1e-4, 23, 9, 6 at 1e-5 and 72,
// 28, 23 at 1e-6, and their losses were within 2e-5, 3e-5 and 2e-6 of the last one's.
//
// Errors of the gradient itself, about the solves' tolerance, look to the control like errors of a
// twelfth of it; check_flow_tolerance() keeps the two apart.
//
// Source: Dormand and Prince, "A family of embedded Runge-Kutta formulae", J. Comp. Appl. Math. 6
// (1980); Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I, II.4 and II.5.
#pragma once

#include <memory>
#include <optional>

#include "host/trainer.hpp"

namespace widedeq {

enum class FlowStatus : std::uint8_t {
  arrived,
  stalled,   // steps became too small, or too many: the error is mostly noise
  unsolved,  // steps became too small because solves fail at their stages
};

/// What an interval of the flow took.
struct FlowReport {
  FlowStatus status = FlowStatus::arrived;
  int steps = 0;               // accepted
  int rejected = 0;            // because of their error, or because a stage could not be solved
  int evaluations = 0;         // of the right-hand side, the one before the interval left out
  double gradient_norm = 0.0;  // at the beginning
  double last_step = 0.0;      // the size that was tried last
  std::optional<Evaluation> unsolved;  // the stage that failed last
};

/// Where a flow stands, beside the weights.
struct FlowState {
  double time = 0.0;  // the spans so far
  double path = 0.0;  // the length of the way so far, in all parameters
  double step = 0.0;  // the size the control proposes; 0: none yet, a whole span

  void transfer(Archive& archive);
};

class GradientFlow {
 public:
  /// Flows `model` by what `trainer`, made of the same, evaluates. Memory for eleven sets of all
  /// weights, m^2 reals each, is taken at the first advance().
  GradientFlow(Backend& backend, Model& model, Trainer& trainer, double tolerance);
  ~GradientFlow();
  GradientFlow(const GradientFlow&) = delete;
  GradientFlow& operator=(const GradientFlow&) = delete;

  /// Moves the weights along the flow for `span` of time, from where the trainer has just evaluated
  /// them, to its end exactly. The next evaluate() starts cold. A step with a stage that cannot be
  /// solved, or is not finite, is tried again with half the size; when steps have shrunk to 1e-10
  /// of the span the flow gives up: then the weights are those of some moment within the interval.
  FlowReport advance(FlowState& state, double span);

 private:
  struct Integrator;

  Backend& backend_;
  Model& model_;
  Trainer& trainer_;
  double tolerance_;
  std::unique_ptr<Integrator> integrator_;
};

/// How much of the flow's tolerance is the trainer's to keep: the least `tolerance` of a flow whose
/// solves have that residual at that precision. Mixed and fp32 gradients are right to about 1e-5
/// and 2e-6 (README), of which the error estimate sees a twelfth.
double smallest_flow_tolerance(double residual, Precision precision);

}  // namespace widedeq
