// The TOML side of settings, for files that hold settings and more (host/study/study_config.hpp).
// Only what reads or writes such files includes toml++.
#pragma once

#include <toml++/toml.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/run/config.hpp"

namespace widedeq {

/// Parses a file's text; `name` stands for the file in errors. Throws Failure (usage) naming the
/// line of broken TOML.
toml::table parse_toml(std::string_view text, const std::string& name);

/// The keys of a table in the order of the file: toml++ keeps them in alphabetical order, and the
/// first mistake in the file is the one to report.
std::vector<std::string> keys_in_order(const toml::table& table);

/// "FILE, line 7": where the key of the table stands.
std::string place_of(const toml::table& table, std::string_view key, const std::string& name);

/// Applies the keys that are settings, and skips those of `others`. Throws Failure (usage), naming
/// file and line, for an unknown key (with the nearest known one) and a value that is not allowed.
void apply_table(TrainConfig& config, const toml::table& table, const std::string& name,
                 std::span<const std::string_view> others = {});

/// There is no such key among `known`: names the nearest one.
[[noreturn]] void refuse_key(std::string_view key, const std::vector<std::string>& known,
                             const std::string& where);

/// A scalar or a list of integers as the setting's text; nothing for a value of the wrong type.
std::optional<std::string> text_of(const toml::node& node, SettingKind kind);

/// The node in one line, for people.
std::string as_written(const toml::node& node);

/// The setting's text as a TOML value, which text_of() turns back.
std::string toml_value(SettingKind kind, const std::string& text);

/// The inside of a TOML basic string, in one line.
std::string escaped(std::string_view text);

}  // namespace widedeq
