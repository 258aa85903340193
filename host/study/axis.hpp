// Axes: which part of the numbers they show, and where they are marked.
//
// Linear ones are marked at multiples of 1, 2 or 5 times a power of ten. Logarithmic ones at powers
// of ten; where that would leave fewer than three marks, at 1, 2 and 5 times them, and where even
// that would, like linear ones.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace widedeq {

struct Axis {
  std::string label;  // in notation (host/study/notation.hpp)
  bool log = false;
  bool integers = false;            // no marks between them
  std::optional<double> low, high;  // that must be shown, whatever the numbers are
  std::string unit;                 // after each mark: " %"
  std::vector<double> marks;        // where they are to be; empty: chosen
};

struct Tick {
  double value = 0.0;
  std::string label;  // in notation; empty: a small mark
};

/// An axis on which numbers from low to high are to be seen.
struct Scale {
  double low = 0.0, high = 1.0;
  std::vector<Tick> ticks;  // ascending
};

/// For numbers from `low` to `high`, both finite, and positive where the axis is logarithmic. The
/// scale has some room beyond them, but none below zero for numbers that are not negative.
Scale scale_of(const Axis& axis, double low, double high);

/// A mark's number, in notation: "0.02", "1500", "2e-05", "1e-07" as "10^{-7}".
std::string tick_label(double value);

}  // namespace widedeq
