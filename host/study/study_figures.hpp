// The figures of a study: quantities against the width, and curves of all cells in the same axes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/study/analysis.hpp"
#include "host/study/figure.hpp"
#include "host/study/run_data.hpp"

namespace widedeq {

/// value against m, both logarithmic where values are positive: a point a cell, the geometric mean
/// of each width (the mean where values are not all positive), the fitted line, the slope that is
/// expected (through the middle of the points), the limit. The exponent and its interval stand in
/// the key.
Figure scaling_figure(const std::string& name, const Quantity& quantity);

/// A cell's run in a figure with others.
struct CellRun {
  std::int64_t width = 0;
  RunData run;
};

/// Curves of all cells over epochs, coloured by width from light to dark, with dashes of their own
/// for each width: losses, wide, and whatever else there is (test error, contraction, drift, ...).
std::vector<Figure> cell_curves(const std::string& prefix, const std::vector<CellRun>& cells);

}  // namespace widedeq
