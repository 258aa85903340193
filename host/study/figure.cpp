// Figures as data and gnuplot scripts; gnuplot.cpp runs them.
#include "host/study/figure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "host/study/notation.hpp"

namespace widedeq {
namespace {

struct Rgb {
  double red, green, blue;
};

// Lightness L* of these: 21, 47, 59, 71, 33. Blue and orange are apart for every kind of colour
// blindness; the rest differ from both and each other in lightness.
constexpr std::array colours = {"#12355b", "#c44900", "#2a9d8f", "#e0a526", "#7b3f8c"};

// viridis (S. van der Walt and N. Smith, 2015; CC0) at 0, 1/8, ... 1: lightness rises evenly.
constexpr std::array<Rgb, 9> viridis = {{{68, 1, 84},
                                         {71, 44, 122},
                                         {59, 81, 139},
                                         {44, 113, 142},
                                         {33, 144, 141},
                                         {39, 173, 129},
                                         {92, 200, 99},
                                         {170, 220, 50},
                                         {253, 231, 37}}};

std::string hex(const Rgb& colour) {
  const auto byte = [](double value) { return static_cast<int>(std::lround(value)); };
  return fmt::format("#{:02x}{:02x}{:02x}", byte(colour.red), byte(colour.green),
                     byte(colour.blue));
}

// Dashes in points, the gaps wide enough to be seen in a key.
constexpr std::array dashes = {"solid", "(9,5)", "(9,4,2,4)", "(2,4)", "(18,5)"};
// gnuplot's numbers of the filled disc, triangle, diamond and square, the circle, the triangle
// down.
constexpr std::array points = {7, 9, 13, 5, 6, 11};

std::string style_of(const Pen& pen, Mark mark) {
  const std::string colour = fmt::format("linecolor rgb '{}'", pen.colour);
  const std::string line =
      fmt::format("linewidth {:g} dashtype {} {}", pen.width,
                  dashes[static_cast<std::size_t>(pen.dash) % dashes.size()], colour);
  const std::string point =
      fmt::format("pointtype {} pointsize {:g}",
                  points[static_cast<std::size_t>(pen.point) % points.size()], pen.size);
  switch (mark) {
    case Mark::line:
      return "with lines " + line;
    case Mark::steps:
      return "with steps " + line;
    case Mark::points:
      return "with points " + point + " " + colour;
    case Mark::line_points:
      return "with linespoints " + line + " " + point;
    case Mark::band:
      return "with filledcurves fillstyle solid noborder " + colour;
  }
  throw std::logic_error("a mark without a style");
}

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

std::string tics(const char* axis, const Scale& scale) {
  std::string list;
  for (const Tick& tick : scale.ticks) {
    std::string label = notation_to_gnuplot(tick.label);
    // Labels of tics are formats.
    for (std::size_t at = 0; (at = label.find('%', at)) != std::string::npos; at += 2)
      label.insert(at, "%");
    list += (list.empty() ? "" : ", ") + gnuplot_quoted(label) +
            fmt::format(" {}{}", tick.value, label.empty() ? " 1" : "");
  }
  return fmt::format("set {}tics ({})\n", axis, list);
}

std::string axis_lines(const char* name, const Axis& axis, const Range& range) {
  const Scale scale = scale_of(axis, range.low, range.high);
  return (axis.log ? fmt::format("set logscale {}\n", name) : "") +
         fmt::format("set {}range [{:.12g}:{:.12g}]\n", name, scale.low, scale.high) +
         tics(name, scale);
}

std::string bold(const std::string& notation) {
  return gnuplot_quoted("{/:Bold " + notation_to_gnuplot(notation) + "}");
}

std::string curves(const Figure& figure) {
  Range x, y;
  for (const Series& series : figure.series) {
    for (const double value : series.x)
      x.add(value);
    for (const auto* list : {&series.y, &series.high})
      for (const double value : *list)
        if (std::isfinite(value)) y.add(value);
  }
  for (const Reference& reference : figure.references)
    y.add(reference.value);

  // Bands first, so that nothing is under them.
  std::vector<std::string> parts;
  bool has_key = !figure.references.empty();
  for (const bool bands : {true, false})
    for (std::size_t k = 0; k < figure.series.size(); ++k) {
      const Series& series = figure.series[k];
      if ((series.mark == Mark::band) != bands) continue;
      has_key = has_key || !series.title.empty();
      parts.push_back(fmt::format(
          "'{}.dat' index {} using {} {} {}", figure.name, k, bands ? "1:2:3" : "1:2",
          style_of(series.pen, series.mark),
          series.title.empty() ? "notitle"
                               : "title " + gnuplot_quoted(notation_to_gnuplot(series.title))));
    }
  for (const Reference& reference : figure.references)
    parts.push_back(
        fmt::format("{:.12g} with lines linewidth 1.5 dashtype (4,4) linecolor rgb "
                    "'#555555' title {}",
                    reference.value, gnuplot_quoted(notation_to_gnuplot(reference.label))));

  std::string script =
      "set border 0\n"
      "set tics scale 0 textcolor rgb '#444444'\n"
      "set grid xtics ytics mytics back linetype 1 linewidth 0.6 linecolor rgb '#d4d4d4', "
      "linetype 1 linewidth 0.4 linecolor rgb '#ececec'\n";
  if (has_key) {
    script +=
        "set key above left Left reverse horizontal samplen 2.6 spacing 1.25 height 0.3 title " +
        bold(figure.title) + " left\n";
  } else {
    script += "unset key\nset tmargin 3\nset label " + bold(figure.title) +
              " at graph 0, graph 1 left offset 0, 1.1\n";
  }
  script += "set xlabel " + gnuplot_quoted(notation_to_gnuplot(figure.x.label)) +
            " textcolor rgb '#444444'\n" + axis_lines("x", figure.x, x) +
            axis_lines("y", figure.y, y) + "plot ";
  for (std::size_t k = 0; k < parts.size(); ++k)
    script += (k > 0 ? ", \\\n     " : "") + parts[k];
  return script + "\n";
}

std::string heat_map(const Figure& figure) {
  const HeatMap& map = *figure.map;
  const auto rows = static_cast<double>(map.values.rows);
  const auto columns = static_cast<double>(map.values.columns);
  std::string script;
  if (map.diverging) {
    // Dark blue below, white in the middle, a lighter orange above: apart in greys as well.
    script +=
        "set palette defined (0 '#12355b', 1 '#7f9cc0', 2 '#ffffff', 3 '#f0b070', 4 "
        "'#d06000')\n";
  } else {
    script += "set palette defined (";
    for (std::size_t k = 0; k < viridis.size(); ++k)
      script += fmt::format("{}{} '{}'", k > 0 ? ", " : "", k, hex(viridis[k]));
    script += ")\n";
  }
  script += "set border 0\nunset key\nset size ratio -1\nset tmargin 3\n";
  script += "set tics scale 0 textcolor rgb '#444444'\n";
  script += "set label " + bold(figure.title) + " at graph 0, graph 1 left offset 0, 1.1\n";
  script +=
      fmt::format("set xrange [-0.5:{:g}]\nset yrange [{:g}:-0.5]\n", columns - 0.5, rows - 0.5);
  std::string groups;
  for (std::size_t k = 0; k < map.groups.size(); ++k)
    groups += (k > 0 ? ", " : "") + gnuplot_quoted(notation_to_gnuplot(map.groups[k])) +
              fmt::format(" {:g}", 0.5 * (map.borders[k] + map.borders[k + 1]) - 0.5);
  script += map.groups.empty() ? "unset xtics\nunset ytics\n"
                               : "set xtics (" + groups + ")\nset ytics (" + groups + ")\n";
  script += "set xlabel " + gnuplot_quoted(notation_to_gnuplot(figure.x.label)) +
            " textcolor rgb '#444444'\n";
  for (std::size_t k = 1; k + 1 < map.borders.size(); ++k) {
    const std::string look = fmt::format("nohead front linewidth 1 linecolor rgb '{}'",
                                         map.diverging ? "#555555" : "#ffffff");
    const double at = map.borders[k] - 0.5;
    script += fmt::format("set arrow from {0:g}, graph 0 to {0:g}, graph 1 {1}\n", at, look);
    script +=
        fmt::format("set arrow from graph 0, first {0:g} to graph 1, first {0:g} {1}\n", at, look);
  }
  const Scale colours = scale_of(Axis(), map.low, map.high);
  script += fmt::format("set cbrange [{:.12g}:{:.12g}]\n", map.low, map.high);
  script += tics("cb", colours);
  return script + "plot '" + figure.name + ".dat' matrix with image\n";
}

std::string comment(const std::string& notation) {
  std::string line = "# " + notation;
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line + "\n";
}

bool can_be_drawn(const Axis& axis, double value) {
  return std::isfinite(value) && (!axis.log || value > 0.0);
}

}  // namespace

Pen pen(int k) {
  return {.colour = colours[static_cast<std::size_t>(k) % colours.size()], .dash = k, .point = k};
}

std::string shade(double t) {
  // From 0.78 of viridis, a green that white paper still bears, down to its dark end.
  const double at = 0.78 * (1.0 - std::clamp(t, 0.0, 1.0)) * (viridis.size() - 1);
  const auto k = std::min(static_cast<std::size_t>(at), viridis.size() - 2);
  const double part = at - static_cast<double>(k);
  const auto mix = [&](double a, double b) { return a + part * (b - a); };
  return hex({mix(viridis[k].red, viridis[k + 1].red), mix(viridis[k].green, viridis[k + 1].green),
              mix(viridis[k].blue, viridis[k + 1].blue)});
}

bool prepare(Figure& figure) {
  if (figure.map) return !figure.map->values.values.empty() && figure.map->low < figure.map->high;
  for (Series& series : figure.series) {
    Series kept = series;
    kept.x.clear();
    kept.y.clear();
    kept.high.clear();
    for (std::size_t k = 0; k < series.x.size(); ++k) {
      const bool is_band = series.mark == Mark::band;
      if (!can_be_drawn(figure.x, series.x[k]) || !can_be_drawn(figure.y, series.y[k]) ||
          (is_band && !can_be_drawn(figure.y, series.high[k])))
        continue;
      kept.x.push_back(series.x[k]);
      kept.y.push_back(series.y[k]);
      if (is_band) kept.high.push_back(series.high[k]);
    }
    series = std::move(kept);
  }
  std::erase_if(figure.series, [](const Series& series) {
    return series.x.empty() || (series.x.size() == 1 && series.mark != Mark::points &&
                                series.mark != Mark::line_points);
  });
  return std::ranges::any_of(figure.series, [](const Series& series) {
    return series.x.size() > 1 || series.mark == Mark::points;
  });
}

std::string figure_data(const Figure& figure) {
  std::string data = comment(figure.title);
  if (figure.map) {
    const HostMatrix& values = figure.map->values;
    data += comment("one row a line, from the top");
    for (Index i = 0; i < values.rows; ++i)
      for (Index j = 0; j < values.columns; ++j)
        data += fmt::format("{:.5g}{}", values(i, j), j + 1 < values.columns ? " " : "\n");
    return data;
  }
  for (std::size_t k = 0; k < figure.series.size(); ++k) {
    const Series& series = figure.series[k];
    const bool is_band = series.mark == Mark::band;
    // Two empty lines part the blocks that gnuplot calls index 0, 1, ...
    data += k > 0 ? "\n\n" : "";
    data += comment(series.title.empty() ? figure.title : series.title);
    data += comment(figure.x.label + (is_band ? " | from | to" : " | " + figure.y.label));
    for (std::size_t i = 0; i < series.x.size(); ++i)
      data += is_band ? fmt::format("{} {} {}\n", series.x[i], series.y[i], series.high[i])
                      : fmt::format("{} {}\n", series.x[i], series.y[i]);
  }
  return data;
}

std::string figure_script(const Figure& figure) {
  const int width = figure.is_wide ? 980 : figure.map ? 370 : 480;
  const int height = figure.is_wide ? 420 : figure.map ? 370 : 340;
  constexpr const char* look = "enhanced background '#ffffff' font 'sans-serif,13'";
  std::string script = fmt::format(
      "# {0}.gp: draws {0}.svg and {0}.png from {0}.dat. In this folder: gnuplot {0}.gp\n",
      figure.name);
  script += comment(figure.title);
  script += "reset\nset encoding utf8\nset minussign\n";
  script += fmt::format("set terminal svg size {},{} dynamic {}\nset output '{}.svg'\n", width,
                        height, look, figure.name);
  script += figure.map ? heat_map(figure) : curves(figure);
  // Twice the size in pixels, everything twice as large: sharp on any screen.
  script +=
      fmt::format("set terminal pngcairo size {},{} {} fontscale 2 linewidth 2 pointscale 2\n",
                  2 * width, 2 * height, look);
  return script + fmt::format("set output '{}.png'\nreplot\nunset output\n", figure.name);
}

}  // namespace widedeq
