// From a file to cells, and back.
#include "host/study/study_config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>

#include "host/data/checksum.hpp"
#include "host/failure.hpp"
#include "host/run/config_toml.hpp"

namespace widedeq {
namespace {

constexpr std::size_t most_cells = 10'000;

/// Values of integer settings, most of all seeds, may be given as ranges.
constexpr const char* range_forms =
    "write \"1..5\", \"500..2000 step 500\" or \"256..8192 times 2\"";

bool is_range(std::string_view text) {
  return text.find("..") != text.npos;
}

/// "A..B", "A..B step S": A, A + S, ... up to B; "A..B times F": A, A F, A F^2, ... up to B.
std::vector<std::int64_t> expand_range(std::string_view text, const std::string& shown,
                                       const std::string& where) {
  constexpr std::int64_t most = std::int64_t{1} << 62;
  const auto refuse = [&](const std::string& why) {
    throw Failure(ExitCode::usage, shown + ' ' + why, where, range_forms);
  };
  std::int64_t step = 1, factor = 1;
  std::string_view ends = text;
  if (const std::size_t space = text.find(' '); space != text.npos) {
    ends = text.substr(0, space);
    const std::string_view how = text.substr(space + 1);
    const bool by_step = how.starts_with("step "), by_factor = how.starts_with("times ");
    const auto value =
        by_step || by_factor ? parse_integer(how.substr(how.find(' ') + 1), 1, most) : std::nullopt;
    if (!value || (by_factor && *value < 2)) refuse("is no range");
    (by_step ? step : factor) = *value;
  }
  const std::size_t dots = ends.find("..");
  const auto first = parse_integer(ends.substr(0, dots), 0, most);
  const auto last =
      dots == ends.npos ? std::nullopt : parse_integer(ends.substr(dots + 2), 0, most);
  if (!first || !last) refuse("is no range");
  if (*first > *last) refuse("is empty");
  if (factor > 1 && *first == 0) refuse("never gets away from 0");
  std::vector<std::int64_t> values;
  for (std::int64_t value = *first;;) {
    if (values.size() == most_cells) refuse("has too many values");
    values.push_back(value);
    if (factor > 1 ? value > *last / factor : value > *last - step) return values;
    value = factor > 1 ? value * factor : value + step;
  }
}

std::string value_in(const TrainConfig& config, std::string_view name) {
  return setting(name).get(config).value_or("none");
}

/// Paths count from the working directory in the file, and from nowhere in study.toml.
std::string with_absolute_path(const std::string& name, const std::string& value,
                               const std::string& where) {
  if (name != "data" && name != "weights") return value;
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7F; };
  if (std::ranges::any_of(value, is_control))
    throw Failure(ExitCode::usage, name + " has a control character: " + escaped(value), where,
                  "give the path another name");
  TrainConfig config;
  setting(name).set(config, value);
  resolve(config);
  return value_in(config, name);
}

/// The values of one setting of the grid, each as get() gives it.
std::vector<std::string> read_values(const toml::node& node, const Setting& entry,
                                     const std::string& where) {
  const std::string name(entry.name);
  std::vector<std::string> values;
  std::set<std::string> seen;
  const auto add = [&](const std::string& text, const std::string& shown) {
    TrainConfig config;
    apply_setting(config, entry, text, name + " = " + shown, where);
    const std::string value = with_absolute_path(name, entry.get(config).value_or(text), where);
    if (!seen.insert(value).second)
      throw Failure(ExitCode::usage, fmt::format("{} is twice among the values of {}", value, name),
                    where, "name every value once");
    values.push_back(value);
  };
  const auto add_node = [&](const toml::node& item) {
    const std::string shown = as_written(item);
    const toml::value<std::string>* word = item.as_string();
    if (entry.kind == SettingKind::integer && word != nullptr && is_range(word->get())) {
      for (const std::int64_t value :
           expand_range(word->get(), fmt::format("{} = {}", name, shown), where))
        add(std::to_string(value), std::to_string(value));
    } else {
      // A value of the wrong type becomes a text that no setting allows.
      add(text_of(item, entry.kind).value_or("\n"), shown);
    }
  };
  const toml::array* list = node.as_array();
  // A list of classes is one value of a setting that is a list itself.
  const bool is_one = list == nullptr || (entry.kind == SettingKind::integers && !list->empty() &&
                                          list->front().is_integer());
  if (is_one) {
    add_node(node);
  } else {
    for (const toml::node& item : *list)
      add_node(item);
  }
  if (values.empty())
    throw Failure(ExitCode::usage, name + " has no value in the grid", where,
                  "give some, or leave it out");
  return values;
}

const toml::table& table_named(const toml::table& file, std::string_view key,
                               const std::string& name, const char* remedy) {
  const toml::node* node = file.get(key);
  if (node == nullptr)
    throw Failure(ExitCode::usage, fmt::format("there is no [{}]", key), name, remedy);
  if (!node->is_table())
    throw Failure(ExitCode::usage, fmt::format("{} is not a table", key), place_of(file, key, name),
                  remedy);
  return *node->as_table();
}

std::vector<GridSetting> read_grid(const toml::table& file, const std::string& name) {
  const toml::table& table =
      table_named(file, "grid", name,
                  "add one with lists of values, such as width = [256, 512], or use widedeq train");
  std::vector<std::string> known;
  for (const Setting& entry : settings())
    if (entry.computes) known.emplace_back(entry.name);
  for (const std::string& key : keys_in_order(table)) {
    const std::string where = place_of(table, key, name);
    const auto any = settings();
    const bool is_safety = std::any_of(any.begin(), any.end(), [&](const Setting& entry) {
      return entry.name == key && !entry.computes;
    });
    if (is_safety || key == "out")
      throw Failure(ExitCode::usage, key + " is no part of what a run computes", where,
                    key == "out" ? "leave it out: every cell gets a directory of its own"
                                 : "give one value for all cells, above [grid]");
    if (std::find(known.begin(), known.end(), key) == known.end()) refuse_key(key, known, where);
    if (file.contains(key))
      throw Failure(ExitCode::usage, key + " is given for all cells, and in the grid", where,
                    "leave out one of them");
  }
  std::vector<GridSetting> grid;
  for (const Setting& entry : settings())
    if (const toml::node* node = table.get(entry.name))
      grid.push_back({std::string(entry.name),
                      read_values(*node, entry, place_of(table, entry.name, name)), std::nullopt});
  if (grid.empty())
    throw Failure(ExitCode::usage, "[grid] is empty", place_of(file, "grid", name),
                  "give it lists of values, such as width = [256, 512], or use widedeq train");
  return grid;
}

/// study.toml's note on settings that joined the grid later.
void read_unnamed(const toml::table& file, std::vector<GridSetting>& grid,
                  const std::string& name) {
  if (!file.contains("unnamed")) return;
  const toml::table& table = table_named(file, "unnamed", name, "leave the file as it was written");
  for (GridSetting& one : grid) {
    const toml::node* node = table.get(one.name);
    if (node == nullptr) continue;
    const auto values = read_values(*node, setting(one.name), place_of(table, one.name, name));
    one.unnamed = values.front();
  }
}

/// Every combination; the last setting changes fastest.
void make_cells(Study& study, const std::string& name) {
  std::size_t count = 1;
  for (const GridSetting& one : study.grid) {
    count *= one.values.size();
    if (count > most_cells)
      throw Failure(ExitCode::usage, fmt::format("the grid has more than {} cells", most_cells),
                    name, "name fewer values");
  }
  std::set<std::string> names;
  study.cells.clear();
  for (std::size_t number = 0; number < count; ++number) {
    StudyCell cell;
    cell.number = static_cast<int>(number);
    cell.config = study.common;
    std::size_t rest = number;
    for (std::size_t i = study.grid.size(); i-- > 0;) {
      const GridSetting& one = study.grid[i];
      const std::string& value = one.values[rest % one.values.size()];
      rest /= one.values.size();
      apply_setting(cell.config, setting(one.name), value, one.name + " = " + value, name);
    }
    resolve(cell.config);
    std::vector<std::pair<std::string, std::string>> named;
    for (const GridSetting& one : study.grid) {
      cell.varied.emplace_back(one.name, value_in(cell.config, one.name));
      if (one.unnamed != cell.varied.back().second) named.push_back(cell.varied.back());
    }
    cell.name = cell_name(named);
    if (!names.insert(cell.name).second)
      throw Failure(ExitCode::usage, "two cells have the same values: " + cell.describe(), name,
                    "name every value once");
    cell.directory = study.directory + "/cells/" + cell.name;
    cell.config.out = cell.directory;
    study.cells.push_back(std::move(cell));
  }
}

}  // namespace

