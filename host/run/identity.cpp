// Asking the program, its libraries and the machine who they are; see identity.hpp.
#include "host/run/identity.hpp"

#include <fmt/format.h>
#include <gnu/libc-version.h>
#include <link.h>

#include <algorithm>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "build_info.hpp"
#include "host/data/byte_source.hpp"
#include "host/data/checksum.hpp"
#include "host/run/machine.hpp"

namespace widedeq {
namespace {

/// XXH3 of a file: two builds of one commit may differ.
std::string file_checksum(const std::string& path) {
  InputFile file(path);
  Checksum sum;
  std::vector<std::byte> buffer(std::size_t{1} << 20);
  const ByteSource source = file.source();
  while (const std::size_t count = source(buffer))
    sum.add(std::span(buffer).first(count));
  return sum.text();
}

/// Of the file this process runs.
std::string program_checksum() {
  static const std::string checksum = file_checksum("/proc/self/exe");
  return checksum;
}

/// The shared objects that are loaded, by the names of their files, links followed.
std::vector<std::filesystem::path> loaded_objects() {
  std::vector<std::filesystem::path> objects;
  const auto add = [](dl_phdr_info* object, std::size_t, void* to) {
    std::error_code error;
    const auto path = std::filesystem::canonical(object->dlpi_name, error);
    if (!error) static_cast<std::vector<std::filesystem::path>*>(to)->push_back(path);
    return 0;
  };
  dl_iterate_phdr(add, &objects);
  std::ranges::sort(objects);
  return objects;
}

/// What numbers depend on beside the program, of what is loaded: libraries by the versions in their
/// files' names, our own module by its checksum. CUDA's and the module only where `on_gpu`: on
/// another backend they may be loaded and do nothing.
Json find_libraries(bool on_gpu) {
  // libcu: cublas, cublasLt, cudart, cusolver, and the driver's.
  const std::vector<std::string_view> always{"libopenblas", "liblapack", "libdnnl", "libgomp",
                                             "libomp"};
  Json object = Json::object();
  for (const std::filesystem::path& path : loaded_objects()) {
    const std::string name = path.filename().string();
    const auto begins = [&](std::string_view word) { return name.starts_with(word); };
    if (on_gpu && begins("libwidedeq"))
      object[name] = file_checksum(path.string());
    else if (std::ranges::any_of(always, begins) || (on_gpu && begins("libcu")))
      object[name.substr(0, name.find('.'))] = name;
  }
  return object;
}

/// The same, found once the backend has loaded what it needs.
Json libraries(bool on_gpu) {
  if (on_gpu) {
    static const Json found = find_libraries(true);
    return found;
  }
  static const Json found = find_libraries(false);
  return found;
}

}  // namespace

Json identity(const RunFacts& facts) {
  Json object;
  object["version"] = build_info::version;
  object["commit"] = build_info::git_commit;
  object["program"] = program_checksum();
  object["processor"] = processor_model();
  object["device"] = facts.backend;
  object.update(libraries(facts.backend.starts_with("cuda")));
  object["libc"] = gnu_get_libc_version();
  object["data"] = facts.data_checksum;
  object["n"] = facts.samples;
  if (!facts.weights_checksum.empty()) object["weights-file"] = facts.weights_checksum;
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
