// Configuration files: TOML, one key a line, the keys being the long names of train's options.
#pragma once

#include <string>
#include <string_view>

#include "host/run/config.hpp"

namespace widedeq {

/// Applies the file's keys to the configuration. Throws Failure: io when it cannot be read; usage,
/// naming file and line, for broken TOML, an unknown key (with the nearest known one), a value of
/// the wrong type or out of range (with the allowed values).
void apply_config_file(TrainConfig& config, const std::string& path);

/// The same from text; `name` stands for the file in errors.
void apply_config_text(TrainConfig& config, std::string_view text, const std::string& name);

/// A file that apply_config_text turns back into the same configuration (without out and resume).
std::string to_toml(const TrainConfig& config);

}  // namespace widedeq
