// What a run does to its directory, tried out on one small file; see doctor.hpp.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <system_error>
#include <utility>

#include "host/run/doctor.hpp"
#include "host/run/estimate.hpp"

namespace widedeq {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

std::string reason() {
  return std::generic_category().message(errno);
}

/// An open file that is gone with this object, whatever its name is by then.
class TrialFile {
 public:
  explicit TrialFile(const fs::path& directory) {
    // One that was killed may have left a file of this name: O_EXCL, and try the next one.
    for (int count = 0; count == 0 || (descriptor_ < 0 && errno == EEXIST); ++count) {
      path_ = directory / fmt::format(".widedeq-doctor.{}.{}.tmp", ::getpid(), count);
      descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    }
  }
  ~TrialFile() {
    if (descriptor_ < 0) return;
    ::unlink(path_.c_str());
    ::close(descriptor_);
  }
  TrialFile(const TrialFile&) = delete;
  TrialFile& operator=(const TrialFile&) = delete;

  bool is_open() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }
  const fs::path& path() const { return path_; }
  bool rename(const fs::path& name) {
    if (std::rename(path_.c_str(), name.c_str()) != 0) return false;
    path_ = name;
    return true;
  }

 private:
  fs::path path_;
  int descriptor_ = -1;
};

/// Names of file systems by the number statfs gives them. Source: statfs(2), linux/magic.h, and the
/// systems' own headers.
std::string type_of(const struct statfs& status) {
  static constexpr std::array<std::pair<std::uint32_t, const char*>, 21> known{{
      {0x0000EF53, "ext4"},   {0x58465342, "xfs"},   {0x9123683E, "btrfs"},
      {0x2FC12FC1, "zfs"},    {0xF2F52010, "f2fs"},  {0x794C7630, "overlay"},
      {0x01021994, "tmpfs"},  {0x858458F6, "ramfs"}, {0x00006969, "nfs"},
      {0x0BD00BD0, "lustre"}, {0x47504653, "gpfs"},  {0x19830326, "beegfs"},
      {0x00C36400, "ceph"},   {0xAAD7AAEA, "panfs"}, {0x20030528, "orangefs"},
      {0x5346414F, "afs"},    {0xFF534D42, "cifs"},  {0xFE534D42, "smb"},
      {0x65735546, "fuse"},   {0x01021997, "9p"},    {0x73717368, "squashfs"},
  }};
  const auto type = static_cast<std::uint32_t>(status.f_type);
  const auto* entry = std::ranges::find(known, type, [](const auto& pair) { return pair.first; });
  return entry != known.end() ? entry->second : fmt::format("type {:#x}", type);
}

Finding finding(const char* name, Severity severity, std::string text, std::string remedy = "") {
  return {.name = name,
          .severity = severity,
          .text = std::move(text),
          .remedy = std::move(remedy),
          .about_directory = true};
}

Finding examine_space(const std::string& directory) {
  struct statfs status {};
  if (::statfs(directory.c_str(), &status) != 0)
    return finding("file system", Severity::warn, "it does not tell its type: " + reason(),
                   "look yourself with df");
  const std::string type = type_of(status);
  const double free = static_cast<double>(status.f_bavail) * static_cast<double>(status.f_bsize);
  const std::string text = fmt::format("{}, {} free ({})", type, format_bytes(free), directory);
  if (type == "tmpfs" || type == "ramfs")
    return finding("file system", Severity::warn, text,
                   "it lives in memory: files take what a run needs, and are gone with a restart");
  constexpr double little = 1e9;
  if (free < little)
    return finding("file system", Severity::warn, text, "train --dry-run says what a run needs");
  return finding("file system", Severity::ok, text);
}

