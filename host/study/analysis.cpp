// From cells to groups, quantities and verdicts; see analysis.hpp.
#include "host/study/analysis.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <list>
#include <map>

#include "host/failure.hpp"
#include "host/run/json.hpp"
#include "host/study/cell_data.hpp"
#include "host/study/quantities.hpp"
#include "host/study/verdicts.hpp"

namespace widedeq {
namespace {

using Settings = std::vector<std::pair<std::string, std::string>>;

/// What cells of one group share: the varied settings but for width and seed.
Settings group_settings(const StudyCell& cell) {
  Settings settings;
  std::ranges::copy_if(cell.varied, std::back_inserter(settings), [](const auto& setting) {
    return setting.first != "width" && setting.first != "seed";
  });
  return settings;
}

/// "gamma 0.5, injection relu"; "all cells" where nothing but width and seed varies.
std::string label_of(const Settings& settings) {
  std::string label;
  for (const auto& [name, value] : settings)
    label += (label.empty() ? "" : ", ") + name + ' ' + value;
  return label.empty() ? "all cells" : label;
}

/// The limit, where the cells that have one agree on it: where data are drawn they need not.
std::optional<double> common_limit(const QuantityKind& kind,
                                   const std::vector<const CellData*>& cells) {
  if (!kind.limit) return std::nullopt;
  std::optional<double> common;
  for (const CellData* cell : cells) {
    const auto limit = kind.limit(*cell);
    if (!limit) continue;
    if (common && *common != *limit) return std::nullopt;
    common = limit;
  }
  return common;
}

std::optional<Quantity> measure(const QuantityKind& kind,
                                const std::vector<const CellData*>& cells) {
  Quantity quantity;
  quantity.name = kind.name;
  quantity.label = kind.label;
  quantity.formula = kind.formula;
  std::vector<WidthValue> points;
  for (const CellData* cell : cells) {
    const auto value = kind.measure(*cell);
    if (!value || !std::isfinite(*value)) continue;
    quantity.values.push_back({cell->cell->number, cell->width(), cell->seed(), *value});
    points.push_back({static_cast<double>(cell->width()), *value, cell->seed()});
  }
  if (points.empty()) return std::nullopt;
  quantity.fit = fit_power(points);
  if (kind.expected) quantity.expected = kind.expected->value;
  quantity.limit = common_limit(kind, cells);
  return quantity;
}

StudyGroup analyse_group(const Settings& settings, const std::vector<const CellData*>& cells) {
  StudyGroup group;
  group.label = label_of(settings);
  group.settings = settings;
  for (const QuantityKind& kind : quantity_kinds())
    if (auto quantity = measure(kind, cells)) group.quantities.push_back(std::move(*quantity));
  group.verdicts = study_verdicts(cells, group.quantities);
  return group;
}

/// Every cell with its limit of infinite width; why one has none goes to the remarks.
void compare_with_limits(std::list<CellData>& cells, std::vector<std::string>& remarks) {
  std::multimap<std::string, CellData*> by_key;
  for (CellData& cell : cells)
    by_key.emplace(limit_key(cell.cell->config), &cell);
  CellLimits limits;
  for (const auto& [key, cell] : by_key) {
    std::string why_not;
    try {
      limits.compare(*cell, why_not);
    } catch (const Failure& failure) {
      why_not = fmt::format("cell {} is not compared with its limit: {}", cell->cell->number,
                            failure.what());
    }
    if (!why_not.empty() && std::ranges::count(remarks, why_not) == 0) remarks.push_back(why_not);
  }
}

}  // namespace

StudyAnalysis analyse_study(const std::string& directory) {
  const Study study = open_study(directory);
  StudyAnalysis analysis;
  analysis.directory = directory;
  std::list<CellData> read;  // cells point into it
  std::vector<std::pair<Settings, std::vector<const CellData*>>> groups;
  std::map<Settings, std::vector<int>> members;
  for (const StudyCell& cell : study.cells) {
    AnalysedCell entry{cell.number, cell.directory, "waiting", cell.varied};
    const Settings settings = group_settings(cell);
    members[settings].push_back(cell.number);
    auto group = std::ranges::find(groups, settings, [](const auto& it) { return it.first; });
    if (group == groups.end()) {
      groups.push_back({settings, {}});
      group = std::prev(groups.end());
    }
    try {
      if (auto data = read_cell(cell)) {
        entry.status = data->run.status;
        entry.commit = text_of(data->run.record, "commit");
        entry.backend = text_of(data->run.record, "backend");
        group->second.push_back(&read.emplace_back(std::move(*data)));
      }
    } catch (const Failure& failure) {  // one damaged file is not to hide what the others say
      entry.status = "unreadable";
      analysis.remarks.push_back(
          fmt::format("cell {} is left out: {}", cell.number, failure.what()));
    }
    analysis.cells.push_back(std::move(entry));
  }
  compare_with_limits(read, analysis.remarks);
  for (const auto& [settings, cells] : groups) {
    analysis.groups.push_back(analyse_group(settings, cells));
    analysis.groups.back().cells = members[settings];
  }
  return analysis;
}

}  // namespace widedeq
