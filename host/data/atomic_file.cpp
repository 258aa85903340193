// Files that appear whole or not at all: temporary file, fsync, rename, fsync of the directory.
#include "host/data/atomic_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "host/failure.hpp"

namespace widedeq {
namespace {

/// "DIR/.NAME.PID.COUNT.tmp": hidden, in the same directory, unique within this machine.
std::string temporary_name(const std::string& path) {
  static std::atomic<unsigned> count{0};
  const std::filesystem::path destination(path);
  const std::string name = "." + destination.filename().string() + "." +
                           std::to_string(::getpid()) + "." + std::to_string(count++) + ".tmp";
  return (destination.parent_path() / name).string();
}

/// Where the file is that `path` stands for, links followed to their ends, there or not: what takes
/// its place is not to take a link's. Links in /proc are somebody's open files, such as
/// /dev/stdout, and no places; they are left for what they are.
std::string end_of_links(const std::string& path) {
  constexpr int most = 40;  // as the system follows
  std::filesystem::path place(path);
  std::error_code error;
  for (int k = 0; k < most && std::filesystem::is_symlink(place, error); ++k) {
    const auto parent = place.has_parent_path() ? place.parent_path() : std::filesystem::path(".");
    const auto folder = std::filesystem::canonical(parent, error);
    if (!error && folder.native().starts_with("/proc/")) break;
    const auto target = std::filesystem::read_symlink(place, error);
    if (error) break;
    place = target.is_absolute() ? target : parent / target;
  }
  return place.string();
}

/// fsync by name, because another library may have replaced the file that was opened first.
bool flush_to_disk(const std::string& path) {
  const int descriptor = uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); });
  if (descriptor < 0) return false;
  const bool flushed = uninterrupted([&] { return ::fsync(descriptor); }) == 0;
  const int error = errno;
  ::close(descriptor);
  errno = error;
  return flushed;
}

/// Directories need not be readable, and some file systems cannot flush one.
bool is_no_place_to_flush(int error) {
  return error == EACCES || error == EINVAL || error == ENOTSUP || error == ENOSYS;
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path) : path_(end_of_links(path)) {
  struct stat status {};
  const bool is_link = ::lstat(path_.c_str(), &status) == 0 && S_ISLNK(status.st_mode);
  if (is_link || (::stat(path_.c_str(), &status) == 0 && !S_ISREG(status.st_mode)))
    fail("the destination exists and is not a regular file", 0);
  // A process that was killed may have left a file of this name: O_EXCL, and try the next one.
  do {
    temporary_ = temporary_name(path_);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && (errno == EEXIST || errno == EINTR));
  if (descriptor_ < 0) fail("cannot create the file", errno);
  unfinished_.emplace(temporary_);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count =
        uninterrupted([&] { return ::write(descriptor_, bytes.data(), bytes.size()); });
    if (count < 0) fail("cannot write the file", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void AtomicFile::commit() {
  close();
  if (!flush_to_disk(temporary_)) fail("cannot flush the file to the disk", errno);
  if (uninterrupted([&] { return std::rename(temporary_.c_str(), path_.c_str()); }) != 0)
    fail("cannot rename the file", errno);
  unfinished_.reset();
  temporary_.clear();
  // The new name is durable once the directory is.
  const std::filesystem::path directory = std::filesystem::path(path_).parent_path();
  if (!flush_to_disk(directory.empty() ? "." : directory.string()) && !is_no_place_to_flush(errno))
    fail("cannot flush the directory to the disk", errno);
}

/// Network file systems and quotas report a failed write as late as here. Where a signal interrupts
/// it, the descriptor is gone all the same (Linux), and the flush that follows tells the rest.
void AtomicFile::close() {
  if (::close(std::exchange(descriptor_, -1)) != 0 && errno != EINTR)
    fail("cannot write the file", errno);
}

void AtomicFile::fail(const std::string& what, int error) const {
  throw Failure(ExitCode::io,
                error == 0 ? what : what + ": " + std::generic_category().message(error), path_,
                "check the path, its permissions and the space left");
}

void write_file_atomically(const std::string& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

}  // namespace widedeq
