// Reading and writing configuration files (toml++).
#include "host/run/config_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "host/data/byte_source.hpp"
#include "host/failure.hpp"
#include "host/run/config_toml.hpp"
#include "host/run/spelling.hpp"

namespace widedeq {

std::optional<std::string> text_of(const toml::node& node, SettingKind kind) {
  switch (kind) {
    case SettingKind::integer:
      if (const auto* value = node.as_integer()) return std::to_string(value->get());
      break;
    case SettingKind::number:
      if (const auto* value = node.as_integer()) return std::to_string(value->get());
      if (const auto* value = node.as_floating_point()) return format_number(value->get());
      // The one word a number may be replaced by; set() decides whether this one may.
      if (const auto* value = node.as_string(); value && value->get() == "auto") return "auto";
      break;
    case SettingKind::text:
      if (const auto* value = node.as_string()) return value->get();
      break;
    case SettingKind::span:
      if (const auto* value = node.as_integer()) return std::to_string(value->get());
      if (const auto* value = node.as_string()) return value->get();
      break;
    case SettingKind::boolean:
      if (const auto* value = node.as_boolean()) return value->get() ? "true" : "false";
      break;
    case SettingKind::integers:
      if (const auto* list = node.as_array()) {
        std::vector<std::int64_t> values;
        for (const toml::node& item : *list) {
          if (!item.is_integer()) return std::nullopt;
          values.push_back(item.as_integer()->get());
        }
        return fmt::format("{}", fmt::join(values, ","));
      }
      break;
  }
  return std::nullopt;
}

std::string as_written(const toml::node& node) {
  std::ostringstream text;
  node.visit([&](const auto& value) { text << value; });
  std::string line = text.str();
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      result += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
    } else {
      result += c;
    }
  }
  return result;
}

std::string toml_value(SettingKind kind, const std::string& text) {
  if (kind == SettingKind::integers) return '[' + text + ']';
  const bool is_word = text.find_first_not_of("0123456789") != text.npos;
  const bool is_text =
      kind == SettingKind::text || (kind == SettingKind::span && is_word) || text == "auto";
  return is_text ? '"' + escaped(text) + '"' : text;
}

toml::table parse_toml(std::string_view text, const std::string& name) try {
  return toml::parse(text);
} catch (const toml::parse_error& error) {
  std::string what(error.description());
  std::replace(what.begin(), what.end(), '\n', ' ');
  throw Failure(ExitCode::usage, "this is not TOML: " + what,
                fmt::format("{}, line {}", name, error.source().begin.line),
                "write KEY = VALUE, strings in quotation marks");
}

std::vector<std::string> keys_in_order(const toml::table& table) {
  std::vector<std::pair<toml::source_position, std::string>> found;
  for (const auto& [key, node] : table)
    found.emplace_back(key.source().begin, key.str());
  std::sort(found.begin(), found.end());
  std::vector<std::string> keys;
  for (auto& [position, key] : found)
    keys.push_back(std::move(key));
  return keys;
}

std::string place_of(const toml::table& table, std::string_view key, const std::string& name) {
  return fmt::format("{}, line {}", name, table.find(key)->first.source().begin.line);
}

void refuse_key(std::string_view key, const std::vector<std::string>& known,
                const std::string& where) {
  const std::string nearest = nearest_word(key, known);
  throw Failure(ExitCode::usage, "there is no key '" + escaped(key) + "'", where,
                nearest.empty() ? fmt::format("the keys are {}", fmt::join(known, ", "))
                                : "did you mean " + nearest + "?");
}

void apply_table(TrainConfig& config, const toml::table& table, const std::string& name,
                 std::span<const std::string_view> others) {
  std::vector<std::string> known;
  for (const Setting& entry : settings())
    known.emplace_back(entry.name);
  for (const std::string& key : keys_in_order(table)) {
    if (std::find(others.begin(), others.end(), key) != others.end()) continue;
    const std::string where = place_of(table, key, name);
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      known.insert(known.end(), others.begin(), others.end());
      refuse_key(key, known, where);
    }
    const toml::node& node = *table.get(key);
    const Setting& entry = setting(key);
    const std::string shown = key + " = " + as_written(node);
    // A value of the wrong type becomes a text that no setting allows.
    apply_setting(config, entry, text_of(node, entry.kind).value_or("\n"), shown, where);
  }
}

void apply_config_file(TrainConfig& config, const std::string& path) {
  apply_config_text(config, read_text(path), path);
}

void apply_config_text(TrainConfig& config, std::string_view text, const std::string& name) {
  const toml::table table = parse_toml(text, name);
  if (const toml::node* grid = table.get("grid"); grid != nullptr && grid->is_table())
    throw Failure(ExitCode::usage, "[grid] makes many runs of this file",
                  place_of(table, "grid", name), "start them with: widedeq study --config FILE");
  apply_table(config, table, name);
}

std::string to_toml(const TrainConfig& config) {
  std::string text =
      "# Repeat this run with: widedeq train --config THIS_FILE --out ANOTHER_DIRECTORY\n";
  for (const Setting& entry : settings()) {
    const auto value = entry.get(config);
    // A limit is of the time one process has: neither repeating nor resuming is to inherit it.
    if (!value || entry.name == "max-walltime") continue;
    text += fmt::format("{} = {}\n", entry.name, toml_value(entry.kind, *value));
  }
  return text;
}

}  // namespace widedeq
