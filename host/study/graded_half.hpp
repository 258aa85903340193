// A variable that is fine where functions of an angle change fast: at 0 and at pi.
//
// The limit kernels are analytic in the angle, but as gamma goes to 0 (or to where the limit ceases
// to exist) they have branch points on the scale `scale` around 0 and pi. In each half of [0, pi],
// with t the distance from the near end,
//
//   t = scale sinh(x),  0 <= x <= asinh(pi/2 / scale)
//
// puts a branch point at i scale to i pi/2, and those farther out no nearer than that, so that so
// many nodes for a unit of x do for every scale. Source: Johnston and Elliott, "A sinh
// transformation for evaluating nearly singular boundary element integrals", 2005.
#pragma once

#include <cmath>

namespace widedeq {

struct GradedHalf {
  double scale = 1.0;

  double x(double t) const { return std::asinh(t / scale); }
  double t(double x) const { return scale * std::sinh(x); }
  double dt_dx(double x) const { return scale * std::cosh(x); }
};

}  // namespace widedeq
