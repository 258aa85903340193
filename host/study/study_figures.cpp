// Quantities against the width, and curves of all cells; see study_figures.hpp.
#include "host/study/study_figures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <utility>

#include "host/study/notation.hpp"
#include "host/study/run_digest.hpp"
#include "host/study/run_figures.hpp"

namespace widedeq {
namespace {

constexpr std::size_t most_points = 400;  // of a curve among many
constexpr std::size_t most_marks = 8;     // of an axis with a mark for each width

/// An exponent, in notation.
std::string exponent(double value) {
  return fmt::format("m^{{{:.3g}}}", value);
}

/// The axis of widths: each that was tried, while they are few.
Axis width_axis(const std::set<double>& widths) {
  Axis axis;
  axis.label = "width m";
  axis.log = true;
  if (widths.size() <= most_marks) axis.marks.assign(widths.begin(), widths.end());
  return axis;
}

/// c m^exponent from the smallest width to the largest.
Series power_line(const std::string& title, double factor, double exponent,
                  const std::set<double>& widths, Pen pen) {
  Series line;
  line.title = title;
  line.pen = std::move(pen);
  for (const double m : {*widths.begin(), *widths.rbegin()}) {
    line.x.push_back(m);
    line.y.push_back(factor * std::pow(m, exponent));
  }
  return line;
}

Series means_of(const std::map<double, std::vector<double>>& by_width, bool geometric) {
  Series means;
  means.mark = Mark::points;
  means.pen = pen(0);
  means.pen.size = 1.3;
  for (const auto& [width, values] : by_width) {
    double sum = 0.0;
    for (const double value : values)
      sum += geometric ? std::log(value) : value;
    sum /= static_cast<double>(values.size());
    means.x.push_back(width);
    means.y.push_back(geometric ? std::exp(sum) : sum);
  }
  return means;
}

/// A number of a record, by epoch, of one run.
using Curve = std::function<std::vector<std::pair<int, double>>(const RunData&)>;

template <class Record, class Value>
Curve curve_of(std::vector<Record> RunData::*records, Value member, double scale = 1.0) {
  return [=](const RunData& run) {
    std::vector<std::pair<int, double>> points;
    for (const Record& record : run.*records)
      if (const std::optional<double> value = record.*member)
        points.emplace_back(record.epoch, scale * *value);
    return points;
  };
}

Figure overlay(const std::string& name, const std::string& title, Axis y,
               const std::vector<CellRun>& cells, const Curve& curve) {
  Figure figure;
  figure.name = name;
  figure.title = title;
  figure.x.label = "epoch";
  figure.x.integers = true;
  figure.x.low = 0.0;
  figure.x.high = 1.0;
  figure.y = std::move(y);
  std::vector<std::int64_t> widths;
  widths.reserve(cells.size());
  for (const CellRun& cell : cells)
    widths.push_back(cell.width);
  std::ranges::sort(widths);
  widths.erase(std::unique(widths.begin(), widths.end()), widths.end());

  std::vector<const CellRun*> ordered;
  ordered.reserve(cells.size());
  for (const CellRun& cell : cells)
    ordered.push_back(&cell);
  std::ranges::stable_sort(ordered, {}, [](const CellRun* cell) { return cell->width; });
  std::set<std::int64_t> named;
  for (const CellRun* cell : ordered) {
    const auto rank = std::ranges::lower_bound(widths, cell->width) - widths.begin();
    const auto points = curve(cell->run);
    if (points.size() < 2) continue;
    Series series;
    series.pen.width = 1.4;
    series.pen.dash = static_cast<int>(rank);
    series.pen.colour = shade(widths.size() < 2 ? 1.0
                                                : static_cast<double>(rank) /
                                                      static_cast<double>(widths.size() - 1));
    if (named.insert(cell->width).second)
      series.title = fmt::format("m = {}", people_count(cell->width));
    for (const std::size_t k : thinned(points.size(), most_points)) {
      series.x.push_back(points[k].first);
      series.y.push_back(points[k].second);
    }
    figure.x.high = std::max(*figure.x.high, series.x.back());
    figure.series.push_back(std::move(series));
  }
  return figure;
}

Axis axis_of(const std::string& label, bool log, const char* unit = "") {
  Axis axis;
  axis.label = label;
  axis.log = log;
  axis.unit = unit;
  return axis;
}

}  // namespace

Figure scaling_figure(const std::string& name, const Quantity& quantity) {
  Figure figure;
  figure.name = name;
  figure.title = quantity.label;
  figure.y = axis_of(quantity.formula, true);
  figure.caption = quantity.formula;
  Series cells;
  cells.mark = Mark::points;
  cells.pen = {.colour = "#7f9cc0", .point = 4, .size = 0.9};
  std::map<double, std::vector<double>> by_width;
  std::set<double> widths;
  for (const CellValue& cell : quantity.values) {
    if (!std::isfinite(cell.value) || cell.width < 1) continue;
    const auto width = static_cast<double>(cell.width);
    cells.x.push_back(width);
    cells.y.push_back(cell.value);
    by_width[width].push_back(cell.value);
    widths.insert(width);
    figure.y.log = figure.y.log && cell.value > 0.0;
  }
  figure.x = width_axis(widths);
  if (widths.empty()) return figure;
  const Series means = means_of(by_width, figure.y.log);
  const bool has_seeds = means.x.size() < cells.x.size();
  figure.series.push_back(cells);
  if (has_seeds) figure.series.push_back(means);

  if (quantity.fit && widths.size() > 1) {
    const PowerFit& fit = *quantity.fit;
    const std::string interval =
        fit.interval ? fmt::format(" ({:.3g} to {:.3g})", fit.interval->low, fit.interval->high)
                     : std::string();
    figure.series.push_back(power_line(fmt::format("fit {}{}", exponent(fit.exponent), interval),
                                       fit.factor, fit.exponent, widths,
                                       {.colour = "#12355b", .width = 1.6}));
  }
  if (quantity.expected && widths.size() > 1 && figure.y.log) {
    // Through the middle of the points: only its slope says something.
    double log_m = 0.0, log_value = 0.0;
    for (std::size_t k = 0; k < means.x.size(); ++k) {
      log_m += std::log(means.x[k]) / static_cast<double>(means.x.size());
      log_value += std::log(means.y[k]) / static_cast<double>(means.x.size());
    }
    figure.series.push_back(power_line("expected " + exponent(*quantity.expected),
                                       std::exp(log_value - *quantity.expected * log_m),
                                       *quantity.expected, widths,
                                       {.colour = "#c44900", .dash = 1, .width = 1.6}));
  }
  if (quantity.limit && (!figure.y.log || *quantity.limit > 0.0))
    figure.references.push_back({*quantity.limit, "limit " + people_number(*quantity.limit)});
  return figure;
}

std::vector<Figure> cell_curves(const std::string& prefix, const std::vector<CellRun>& cells) {
  std::vector<Figure> figures;
  const auto add = [&](const char* name, const std::string& title, const Axis& y,
                       const Curve& curve, const char* caption) {
    figures.push_back(overlay(prefix + name, title, y, cells, curve));
    figures.back().caption = caption;
  };
  add("loss", "loss 1/2 sum r^2", axis_of("loss", true),
      curve_of(&RunData::epochs, &EpochRecord::loss),
      "The training loss of every cell, before each epoch's update.");
  figures.back().is_wide = true;
  add("test-loss", "test loss 1/2 sum r^2", axis_of("loss", true),
      curve_of(&RunData::epochs, &EpochRecord::test_loss), "The same over held-out samples.");
  add("error", "misclassified training samples", axis_of("share", false, " %"),
      curve_of(&RunData::epochs, &EpochRecord::error, 100.0),
      "Share of the training samples on the wrong side.");
  add("test-error", "misclassified test samples", axis_of("share", false, " %"),
      curve_of(&RunData::epochs, &EpochRecord::test_error, 100.0), "The same of held-out samples.");
  add(
      "contraction", "contraction gamma ||A||_2/sqrt(m)", axis_of("contraction", false),
      [](const RunData& run) {
        std::vector<std::pair<int, double>> points;
        for (const AtEpoch& look : contraction_curve(run))
          points.emplace_back(look.epoch, look.value);
        return points;
      },
      "Estimated from below; the equilibrium is unique while it is below 1.");
  figures.back().references.push_back({1.0, "bound"});
  add("drift", "drift of the kernel ||H(k) - H(0)||_F / ||H(0)||_F", axis_of("drift", false, " %"),
      curve_of(&RunData::grams, &GramRecord::drift, 100.0),
      "How far the kernel has moved from where it began, relative.");
  add("distance", "distance of the weights ||A(k) - A(0)||_F", axis_of("distance", false),
      curve_of(&RunData::grams, &GramRecord::distance_A),
      "How far the recurrent weights have moved; ||A(0)||_F is about m.");
  add("flipped", "flipped activations", axis_of("share", false, " %"),
      curve_of(&RunData::grams, &GramRecord::flipped, 100.0),
      "Share of the activation pattern 1[P > 0] unlike that of the first Gram.");
  return figures;
}

}  // namespace widedeq
