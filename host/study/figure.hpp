// What a figure is, and the files it becomes: NAME.dat (its numbers), NAME.gp (a gnuplot script),
// and by running that NAME.svg and NAME.png.
//
// The script is meant to be read, changed and run again by a person, in its folder: gnuplot
// NAME.gp. It names no other path. Figures look alike: what is drawn stands as a title at the left
// above the axes, then the key in one row, so that neither ever covers a curve; a thin grid; no
// frame.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "host/study/axis.hpp"
#include "kernels/host_matrix.hpp"

namespace widedeq {

/// How a series is told from another: by its colour, and without colours by its lightness, its
/// dashes and its points.
struct Pen {
  std::string colour = "#12355b";
  int dash = 0;        // 0 solid; 1 dashes, 2 dash and dot, 3 dots, 4 long dashes
  double width = 2.0;  // of the line
  int point = 0;       // 0 disc, 1 triangle, 2 diamond, 3 square, 4 circle, 5 down triangle
  double size = 0.8;   // of points
  bool operator==(const Pen&) const = default;
};

/// The k-th of the colours that people who see no red or no green still tell apart, and a greyscale
/// printer too; with dash and point k. They repeat after five.
Pen pen(int k);
/// A colour for the part t in [0, 1] of an ordered range, from light to dark, none too light for
/// white paper.
std::string shade(double t);

enum class Mark : std::uint8_t {
  line,         // through the points
  steps,        // a staircase, for what is counted
  points,       // alone
  line_points,  // both
  band,         // the area between y and high
};

struct Series {
  std::string title;  // in the key, in notation; empty: not there
  std::vector<double> x, y;
  std::vector<double> high;  // band: its upper edge
  Mark mark = Mark::line;
  Pen pen = {};
};

/// A line right across at y = value, with its meaning at its right end.
struct Reference {
  double value = 0.0;
  std::string label;  // in notation
};

/// Matrices as pictures, the first row at the top.
struct HeatMap {
  HostMatrix values;
  double low = 0.0, high = 1.0;  // the ends of the colours
  bool diverging = false;        // around zero, the middle of low and high
  /// Where groups of rows and columns begin and end, 0 and n included, and what each is called.
  std::vector<double> borders;
  std::vector<std::string> groups;  // in notation; empty: no names
};

struct Figure {
  std::string name;     // of its files: letters, digits and dashes
  std::string title;    // in notation: what is drawn, with its symbol and unit
  std::string caption;  // in notation: what there is to see, for the page
  Axis x, y;
  std::vector<Series> series;
  std::vector<Reference> references;
  std::optional<HeatMap> map;  // instead of series
  bool is_wide = false;        // over the whole page instead of half of it
};

/// Takes out what cannot be drawn: points that are not finite or, on a logarithmic axis, not
/// positive; series without points. False when nothing to look at is left: no series with two
/// points or more, unless it is drawn as points; a map without entries.
bool prepare(Figure& figure);

/// The content of NAME.dat: a block for every series, or the matrix, under comments that name it.
std::string figure_data(const Figure& figure);
/// The content of NAME.gp. The figure is prepared.
std::string figure_script(const Figure& figure);

}  // namespace widedeq
