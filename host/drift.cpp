// See drift.hpp.
#include "host/drift.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "host/plane_share.hpp"

namespace widedeq {

double drift_after(double epochs, double sweeps, Index width, Precision precision,
                   double tolerance) {
  const double unit = precision == Precision::fp64 ? std::numeric_limits<double>::epsilon() / 2.0
                                                   : std::numeric_limits<float>::epsilon() / 2.0;
  const double uneven = 1.0 + 4.0 / std::sqrt(static_cast<double>(width) + 16.0);
  const double lost = precision == Precision::mixed ? Lacking(tolerance, width).negligible() : 0.0;
  const double settlings = lost * epochs;
  return 0.55 * uneven * unit * std::sqrt(sweeps + epochs) + settlings;
}

double cold_sweeps(double gamma, double tolerance) {
  const double fall = std::clamp(gamma / std::sqrt(2.0), 0.01, 0.98);
  return 4.0 + 1.25 * std::log(std::min(tolerance, 0.5)) / std::log(fall);
}

}  // namespace widedeq
