// How a quantity depends on the width: value = factor * m^exponent.
#pragma once

#include <optional>
#include <span>

namespace widedeq {

/// A point of a log-log plot.
struct WidthValue {
  double width = 0.0;
  double value = 0.0;
};

/// The least-squares line through log value over log m, all points with one weight. The interval
/// holds the exponent with 95 % confidence if points scatter about the line independently and
/// alike, as seeds do: exponent +- t s / sqrt(sum (log m - mean)^2) with s^2 the mean squared
/// residual at N - 2 degrees of freedom and t Student's 97.5 % quantile there. Scatter is all it
/// knows of: that widths are too small for the law to have set in it cannot see.
struct PowerFit {
  double exponent = 0.0;
  double low = 0.0, high = 0.0;  // of the exponent
  double factor = 0.0;
  int cells = 0, widths = 0;  // points, and different widths among them
};

/// The fit; nothing with fewer than three points or two widths, or with a value that is not
/// positive and finite.
std::optional<PowerFit> fit_power(std::span<const WidthValue> points);

}  // namespace widedeq
