// Files that appear whole or not at all.
//
// The bytes go to a temporary file in the same directory (rename is atomic only within one file
// system), are flushed to the disk, and then take the place of the destination in one step. A
// reader sees the old file or the new one, never a part; a crash leaves the old one.
#pragma once

#include <cerrno>
#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "host/data/ending.hpp"

namespace widedeq {

/// The call's result, the call being made again while a signal interrupts it.
template <class Call>
auto uninterrupted(Call call) {
  while (true) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

/// A file in the making. Destroyed before commit(), it leaves nothing behind; nor does a process
/// that ends by end_by_signal().
class AtomicFile {
 public:
  /// Creates the temporary file, so that an unwritable directory is noticed before the work; where
  /// `path` is a symbolic link, beside what it points to, and that is replaced. Throws Failure (io)
  /// when that fails, or when `path` is something other than a regular file (a device or a
  /// directory must not be replaced).
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Where this file is being written; other libraries may write or replace it before commit().
  const std::string& temporary() const { return temporary_; }

  /// Appends bytes. Throws Failure (io), for instance when the disk is full.
  void write(std::span<const std::byte> bytes);

  /// Flushes to the disk and renames to the destination. Throws Failure (io); call it once.
  void commit();

 private:
  void close();
  [[noreturn]] void fail(const std::string& what, int error) const;

  std::string path_;
  std::string temporary_;
  std::optional<UnfinishedFile> unfinished_;  // that
  int descriptor_ = -1;
};

/// Writes all of `bytes` to `path`, whole or not at all. Throws Failure (io).
void write_file_atomically(const std::string& path, std::span<const std::byte> bytes);

}  // namespace widedeq
