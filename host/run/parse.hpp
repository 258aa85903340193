// Strict parsers: the whole text, no spaces, finite, in range; else nothing.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "kernels/backend.hpp"

namespace widedeq {

std::optional<std::int64_t> parse_integer(std::string_view text, std::int64_t least,
                                          std::int64_t most);
std::optional<double> parse_number(std::string_view text);
std::optional<Precision> parse_precision(std::string_view text);  // auto is not one

/// Seconds from "H:MM:SS", "D-HH:MM:SS", "MM:SS", or a number with a unit: "90s", "30m", "2h".
std::optional<double> parse_duration(std::string_view text);

/// What one of the words stands for.
template <class Value>
std::optional<Value> parse_word(std::string_view text,
                                std::initializer_list<std::pair<std::string_view, Value>> words) {
  for (const auto& [word, value] : words)
    if (word == text) return value;
  return std::nullopt;
}

/// Shortest text that reads back as the same double.
std::string format_number(double value);

}  // namespace widedeq
