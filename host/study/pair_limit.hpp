// The infinite-width limit for one pair of samples.
//
// Both injections are positively homogeneous, so all that two samples x and x' have to say is their
// lengths and the angle between them:
//
//   K = |x| |x'| kappa(angle),   D0, Dh and Q = D0/(1 - gamma^2 D0) depend on the angle alone
//
// and everything here speaks of unit vectors. With s = cos(angle), k = gamma^2 kappa(0):
//
//   relu injection:    a = g + relu(h),  (g, g') ~ N(0, gamma^2 [kappa(0) kappa; kappa kappa(0)])
//                                        (h, h') ~ N(0, [1 s; s 1]), independent of g
//   linear injection:  a = g + h
//   kappa = E[relu(a) relu(a')],   D0 = P(a > 0, a' > 0),   Dh = P(a > 0, a' > 0, h > 0, h' > 0)
//
// A fixed point: kappa is on both sides. On the diagonal, k / gamma^2 = E[relu(a)^2], in closed
// form (relu injection), or kappa(0) = 1 / (2 - gamma^2) (linear). Both have one solution for gamma
// < sqrt(2), and none beyond.
//
// Off the diagonal the unknown is y in kappa = kappa(0) - y (1 - s), which holds its digits when
// the vectors are nearly parallel. It is the root of
//
//   R(y) = (kappa(0) - E[relu(a) relu(a')]) / (1 - s),   y = R(y),   dR/dy = gamma^2 D0
//
// (Price's theorem). y - R(y) is convex and increasing, so Newton's method from a y above the root
// falls to it without a step too far.
//
// E, D0 and Dh of relu injection have no closed form, but their derivatives along a path of
// covariances do. The path starts at the parallel pair, where all is known:
//
//   Cov(h, h') = cos(t),  Cov(g, g') = gamma^2 (kappa(0) - y (1 - cos(t))),  t from 0 to the angle
//
// By Price's theorem d/dt of E[f f'] is made of D0 and Dh, and d/dt of those, Gaussian orthant
// probabilities in four dimensions, is by Plackett's identity the density of two of the variables
// at zero times the orthant probability of the other two, 1/4 + asin(correlation)/(2 pi). What is
// left is one smooth integral over t (pair_limit.cpp has the terms).
//
// Sources: Price, IRE Trans. Inf. Theory 4 (1958); Plackett, Biometrika 41 (1954).
#pragma once

#include "kernels/backend.hpp"

namespace widedeq {

/// The limit for two unit vectors, and how it was come by.
struct PairValues {
  double y = 0.0;   // (kappa(0) - kappa) / (1 - s); its limit for parallel vectors
  double D0 = 0.0;  // P(a > 0, a' > 0)
  double Dh = 0.0;  // P(a > 0, a' > 0, h > 0, h' > 0); D0 for linear injection, which has no kink
  int steps = 0;    // of Newton's method
  double last_step = 0.0;  // |change of kappa| in the last of them, relative to kappa(0)
};

/// Gauss nodes on each panel of the integral over t; fine is twice as many.
enum class Nodes { coarse, fine };

class PairLimit {
 public:
  /// Solves for the diagonal. Throws Failure (usage) unless 0 <= gamma < sqrt(2).
  PairLimit(double gamma, Injection injection);

  double gamma() const { return gamma_; }
  /// K of a unit vector with itself.
  double kappa0() const { return kappa0_; }
  /// The scale around 0 and pi on which kappa, D0 and Dh change, for GradedHalf.
  double scale() const { return scale_; }
  /// For an angle in [0, pi]. 0, the diagonal, is in closed form.
  PairValues at(double angle, Nodes nodes = Nodes::fine) const;

 private:
  /// R(y), D0 and Dh at a given y.
  struct Moments {
    double R = 0.0, D0 = 0.0, Dh = 0.0;
  };
  Moments moments(double angle, double y, Nodes nodes) const;
  Moments linear_moments(double angle, double y) const;
  Moments relu_moments(double angle, double y, Nodes nodes) const;

  double gamma_, gamma2_;
  Injection injection_;
  double kappa0_ = 0.0, scale_ = 1.0;
  double parallel_D0_ = 0.0, parallel_Dh_ = 0.0;  // at the angle 0
};

}  // namespace widedeq
