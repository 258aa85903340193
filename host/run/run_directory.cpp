#include "host/run/run_directory.hpp"

#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <system_error>

#include "host/data/atomic_file.hpp"
#include "host/failure.hpp"

namespace widedeq {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const std::string& what, const fs::path& where, const std::error_code& error,
                       ExitCode code = ExitCode::io) {
  throw Failure(code, error ? what + ": " + error.message() : what, where.string(),
                "choose another --out");
}

/// A directory without entries is as good as none.
void refuse_taken(const fs::path& path) {
  std::error_code error;
  const bool holds_run =
      fs::exists(path / "STATUS", error) || fs::exists(path / "metrics.jsonl", error);
  if (holds_run) {
    std::string status = "unknown";
    std::ifstream file(path / "STATUS");
    std::getline(file, status);
    throw Failure(ExitCode::usage, "the directory holds another run, its status: " + status,
                  path.string(), "choose another --out, or move that run away");
  }
  const bool empty = fs::is_empty(path, error);
  if (error) fail("cannot look into the directory", path, error);
  if (!empty)
    fail("the directory is not empty, and a run wants one of its own", path, {}, ExitCode::usage);
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

RunDirectory::RunDirectory(const std::string& path) : path_(path) {
  check(path);
  std::error_code error;
  fs::create_directories(path_ / "gram", error);
  if (error) fail("cannot make the directory", path_, error);
  set_status("running");
}

void RunDirectory::write_text(std::string_view name, std::string_view text) const {
  write_file_atomically(file(name), std::as_bytes(std::span(text)));
}

void RunDirectory::set_status(std::string_view status) const {
  write_text("STATUS", std::string(status) + "\n");
}

void RunDirectory::mark_failed(std::string_view reason) const noexcept try {
  const std::string status = "failed: " + std::string(reason);
  try {
    set_status(status);
  } catch (const Failure&) {
    // In place and without truncating, so that the file keeps its block on the disk. No other
    // status is longer.
    std::fstream(path_ / "STATUS", std::ios::in | std::ios::out) << status << '\n';
  }
} catch (const std::exception&) {  // the failure itself is what gets reported
}

}  // namespace widedeq
