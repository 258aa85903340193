// How a quantity depends on the width: value = factor * m^exponent.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace widedeq {

/// A point of a log-log plot.
struct WidthValue {
  double width = 0.0;
  double value = 0.0;
  std::int64_t seed = 0;
};

struct Interval {
  double low = 0.0, high = 0.0;
};

/// The least-squares line through log value over log m, all points with one weight.
///
/// The interval holds the exponent with 95 % confidence, over seeds: the points of one seed belong
/// together, for a narrow network is the corner of a wider one of the same seed and shares its
/// draws, so seeds are the independent observations. With X the columns 1 and log m - mean, scaled
/// to be orthonormal, X_g the rows of seed g and e_g its residuals, G_g = X_g'X_g, and c = (0, 1),
///
///   a_g = (I - G_g)^(-1/2) c      exponent +- t sqrt(sum over g of (a_g'X_g'e_g)^2 / sum x^2)
///   O_gh = a_g'([g = h] G_g - G_g G_h) a_h      t: Student's 97.5 %, (tr O)^2 / ||O||_F^2 degrees
///
/// (Bell and McCaffrey 2002: CR2 and Satterthwaite's degrees of freedom.) Where every seed has the
/// same widths, that is the interval of the mean of the seeds' own slopes, with S - 1 degrees of
/// freedom; where some have fewer, as in a study under way, it is a little too wide rather than too
/// narrow. (Simulated, seeds and cells scattered alike, for seeds of 5, 2, 2, 2 widths: 98 %; with
/// S - 1 degrees of freedom it would be 85 %.) It takes two seeds of two widths or more. It knows
/// of scatter alone: that widths are too small for the law to have set in it cannot see.
struct PowerFit {
  double exponent = 0.0;
  std::optional<Interval> interval;  // of the exponent; none with less than two seeds that have one
  double factor = 0.0;
  int cells = 0, widths = 0, seeds = 0;  // points, and different widths and seeds among them
};

/// The fit; nothing with fewer than three points or two widths, or with a value that is not
/// positive and finite.
std::optional<PowerFit> fit_power(std::span<const WidthValue> points);

}  // namespace widedeq
