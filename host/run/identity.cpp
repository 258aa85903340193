#include "host/run/identity.hpp"

#include <fmt/format.h>
#include <gnu/libc-version.h>

#include <span>

#include "build_info.hpp"
#include "host/data/byte_source.hpp"
#include "host/data/checksum.hpp"
#include "host/run/machine.hpp"

namespace widedeq {
namespace {

/// XXH3 of the file this process runs: two builds of one commit may differ.
std::string program_checksum() {
  static const std::string checksum = [] {
    InputFile file("/proc/self/exe");
    Checksum sum;
    std::vector<std::byte> buffer(std::size_t{1} << 20);
    const ByteSource source = file.source();
    while (const std::size_t count = source(buffer))
      sum.add(std::span(buffer).first(count));
    return fmt::format("{:016x}", sum.value());
  }();
  return checksum;
}

}  // namespace

Json identity(const RunFacts& facts) {
  Json object;
  object["version"] = build_info::version;
  object["commit"] = build_info::git_commit;
  object["program"] = program_checksum();
  object["processor"] = processor_model();
  object["backend"] = facts.backend;
  object["libc"] = gnu_get_libc_version();
  object["data"] = facts.data_checksum;
  return object;
}

std::vector<Change> changes_between(const Json& before, const Json& now) {
  std::vector<Change> changes;
  for (const auto& [name, value] : now.items())
    if (!before.contains(name) || before[name] != value)
      changes.push_back({name, before.contains(name) ? before[name] : Json(), value});
  for (const auto& [name, value] : before.items())
    if (!now.contains(name)) changes.push_back({name, value, Json()});
  return changes;
}

std::string describe(const std::vector<Change>& changes) {
  std::string text;
  for (const Change& change : changes) {
    const auto shown = [](const Json& value) {
      return value.is_string() ? value.get<std::string>() : to_line(value);
    };
    text += (text.empty() ? "" : ", ") + change.name;
    const std::string before = shown(change.before), now = shown(change.now);
    if (before.size() + now.size() < 80) text += fmt::format(" ({}, now {})", before, now);
  }
  return text;
}

}  // namespace widedeq