std::string StudyCell::describe() const {
  std::string text;
  for (const auto& [name, value] : varied)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, value);
  return text;
}

const StudyCell& Study::cell(const std::string& number_or_name) const {
  const auto last = static_cast<std::int64_t>(cells.size()) - 1;
  if (const auto number = parse_integer(number_or_name, 0, last))
    return cells[static_cast<std::size_t>(*number)];
  for (const StudyCell& one : cells)
    if (one.name == number_or_name || "cells/" + one.name == number_or_name) return one;
  throw Failure(ExitCode::usage, "there is no cell " + number_or_name, directory,
                fmt::format("cells are numbered from 0 to {}; see widedeq study --dry-run", last));
}

Study parse_study(std::string_view text, const std::string& name, const std::string& directory) {
  constexpr std::array<std::string_view, 2> tables{"grid", "unnamed"};
  const toml::table file = parse_toml(text, name);
  Study study;
  study.directory = directory;
  apply_table(study.common, file, name, tables);
  study.grid = read_grid(file, name);
  read_unnamed(file, study.grid, name);
  for (const char* path : {"data", "weights"})
    setting(path).set(study.common, with_absolute_path(path, value_in(study.common, path), name));
  make_cells(study, name);
  return study;
}

std::string to_toml(const Study& study) {
  const auto line = [](const std::string& name, const std::string& value) {
    return fmt::format("{} = {}\n", name, value);
  };
  std::string text =
      "# A study as it goes on: widedeq study --out THIS_DIRECTORY\n"
      "# To add values to the grid, start it with a file that has them: --config FILE\n";
  for (const Setting& entry : settings()) {
    const auto in_grid = [&](const GridSetting& one) { return one.name == entry.name; };
    if (std::any_of(study.grid.begin(), study.grid.end(), in_grid)) continue;
    if (const auto value = entry.get(study.common))
      text += line(std::string(entry.name), toml_value(entry.kind, *value));
  }
  text += "\n[grid]\n";
  std::string unnamed;
  for (const GridSetting& one : study.grid) {
    const SettingKind kind = setting(one.name).kind;
    std::vector<std::string> values;
    for (const std::string& value : one.values)
      values.push_back(toml_value(kind, value));
    text += line(one.name, fmt::format("[{}]", fmt::join(values, ", ")));
    if (one.unnamed) unnamed += line(one.name, toml_value(kind, *one.unnamed));
  }
  if (unnamed.empty()) return text;
  return text +
         "\n# These joined the grid later; cells with these values do without them in their "
         "name.\n[unnamed]\n" +
         unnamed;
}

std::string cell_name(const std::vector<std::pair<std::string, std::string>>& values) {
  constexpr std::size_t longest_value = 40, longest_name = 200;
  constexpr std::string_view others = ".+-,";
  const auto checksum = [](std::string_view text) {
    Checksum sum;
    sum.add(std::as_bytes(std::span(text)));
    return sum.text().substr(0, 8);
  };
  const auto is_plain = [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           others.find(c) != others.npos;
  };
  std::string name;
  for (const auto& [setting_name, value] : values) {
    std::string shown = value;
    if (!std::all_of(value.begin(), value.end(), is_plain) || value.size() > longest_value) {
      const std::size_t slash = value.rfind('/');
      shown = slash == value.npos ? value : value.substr(slash + 1);
      std::replace_if(
          shown.begin(), shown.end(), [&](char c) { return !is_plain(c); }, '-');
      shown = shown.substr(0, longest_value) + '-' + checksum(value);
    }
    name += fmt::format("{}{}-{}", name.empty() ? "" : "_", setting_name, shown);
  }
  if (name.size() > longest_name) name = name.substr(0, longest_name) + '-' + checksum(name);
  return name;
}

}  // namespace widedeq
