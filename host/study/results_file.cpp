// The analysis as JSON, as CSV and as text; see results_file.hpp.
#include "host/study/results_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <span>

#include "host/data/atomic_file.hpp"

namespace widedeq {
namespace {

Json settings_json(const std::vector<std::pair<std::string, std::string>>& settings) {
  Json object = Json::object();
  for (const auto& [name, value] : settings)
    object[name] = value;
  return object;
}

std::string relative(const std::string& directory, const StudyAnalysis& analysis) {
  return std::filesystem::path(directory).lexically_relative(analysis.directory).string();
}

Json quantity_json(const Quantity& quantity) {
  Json object;
  object["name"] = quantity.name;
  object["label"] = quantity.label;
  object["formula"] = quantity.formula;
  if (quantity.limit) object["limit"] = *quantity.limit;
  if (quantity.expected) object["expected_exponent"] = *quantity.expected;
  if (const auto& fit = quantity.fit) {
    Json& entry = object["fit"];
    entry["exponent"] = fit->exponent;
    if (fit->interval) entry["low"] = fit->interval->low;
    if (fit->interval) entry["high"] = fit->interval->high;
    entry["factor"] = fit->factor;
    entry["cells"] = fit->cells;
    entry["widths"] = fit->widths;
    entry["seeds"] = fit->seeds;
  }
  Json& values = object["values"] = Json::array();
  for (const CellValue& value : quantity.values)
    values.push_back({{"cell", value.cell},
                      {"width", value.width},
                      {"seed", value.seed},
                      {"value", value.value}});
  return object;
}

/// A field of a CSV file: in quotes where it needs them.
std::string field(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == text.npos) return text;
  std::string quoted = "\"";
  for (const char letter : text)
    quoted += letter == '"' ? std::string("\"\"") : std::string(1, letter);
  return quoted + '"';
}

/// The value of a cell's quantity, nothing where it has none.
std::string value_text(const StudyAnalysis& analysis, int cell, const std::string& name) {
  for (const StudyGroup& group : analysis.groups)
    for (const Quantity& quantity : group.quantities)
      if (quantity.name == name)
        for (const CellValue& value : quantity.values)
          if (value.cell == cell) return fmt::format("{}", value.value);
  return "";
}

/// The quantities that any group has, in the order of their table.
std::vector<std::string> quantity_names(const StudyAnalysis& analysis) {
  std::vector<std::string> names;
  for (const StudyGroup& group : analysis.groups)
    for (const Quantity& quantity : group.quantities)
      if (std::find(names.begin(), names.end(), quantity.name) == names.end())
        names.push_back(quantity.name);
  return names;
}

}  // namespace

const char* name_of(StudyFinding finding) {
  switch (finding) {
    case StudyFinding::holds:
      return "holds";
    case StudyFinding::fails:
      return "fails";
    case StudyFinding::open:
      return "open";
  }
  return "unknown";
}

Json results_json(const StudyAnalysis& analysis) {
  Json object;
  object["schema"] = 1;
  Json& cells = object["cells"] = Json::array();
  for (const AnalysedCell& cell : analysis.cells)
    cells.push_back({{"number", cell.number},
                     {"directory", relative(cell.directory, analysis)},
                     {"status", cell.status},
                     {"commit", cell.commit},
                     {"backend", cell.backend},
                     {"settings", settings_json(cell.settings)}});
  Json& groups = object["groups"] = Json::array();
  for (const StudyGroup& group : analysis.groups) {
    Json entry;
    entry["label"] = group.label;
    entry["settings"] = settings_json(group.settings);
    entry["cells"] = group.cells;
    Json& quantities = entry["quantities"] = Json::array();
    for (const Quantity& quantity : group.quantities)
      quantities.push_back(quantity_json(quantity));
    Json& verdicts = entry["verdicts"] = Json::array();
    for (const StudyVerdict& verdict : group.verdicts)
      verdicts.push_back({{"finding", name_of(verdict.finding)},
                          {"statement", verdict.statement},
                          {"evidence", verdict.evidence}});
    groups.push_back(std::move(entry));
  }
  object["remarks"] = analysis.remarks;
  return object;
}

std::string cells_csv(const StudyAnalysis& analysis) {
  const std::vector<std::string> names = quantity_names(analysis);
  std::string text = "cell,directory,status";
  if (!analysis.cells.empty())
    for (const auto& [name, value] : analysis.cells.front().settings)
      text += ',' + field(name);
  for (const std::string& name : names)
    text += ',' + name;
  text += "\r\n";
  for (const AnalysedCell& cell : analysis.cells) {
    text += fmt::format("{},{},{}", cell.number, field(relative(cell.directory, analysis)),
                        field(cell.status));
    for (const auto& [name, value] : cell.settings)
      text += ',' + field(value);
    for (const std::string& name : names)
      text += ',' + value_text(analysis, cell.number, name);
    text += "\r\n";
  }
  return text;
}

void write_results(const StudyAnalysis& analysis) {
  const std::filesystem::path directory(analysis.directory);
  const auto write = [&](const char* name, const std::string& text) {
    write_file_atomically((directory / name).string(), std::as_bytes(std::span(text)));
  };
  write("results.json",
        results_json(analysis).dump(1, ' ', false, Json::error_handler_t::replace) + '\n');
  write("cells.csv", cells_csv(analysis));
}

std::string format_analysis(const StudyAnalysis& analysis) {
  std::string text;
  for (const StudyGroup& group : analysis.groups) {
    text += fmt::format("\n{}\n", group.label);
    for (const StudyVerdict& verdict : group.verdicts)
      text += fmt::format("  {:<6} {}\n         {}\n", name_of(verdict.finding), verdict.statement,
                          verdict.evidence);
  }
  for (const std::string& remark : analysis.remarks)
    text += fmt::format("\nremark: {}\n", remark);
  return text;
}

}  // namespace widedeq
