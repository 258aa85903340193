// JSON as widedeq writes it: records, provenance, locks, reports for programs.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace widedeq {

/// Keeps the order in which keys are added. Doubles are written with the digits that read back as
/// the same double, and those that are not finite as null.
using Json = nlohmann::ordered_json;

/// One line without the newline. Text that is not UTF-8 (a path) is written with replacement
/// characters.
inline std::string to_line(const Json& record) {
  return record.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// A field of an object: a text, or whatever it is as JSON; empty where it is not there, or null.
inline std::string text_of(const Json& object, const char* name) {
  const auto entry = object.find(name);
  if (entry == object.end() || entry->is_null()) return "";
  return entry->is_string() ? entry->get<std::string>() : to_line(*entry);
}

}  // namespace widedeq
