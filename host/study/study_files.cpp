// A study's directory: made, found again, and extended; see study_config.hpp.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <thread>

#include "host/data/atomic_file.hpp"
#include "host/data/byte_source.hpp"
#include "host/failure.hpp"
#include "host/run/config_toml.hpp"
#include "host/run/run_directory.hpp"
#include "host/run/run_lock.hpp"
#include "host/run/stop.hpp"
#include "host/study/study_config.hpp"

namespace widedeq {
namespace {

namespace fs = std::filesystem;

constexpr const char* file_name = "study.toml";

std::string file_of(const std::string& directory) {
  return (fs::path(directory) / file_name).string();
}

const GridSetting* in_grid(const Study& study, std::string_view name) {
  for (const GridSetting& one : study.grid)
    if (one.name == name) return &one;
  return nullptr;
}

/// A setting's values in a study: one where it is not varied.
std::vector<std::string> values_of(const Study& study, const Setting& entry) {
  if (const GridSetting* one = in_grid(study, entry.name)) return one->values;
  // As cells have it: the classes' default depends on the data.
  return {entry.get(study.cells.front().config).value_or("not given")};
}

bool holds_all(const std::vector<std::string>& values, const std::vector<std::string>& wanted) {
  return std::ranges::all_of(wanted, [&](const std::string& value) {
    return std::ranges::find(values, value) != values.end();
  });
}

/// The number of threads changes nothing but rounding, and differs from machine to machine; where
/// it is varied it names cells.
bool is_free(const Study& before, const Study& now, const Setting& entry) {
  const bool is_varied =
      in_grid(before, entry.name) != nullptr || in_grid(now, entry.name) != nullptr;
  return !entry.computes || (entry.name == "threads" && !is_varied);
}

/// "width (256, 512, now 512, 1024)", for everything `now` lacks.
std::string missing(const Study& before, const Study& now) {
  std::string text;
  for (const Setting& entry : settings()) {
    if (is_free(before, now, entry)) continue;
    const auto were = values_of(before, entry), are = values_of(now, entry);
    if (holds_all(are, were)) continue;
    text += fmt::format("{}{} ({}; now {})", text.empty() ? "" : ", ", entry.name,
                        fmt::join(were, ", "), fmt::join(are, ", "));
  }
  return text;
}

/// Refuses a place where something else is.
void check_place(const std::string& directory) {
  std::error_code error;
  if (RunDirectory::holds_run(directory) && !fs::exists(file_of(directory), error) &&
      RunDirectory::has_records(directory))
    throw Failure(ExitCode::usage, "the directory holds a run, and a study wants one of its own",
                  directory, "choose another --out");
  if (fs::exists(directory, error) && !fs::is_directory(directory, error))
    throw Failure(ExitCode::usage, "--out is a file, and a study wants a directory", directory,
                  "choose another --out");
  fs::directory_iterator entry(directory, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const bool ours = name == "LOCK" || name == "cells" || name.starts_with('.');
    // Another process may have made the study since we looked for one.
    if (!ours && !fs::exists(file_of(directory), error))
      throw Failure(ExitCode::usage, "the directory is not empty, and a study wants one of its own",
                    directory, "choose another --out");
  }
}

/// The lock under which study.toml is written: held for milliseconds.
std::unique_ptr<RunLock> lock(const std::string& directory) {
  for (int tries = 0;; ++tries) {
    try {
      LockOptions options;
      options.cancelled = stop_requested;
      return std::make_unique<RunLock>(directory, std::move(options));
    } catch (const Busy&) {
      if (tries == 100) throw;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }
}

std::optional<Study> study_in(const std::string& directory) {
  std::error_code error;
  const std::string file = file_of(directory);
  if (!fs::exists(file, error)) return std::nullopt;
  return parse_study(read_text(file), file, directory);
}

}  // namespace

Study extended(const Study& before, const Study& now) {
  if (const std::string changes = missing(before, now); !changes.empty())
    throw Failure(ExitCode::usage, "the study there is another one: " + changes, before.directory,
                  "values may be added, not changed or removed; choose another --out");
  Study study = now;
  // A setting that was varied is still: its cells have it in their name.
  for (const GridSetting& one : before.grid)
    if (in_grid(now, one.name) == nullptr) study.grid.push_back(one);
  for (GridSetting& one : study.grid) {
    const GridSetting* old = in_grid(before, one.name);
    const auto values = values_of(before, setting(one.name));
    one.unnamed = old != nullptr ? old->unnamed : std::optional(values.front());
  }
  // In the order of the table, with the cells' names as they are now: by way of the file.
  return parse_study(to_toml(study), file_of(before.directory), before.directory);
}

Study open_study(const std::string& directory) {
  auto study = study_in(directory);
  if (!study)
    throw Failure(ExitCode::usage, "there is no study in the directory", directory,
                  "start one: widedeq study --config FILE.toml --out " + directory);
  return *std::move(study);
}

Study preview_study(const std::string& config_file, const std::string& directory) {
  Study wanted = parse_study(read_text(config_file), config_file, directory);
  if (const auto there = study_in(directory)) return extended(*there, wanted);
  check_place(directory);
  return wanted;
}

Study begin_study(const std::string& config_file, const std::string& directory) {
  const auto is_settled = [&](const Study& wanted) {
    const auto there = study_in(directory);
    return there && to_toml(*there) == to_toml(wanted);
  };
  // Nothing to write, as for every process but the first: no lock is needed.
  Study wanted = preview_study(config_file, directory);
  if (is_settled(wanted)) return wanted;
  std::error_code error;
  fs::create_directories(directory, error);
  if (error)
    throw Failure(ExitCode::io, "cannot make the directory: " + error.message(), directory,
                  "choose another --out");
  const auto held = lock(directory);
  wanted = preview_study(config_file, directory);
  if (is_settled(wanted)) return wanted;
  const std::string resolved = to_toml(wanted);
  write_file_atomically(file_of(directory), std::as_bytes(std::span(resolved)));
  return wanted;
}

}  // namespace widedeq
