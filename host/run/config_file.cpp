// Reading and writing configuration files (toml++).
#include "host/run/config_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <sstream>
#include <vector>

#include "host/data/byte_source.hpp"
#include "host/failure.hpp"
#include "host/run/spelling.hpp"

namespace widedeq {
namespace {

/// A scalar or a list of integers as the setting's text; nothing for a value of the wrong type.
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

/// The inside of a TOML basic string, in one line.
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

/// A TOML basic string.
std::string quoted(std::string_view text) {
  return '"' + escaped(text) + '"';
}

}  // namespace

void apply_config_file(TrainConfig& config, const std::string& path) {
  InputFile file(path);
  std::string text(file.size(), '\0');
  text.resize(read_fully(file.source(), std::as_writable_bytes(std::span(text))));
  apply_config_text(config, text, path);
}

void apply_config_text(TrainConfig& config, std::string_view text, const std::string& name) {
  const auto place = [&](const toml::source_region& source) {
    return fmt::format("{}, line {}", name, source.begin.line);
  };
  toml::table table;
  try {
    table = toml::parse(text);
  } catch (const toml::parse_error& error) {
    std::string what(error.description());
    std::replace(what.begin(), what.end(), '\n', ' ');
    throw Failure(ExitCode::usage, "this is not TOML: " + what, place(error.source()),
                  "write KEY = VALUE, strings in quotation marks");
  }
  std::vector<std::string> known;
  for (const Setting& entry : settings())
    known.emplace_back(entry.name);
  // toml++ keeps keys in alphabetical order; the first mistake in the file is the one to report.
  std::vector<std::pair<toml::source_position, std::string>> keys;
  for (const auto& [key, node] : table)
    keys.emplace_back(key.source().begin, key.str());
  std::sort(keys.begin(), keys.end());

  for (const auto& [position, key] : keys) {
    const toml::node& node = *table.get(key);
    const std::string where = fmt::format("{}, line {}", name, position.line);
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      const std::string nearest = nearest_word(key, known);
      throw Failure(ExitCode::usage, "there is no key '" + escaped(key) + "'", where,
                    nearest.empty() ? fmt::format("the keys are {}", fmt::join(known, ", "))
                                    : "did you mean " + nearest + "?");
    }
    const Setting& entry = setting(key);
    const std::string shown = key + " = " + as_written(node);
    // A value of the wrong type becomes a text that no setting allows.
    apply_setting(config, entry, text_of(node, entry.kind).value_or("\n"), shown, where);
  }
}

std::string to_toml(const TrainConfig& config) {
  std::string text =
      "# Repeat this run with: widedeq train --config THIS_FILE --out ANOTHER_DIRECTORY\n";
  for (const Setting& entry : settings()) {
    const auto value = entry.get(config);
    if (!value) continue;
    std::string shown = *value;
    const bool is_word = shown.find_first_not_of("0123456789") != shown.npos;
    if (entry.kind == SettingKind::text || (entry.kind == SettingKind::span && is_word) ||
        shown == "auto")
      shown = quoted(shown);
    if (entry.kind == SettingKind::integers) shown = "[" + shown + "]";
    text += fmt::format("{} = {}\n", entry.name, shown);
  }
  return text;
}

}  // namespace widedeq
