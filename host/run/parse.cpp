// Strict parsers of a setting's text; see parse.hpp.
#include "host/run/parse.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace widedeq {

std::optional<std::int64_t> parse_integer(std::string_view text, std::int64_t least,
                                          std::int64_t most) {
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || value < least || value > most) return std::nullopt;
  return value;
}

std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

/// Of a duration: a thousand years.
constexpr double most_seconds = 1000.0 * 365.25 * 86400.0;

std::optional<double> parse_duration(std::string_view text) {
  if (text.empty()) return std::nullopt;
  if (text.find(':') == text.npos) {
    const double unit = text.ends_with('s') ? 1.0 : text.ends_with('m') ? 60.0 : 3600.0;
    if (unit == 3600.0 && !text.ends_with('h')) return std::nullopt;
    const auto number = parse_number(text.substr(0, text.size() - 1));
    if (!number || *number < 0.0 || *number > most_seconds / unit) return std::nullopt;
    return *number * unit;
  }
  double days = 0.0;
  if (const std::size_t dash = text.find('-'); dash != text.npos) {
    const auto value = parse_integer(text.substr(0, dash), 0, 1 << 20);
    if (!value) return std::nullopt;
    days = static_cast<double>(*value);
    text.remove_prefix(dash + 1);
  }
  // H:MM:SS or MM:SS: only the first may pass 59.
  double total = 0.0;
  int parts = 0;
  for (bool more = true; more; ++parts) {
    const std::size_t colon = text.find(':');
    more = colon != text.npos;
    const auto value = parse_integer(text.substr(0, colon), 0, parts == 0 ? 1 << 20 : 59);
    if (!value || parts == 3) return std::nullopt;
    total = 60.0 * total + static_cast<double>(*value);
    text.remove_prefix(more ? colon + 1 : text.size());
  }
  if (days > 0.0 && parts != 3) return std::nullopt;
  return 86400.0 * days + total;
}

std::optional<Precision> parse_precision(std::string_view text) {
  return parse_word<Precision>(
      text, {{"mixed", Precision::mixed}, {"fp32", Precision::fp32}, {"fp64", Precision::fp64}});
}

std::string format_number(double value) {
  return fmt::format("{}", value);
}

}  // namespace widedeq
