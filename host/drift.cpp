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
  const double uneven = 1.0 + 4.0 / std::sqrt(static_cast<double>(width));
  const bool is_mixed = precision == Precision::mixed;
  // Measured (m = 64, sphere, 1 sample, eta 0.002, tolerance 1e-6): 7e-7 to 1.0e-6 in 25 epochs of
  // one sweep or none; by the root it would be 2.7e-7.
  const double alike = is_mixed ? std::max(0.0, epochs - sweeps / 4.0) : 0.0;
  const double roundings = std::sqrt(sweeps + epochs);
  const double lost = is_mixed ? UnsettledShare(tolerance, width).negligible() : 0.0;
  const double settlings = lost * epochs;
  return 0.55 * uneven * unit * std::max(roundings, 1.2 * alike) + settlings;
}

double injection_rounding(Index inputs, Precision precision) {
  if (precision == Precision::fp64) return 0.0;
  return 1.4e-8 * std::sqrt(static_cast<double>(inputs));
}

Sums injection_sums(Index inputs, Precision precision, double tolerance) {
  constexpr double most = 0.4;  // of the tolerance, which solves then lower to 0.92 of it
  const bool fits = injection_rounding(inputs, precision) <= most * tolerance;
  return fits ? Sums::native : Sums::in_double;
}

double cold_sweeps(double gamma, double tolerance) {
  const double fall = std::clamp(gamma / std::sqrt(2.0), 0.01, 0.98);
  return 4.0 + 1.25 * std::log(std::min(tolerance, 0.5)) / std::log(fall);
}

}  // namespace widedeq
