// The page about a study.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "host/failure.hpp"
#include "host/study/notation.hpp"
#include "host/study/report.hpp"
#include "host/study/study_figures.hpp"

namespace widedeq {
namespace {

namespace fs = std::filesystem;

fs::path whole(const fs::path& path) {
  return fs::absolute(path).lexically_normal();
}

/// Where a cell's run is, whether the analysis says so from here or from the study's directory.
fs::path place_of(const StudyAnalysis& study, const AnalysedCell& cell) {
  std::error_code error;
  const fs::path place(cell.directory);
  if (place.is_absolute() || fs::exists(place, error)) return whole(place);
  return whole(fs::path(study.directory) / place);
}

std::string name_of(const StudyAnalysis& study) {
  fs::path place = whole(study.directory);
  if (!place.has_filename()) place = place.parent_path();
  return place.filename().string();
}

std::string status_html(const std::string& status) {
  const char* mark = status == "done" ? "✓ " : status.starts_with("failed") ? "✗ " : "";
  return mark + html_escaped(status);
}

/// The runs of a group's cells, as far as they can be read.
std::vector<CellRun> runs_of(const StudyAnalysis& study, const StudyGroup& group) {
  std::vector<CellRun> runs;
  for (const AnalysedCell& cell : study.cells) {
    if (std::ranges::find(group.cells, cell.number) == group.cells.end()) continue;
    try {
      CellRun found{0, read_run(place_of(study, cell).string(), Reading::records)};
      found.width = found.run.width().value_or(0);
      if (found.width > 0) runs.push_back(std::move(found));
    } catch (const Failure&) {
      // Waiting, or broken; the table of cells says which.
    }
  }
  return runs;
}

/// Every fit of the group.
Table fit_table(const StudyGroup& group) {
  Table table;
  table.head = {"quantity", "formula", "exponent of m", "95 % interval",
                "expected", "limit",   "cells"};
  table.numbers = {false, false, true, true, true, true, true};
  for (const Quantity& quantity : group.quantities) {
    if (quantity.values.empty()) continue;
    const auto& fit = quantity.fit;
    const auto number = [](double value, const char* format) {
      return notation_to_html(fmt::format(fmt::runtime(format), value));
    };
    table.rows.push_back({notation_to_html(quantity.label), notation_to_html(quantity.formula),
                          fit ? number(fit->exponent, "{:.3f}") : "–",
                          fit && fit->interval ? number(fit->interval->low, "{:.3f}") + " to " +
                                                     number(fit->interval->high, "{:.3f}")
                                               : "–",
                          quantity.expected ? number(*quantity.expected, "{:.3g}") : "",
                          quantity.limit ? notation_to_html(people_number(*quantity.limit)) : "",
                          std::to_string(quantity.values.size())});
  }
  return table;
}

/// Cells with what they vary, how far they are, and the way to them.
Table cell_table(const StudyAnalysis& study, const fs::path& out) {
  std::vector<std::string> names;
  for (const AnalysedCell& cell : study.cells)
    for (const auto& [name, value] : cell.settings)
      if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  Table table;
  table.head = {"cell"};
  table.numbers = {true};
  for (const std::string& name : names) {
    table.head.push_back(html_escaped(name));
    table.numbers.push_back(true);
  }
  for (const char* head : {"status", "run"})
    table.head.emplace_back(head);
  for (const AnalysedCell& cell : study.cells) {
    std::vector<std::string> row = {std::to_string(cell.number)};
    for (const std::string& name : names) {
      const auto found =
          std::ranges::find(cell.settings, name, &std::pair<std::string, std::string>::first);
      row.push_back(found == cell.settings.end() ? "" : html_escaped(found->second));
    }
    row.push_back(status_html(cell.status));
    // A cell's own report, where there is one.
    std::error_code error;
    fs::path target = place_of(study, cell);
    const fs::path report = target / "report" / "index.html";
    const bool has_report = fs::exists(report, error);
    const bool is_there = fs::exists(target, error);
    const fs::path within = whole(target).lexically_relative(whole(study.directory));
    const bool is_within = !within.empty() && *within.begin() != "..";
    const std::string shown =
        "<code>" + html_escaped(is_within ? within.string() : cell.directory) + "</code>";
    const fs::path link = (has_report ? report : target).lexically_proximate(out);
    row.push_back(is_there
                      ? "<a href=\"" + html_escaped(url_of(link.string())) + "\">" + shown + "</a>"
                      : shown);
    if (cell.status.starts_with("failed")) table.emphasised.push_back(table.rows.size());
    table.rows.push_back(std::move(row));
  }
  return table;
}

void add_group(Page& page, const StudyAnalysis& study, const StudyGroup& group,
               const std::string& prefix, bool alone) {
  page.section(alone || group.label.empty() ? "What it says to the theory"
                                            : notation_to_html(group.label));
  page.verdicts(group.verdicts);
  std::vector<Figure> scalings;
  for (const Quantity& quantity : group.quantities)
    scalings.push_back(scaling_figure(prefix + url_of(quantity.name), quantity));
  if (alone) page.section("As the width grows");
  if (!scalings.empty())
    page.paragraph(
        "Circles are cells, discs their geometric mean at each width (the mean where values are "
        "not "
        "all positive). Fits are by least squares of the logarithms over all cells, with the 95 % "
        "interval of the exponent; of an expected slope, only the slope means something.");
  page.figures(std::move(scalings));
  page.table(fit_table(group));
  if (alone) page.section("Training, cell by cell");
  page.figures(cell_curves(prefix + "cells-", runs_of(study, group)));
}

}  // namespace

Page report_of_study(const StudyAnalysis& study, const std::string& out) {
  Page page("Study: " + name_of(study), "widedeq study " + study.directory);
  std::map<std::string, int> statuses;
  for (const AnalysedCell& cell : study.cells)
    ++statuses[cell.status.substr(0, cell.status.find(':'))];
  std::string counts;
  for (const auto& [status, count] : statuses)
    counts += fmt::format("{}{} {}", counts.empty() ? "" : ", ", count, html_escaped(status));
  std::set<std::int64_t> widths, seeds;
  for (const StudyGroup& group : study.groups)
    for (const Quantity& quantity : group.quantities)
      for (const CellValue& value : quantity.values) {
        widths.insert(value.width);
        seeds.insert(value.seed);
      }
  page.paragraph(fmt::format("What changes as the network grows: {} {}, each a run ({}).",
                             study.cells.size(), study.cells.size() == 1 ? "cell" : "cells",
                             counts));
  std::vector<std::pair<std::string, std::string>> headline = {
      {std::to_string(statuses["done"]) + "\u2009/\u2009" + std::to_string(study.cells.size()),
       "cells done"}};
  if (!widths.empty()) {
    headline.emplace_back(
        people_count(*widths.begin()) + " – " + people_count(*widths.rbegin()),
        fmt::format("width m, {} {}", widths.size(), widths.size() == 1 ? "value" : "values"));
    headline.emplace_back(std::to_string(seeds.size()), seeds.size() == 1 ? "seed" : "seeds");
  }
  int holds = 0, fails = 0, open = 0;
  for (const StudyGroup& group : study.groups)
    for (const StudyVerdict& verdict : group.verdicts)
      ++(verdict.finding == StudyFinding::holds   ? holds
         : verdict.finding == StudyFinding::fails ? fails
                                                  : open);
  if (holds + fails + open > 0)
    headline.emplace_back(fmt::format("{} ✓  {} ✗  {} ?", holds, fails, open),
                          "statements that hold, fail, are open");
  page.headline(headline);

  const bool alone = study.groups.size() == 1;
  for (std::size_t k = 0; k < study.groups.size(); ++k)
    add_group(page, study, study.groups[k], alone ? "" : fmt::format("group-{}-", k + 1), alone);
  page.section("Cells");
  std::string files;
  for (const char* name : {"cells.csv", "results.json", "study.toml"}) {
    std::error_code error;
    const fs::path file = whole(fs::path(study.directory) / name);
    if (fs::exists(file, error))
      files +=
          fmt::format("{}<a href=\"{}\">{}</a>", files.empty() ? "" : ", ",
                      html_escaped(url_of(file.lexically_proximate(whole(out)).string())), name);
  }
  if (!files.empty()) page.paragraph("The same in files: " + files + ".");
  for (const std::string& remark : study.remarks)
    page.paragraph(html_escaped(remark));
  page.table(cell_table(study, whole(out)));
  return page;
}

}  // namespace widedeq