/// Writes, flushes and renames as an AtomicFile does.
Finding examine_writing(TrialFile& file, const fs::path& directory) {
  const auto fail = [&](const std::string& what) {
    return finding("writing", Severity::fail, what + ": " + reason(),
                   "check the permissions and the space left, or choose another directory");
  };
  constexpr std::array<char, 4096> block{};
  double shortest = INFINITY;
  double longest = 0.0;
  for (int i = 0; i < 3; ++i) {
    if (::write(file.descriptor(), block.data(), block.size()) !=
        static_cast<ssize_t>(block.size()))
      return fail("a file cannot be written");
    const auto start = Clock::now();
    if (::fsync(file.descriptor()) != 0) return fail("a file cannot be flushed to the disk");
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    shortest = std::min(shortest, seconds);
    longest = std::max(longest, seconds);
  }
  fs::path renamed = file.path();
  renamed.replace_extension(".renamed");
  if (!file.rename(renamed)) return fail("a file cannot be renamed");

  const std::string text = fmt::format("create, fsync ({:.2f} to {:.2f} ms) and rename work",
                                       1e3 * shortest, 1e3 * longest);
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool flushed = descriptor >= 0 && ::fsync(descriptor) == 0;
  const std::string why = flushed ? "" : reason();
  if (descriptor >= 0) ::close(descriptor);
  if (!flushed)
    return finding("writing", Severity::warn, text + "; the directory cannot be flushed: " + why,
                   "after a crash of the machine the newest checkpoint may be missing");
  constexpr double slow = 0.5;
  if (longest > slow)
    return finding("writing", Severity::warn, text + ", fsync of the directory too",
                   "that is slow: write checkpoints less often, or elsewhere");
  return finding("writing", Severity::ok, text + ", fsync of the directory too");
}

/// Whether flock keeps others of this machine out.
Finding examine_locking(const TrialFile& file) {
  constexpr const char* alone =
      "runs are kept apart by heartbeats alone, and starting again after a crash takes a minute";
  if (::flock(file.descriptor(), LOCK_EX | LOCK_NB) != 0)
    return finding("locking", Severity::warn, "there is no flock: " + reason(), alone);
  const int other = ::open(file.path().c_str(), O_RDWR | O_CLOEXEC);
  const bool excludes = other >= 0 && ::flock(other, LOCK_EX | LOCK_NB) != 0;
  if (other >= 0) ::close(other);
  if (!excludes) return finding("locking", Severity::warn, "flock keeps nobody out", alone);
  return finding("locking", Severity::ok, "flock works");
}

/// This machine's clock beside that of the file system, which may be a server's.
Finding examine_clock(const TrialFile& file) {
  constexpr std::time_t start_of_2024 = 1'704'067'200;
  const std::time_t now = std::time(nullptr);
  if (now < start_of_2024)
    return {.name = "clock",
            .severity = Severity::warn,
            .text = "it says a time before this program was written",
            .remedy = "set it, or records will be dated wrongly"};
  struct stat status {};
  ::fstat(file.descriptor(), &status);
  const double apart = std::difftime(now, status.st_mtime);
  constexpr double most_apart = 5.0;
  if (std::abs(apart) <= most_apart)
    return {.name = "clock", .text = "agrees with the file system's", .remedy = {}};
  return {.name = "clock",
          .severity = Severity::warn,
          .text = fmt::format("{:.0f} s {} the file system's", std::abs(apart),
                              apart > 0 ? "ahead of" : "behind"),
          .remedy = "dates of files and records will not agree; results do not depend on it"};
}

}  // namespace

std::vector<Finding> examine_directory(const std::string& directory) {
  std::error_code error;
  const fs::file_status status = fs::status(directory, error);
  const auto unusable = [&](const std::string& text) {
    return std::vector<Finding>{
        finding("directory", Severity::fail, text, "make it, or give another one with --out")};
  };
  if (!fs::exists(status))
    return unusable(fmt::format(
        "there is no directory {}{}", directory,
        error && status.type() != fs::file_type::not_found ? ": " + error.message() : ""));
  if (!fs::is_directory(status)) return unusable(directory + " is not a directory");

  std::vector<Finding> findings{examine_space(directory)};
  TrialFile file(directory);
  if (!file.is_open()) {
    findings.push_back(finding("writing", Severity::fail,
                               fmt::format("no file can be made in {}: {}", directory, reason()),
                               "check the permissions, or give another directory with --out"));
    return findings;
  }
  findings.push_back(examine_writing(file, directory));
  findings.push_back(examine_locking(file));
  findings.push_back(examine_clock(file));
  return findings;
}

}  // namespace widedeq
