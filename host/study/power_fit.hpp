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
/// draws, so seeds are the independent observations. With x = log m - mean and the residuals e,
///
///   exponent +- t sqrt(S/(S-1) sum over seeds of (sum over the seed's points of x e)^2) / sum x^2
///
/// t Student's 97.5 % quantile at S - 1 degrees of freedom (Liang and Zeger 1986), for S seeds that
/// have two widths or more: one with a single width has no slope, and near the mean no say in it.
/// If every seed has the same widths, that is the interval of the mean of the seeds' own slopes. It
/// knows of scatter alone: that widths are too small for the law to have set in it cannot see.
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
