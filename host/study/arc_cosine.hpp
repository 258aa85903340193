// The arc-cosine kernels: moments of rectified Gaussian pairs, by the angle between unit vectors.
//
//   (h, h') ~ N(0, [1 cos(angle); cos(angle) 1])
//
// Source: Cho and Saul, "Kernel methods for deep learning", NIPS 2009; theirs are twice these.
#pragma once

#include <cmath>
#include <numbers>

namespace widedeq {

/// P(h > 0, h' > 0) = (pi - angle) / (2 pi), order 0; angle in [0, pi].
inline double arc_cosine_0(double angle) {
  return 0.5 - 0.5 * std::numbers::inv_pi * angle;
}

/// E[relu(h) relu(h')] = (sin(angle) + (pi - angle) cos(angle)) / (2 pi), order 1; angle in [0,
/// pi].
inline double arc_cosine_1(double angle) {
  return 0.5 * std::numbers::inv_pi *
         (std::sin(angle) + (std::numbers::pi - angle) * std::cos(angle));
}

}  // namespace widedeq
