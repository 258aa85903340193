// Its making, its lock and its small files; see run_directory.hpp.
#include "host/run/run_directory.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <system_error>
#include <utility>

#include "host/data/atomic_file.hpp"
#include "host/data/byte_source.hpp"
#include "host/failure.hpp"
#include "host/run/stop.hpp"

namespace widedeq {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const std::string& what, const fs::path& where, const std::error_code& error,
                       ExitCode code = ExitCode::io) {
  throw Failure(code, error ? what + ": " + error.message() : what, where.string(),
                "choose another --out");
}

std::string status_in(std::istream&& file) {
  std::string status = "unknown";
  std::getline(file, status);
  return status;
}

constexpr const char* lock_name = "LOCK";

/// A file that was being written (atomic_file.hpp, run_lock.cpp) when its process was killed.
bool is_half_written(const fs::path& file) {
  const std::string name = file.filename().string();
  return name.starts_with('.') && name.ends_with(".tmp");
}

/// A directory without entries is as good as none, and so is one in which somebody was killed
/// before he had begun.
void refuse_taken(const fs::path& path) {
  std::error_code error;
  if (fs::exists(path / "STATUS", error) || RunDirectory::has_records(path.string()))
    throw Failure(
        ExitCode::usage,
        "the directory holds another run, its status: " + status_in(std::ifstream(path / "STATUS")),
        path.string(), "choose another --out, or go on with that run: --resume");
  fs::directory_iterator entry(path, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error))
    if (entry->path().filename() != lock_name && !is_half_written(entry->path()))
      fail("the directory is not empty, and a run wants one of its own", path, {}, ExitCode::usage);
  if (error) fail("cannot look into the directory", path, error);
}

/// Takes the lock, telling on stderr where that takes a while.
std::unique_ptr<RunLock> lock(const fs::path& path) {
  LockOptions options;
  options.notice = [](const std::string& sentence) {
    std::fputs(("widedeq: " + sentence + "\n").c_str(), stderr);
  };
  options.cancelled = stop_requested;
  return std::make_unique<RunLock>(path.string(), std::move(options));
}

void remove_half_written(const fs::path& directory) {
  std::error_code error;
  std::vector<fs::path> found;
  fs::directory_iterator entry(directory, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (is_half_written(entry->path())) found.push_back(entry->path());
  }
  for (const fs::path& file : found)  // whatever cannot be removed does no harm
    fs::remove(file, error);
}

}  // namespace

void RunDirectory::check(const std::string& path) {
  std::error_code error;
  // The nearest ancestor that is there decides what can be made below it. A regular file on the way
  // makes status() fail with ENOTDIR for what is beneath: go on to the file itself.
  fs::path place = fs::absolute(path).lexically_normal();
  if (!place.has_filename()) place = place.parent_path();  // "out/" is "out"
  const fs::path wanted = place;
  while (!fs::exists(place, error) && place.has_relative_path())
    place = place.parent_path();
  if (!fs::is_directory(place, error)) {
    const bool itself = place == wanted;
    fail(itself ? "--out is a file, and a run wants a directory"
                : "a directory cannot be made below a file",
         place, {}, itself ? ExitCode::usage : ExitCode::io);
  }
  if (::access(place.c_str(), W_OK | X_OK) != 0)
    fail("cannot write to the directory", place, {errno, std::generic_category()});
  if (place == wanted) refuse_taken(place);
}

bool RunDirectory::has_records(const std::string& path) {
  std::error_code error;
  return fs::exists(fs::path(path) / "metrics.jsonl", error);
}

bool RunDirectory::holds_run(const std::string& path) {
  std::error_code error;
  for (const char* name : {"STATUS", "config.toml", lock_name})
    if (fs::exists(fs::path(path) / name, error)) return true;
  return false;
}

RunDirectory::RunDirectory(const std::string& path, Mode mode) : path_(path) {
  if (mode == Mode::make) check(path);
  std::error_code error;
  fs::create_directories(path_, error);
  if (error) fail("cannot make the directory", path_, error);
  lock_ = lock(path_);
  if (mode == Mode::make) refuse_taken(path_);    // another one may have been here meanwhile
  if (mode == Mode::make) set_status("running");  // first: it says that this is a run
  fs::create_directories(path_ / "gram", error);
  if (error) fail("cannot make the directory", path_ / "gram", error);
  for (const fs::path& place : {path_, path_ / "gram", path_ / "checkpoints"})
    remove_half_written(place);
}

std::string RunDirectory::status() const {
  const fs::path place = path_ / "STATUS";
  std::ifstream file(place);
  std::error_code error;
  if (!file && (fs::exists(place, error) || error))
    throw Failure(ExitCode::io, "cannot read the file", place.string(),
                  "check the path and its permissions");
  return status_in(std::move(file));
}

std::string RunDirectory::outcome() const {
  const fs::path place = path_ / "outcome.json";
  std::error_code error;
  return fs::exists(place, error) || error ? read_text(place.string()) : "";
}

void RunDirectory::clear() const {
  const auto remove = [](const fs::path& path) {
    std::error_code error;
    fs::remove_all(path, error);
    if (error)
      throw Failure(ExitCode::io, "cannot remove: " + error.message(), path.string(),
                    "remove the run's directory by hand");
  };
  if (status() == "stopped") set_status("running");  // which needs a checkpoint
  remove(path_ / "checkpoints");
  std::vector<fs::path> others;
  std::error_code error;
  fs::directory_iterator entry(path_, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const fs::path name = entry->path().filename();
    if (name != lock_name && name != "outcome.json") others.push_back(entry->path());
  }
  if (error) fail("cannot look into the directory", path_, error);
  for (const fs::path& path : others)
    remove(path);
  remove(path_ / "outcome.json");
  fs::create_directories(path_ / "gram", error);
  if (error) fail("cannot make the directory", path_ / "gram", error);
}

void RunDirectory::require_held() const {
  if (lock_->check())
    throw Failure(ExitCode::io,
                  "another process has taken the run over while this one was suspended",
                  path_.string(), "leave it to that one");
}

void RunDirectory::write_text(std::string_view name, std::string_view text) const {
  write_file_atomically(file(name), std::as_bytes(std::span(text)));
}

void RunDirectory::set_status(std::string_view status) const {
  write_text("STATUS", std::string(status) + "\n");
  std::error_code ignored;
  fs::remove(path_ / "outcome.json", ignored);
}

void RunDirectory::mark_failed(const Outcome& outcome) const noexcept try {
  require_held();
  const std::string status = "failed: " + outcome.sentence;
  try {
    write_text("outcome.json",
               outcome_text(outcome));  // first: who sees that it has failed asks how
  } catch (const Failure&) {
  }
  try {
    write_text("STATUS", status + "\n");
  } catch (const Failure&) {
    // In place and without truncating, so that the file keeps its block on the disk. No other
    // status is longer.
    std::fstream(path_ / "STATUS", std::ios::in | std::ios::out) << status << '\n';
  }
} catch (const std::exception&) {  // the failure itself is what gets reported
}

}  // namespace widedeq
