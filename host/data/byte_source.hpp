// Bytes read once, from front to back: from memory, a file, a zip member or a gzip stream.
//
// The decoders of .npy and IDX read through this, so that a large array is never held twice.
#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <system_error>

#include "host/failure.hpp"

namespace widedeq {

/// Writes the next bytes to the front of the buffer and returns how many: at least one, or 0 at
/// the end. Throws Failure when reading fails.
using ByteSource = std::function<std::size_t(std::span<std::byte> buffer)>;

/// Fills the buffer as far as the source goes and returns how many bytes it got.
inline std::size_t read_fully(const ByteSource& source, std::span<std::byte> buffer) {
  std::size_t filled = 0;
  while (filled < buffer.size()) {
    const std::size_t count = source(buffer.subspan(filled));
    if (count == 0) break;
    filled += count;
  }
  return filled;
}

/// A source that reads `bytes`, which must outlive it.
inline ByteSource bytes_from_memory(std::span<const std::byte> bytes) {
  return [bytes](std::span<std::byte> buffer) mutable {
    const std::size_t count = std::min(buffer.size(), bytes.size());
    std::copy_n(bytes.begin(), count, buffer.begin());
    bytes = bytes.subspan(count);
    return count;
  };
}

/// A regular file opened for reading; closed with the object.
class InputFile {
 public:
  /// Throws Failure (io) when the path is missing, unreadable or not a regular file.
  explicit InputFile(const std::string& path) : path_(path), file_(nullptr, &std::fclose) {
    struct stat status {};
    const bool is_there = ::stat(path.c_str(), &status) == 0;
    // Opening a pipe would wait for its other end.
    if (is_there && !S_ISREG(status.st_mode)) fail("this is not a regular file");
    file_.reset(std::fopen(path.c_str(), "rb"));
    if (!file_ || ::fstat(::fileno(file_.get()), &status) != 0)
      fail("cannot open the file: " + std::generic_category().message(errno));
    size_ = static_cast<std::uint64_t>(status.st_size);
  }

  /// Bytes in the file when it was opened.
  std::uint64_t size() const { return size_; }

  /// Goes to that byte. Throws Failure (io).
  void seek(std::uint64_t position) {
    if (::fseeko(file_.get(), static_cast<off_t>(position), SEEK_SET) != 0)
      fail("cannot read the file: " + std::generic_category().message(errno));
  }

  /// A source that reads on from where this file stands; the file must outlive it.
  ByteSource source() {
    return [this](std::span<std::byte> buffer) {
      const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), file_.get());
      if (count == 0 && std::ferror(file_.get()))
        fail("cannot read the file: " + std::generic_category().message(errno));
      return count;
    };
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Failure(ExitCode::io, what, path_, "check the path and its permissions");
  }

  std::string path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  std::uint64_t size_ = 0;
};

/// All of a file, as far as it goes when its end is read. Throws Failure (io).
inline std::string read_text(const std::string& path) {
  InputFile file(path);
  const ByteSource source = file.source();
  std::string text;
  std::array<char, std::size_t{1} << 16> part;
  while (const std::size_t count = source(std::as_writable_bytes(std::span(part))))
    text.append(part.data(), count);
  return text;
}

}  // namespace widedeq
