// One write a line, a checksum of all, and going on after a known line; see sink.hpp.
#include "host/run/sink.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <vector>

#include "host/data/atomic_file.hpp"
#include "host/data/checksum.hpp"
#include "host/failure.hpp"

namespace widedeq {
namespace {

[[noreturn]] void fail(const std::string& what, const std::string& path) {
  throw Failure(ExitCode::io, what + ": " + std::generic_category().message(errno), path,
                "check the path, its permissions and the space left");
}

int open_for_records(const std::string& path, int flags) {
  const int descriptor = uninterrupted(
      [&] { return ::open(path.c_str(), O_RDWR | O_APPEND | O_CLOEXEC | flags, 0666); });
  if (descriptor < 0)
    fail((flags & O_CREAT) != 0 ? "cannot create the file" : "cannot open the file", path);
  return descriptor;
}

/// Of the first bytes of a file; 0 when it is shorter.
std::uint64_t checksum(int descriptor, const std::string& path, std::uint64_t bytes) {
  Checksum sum;
  std::vector<std::byte> buffer(std::size_t{1} << 16);
  for (std::uint64_t done = 0; done < bytes;) {
    const std::size_t most = std::min<std::uint64_t>(buffer.size(), bytes - done);
    const ssize_t count = uninterrupted(
        [&] { return ::pread(descriptor, buffer.data(), most, static_cast<off_t>(done)); });
    if (count < 0) fail("cannot read the records", path);
    if (count == 0) return 0;
    sum.add(std::span(buffer).first(static_cast<std::size_t>(count)));
    done += static_cast<std::uint64_t>(count);
  }
  return sum.value();
}

}  // namespace

Sink::Sink(const std::string& path, int descriptor) : path_(path), descriptor_(descriptor) {}

Sink::Sink(const std::string& path) : Sink(path, open_for_records(path, O_CREAT | O_EXCL)) {}

std::unique_ptr<Sink> Sink::take_up(const std::string& path, const SinkMark& mark) {
  std::error_code error;
  if (!std::filesystem::exists(path, error) && !error) return nullptr;
  std::unique_ptr<Sink> sink(new Sink(path, open_for_records(path, 0)));
  if (checksum(sink->descriptor_, path, mark.bytes) != mark.checksum) return nullptr;
  sink->bytes_ = mark.bytes;
  sink->pause();
  return sink;
}

Sink::~Sink() {
  ::close(descriptor_);
}

void Sink::write(const Json& record) {
  if (paused_) return;
  const std::string line = to_line(record) + "\n";
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t count =
        uninterrupted([&] { return ::write(descriptor_, rest.data(), rest.size()); });
    if (count < 0) {
      const int error = errno;
      const auto end = static_cast<off_t>(bytes_);
      static_cast<void>(!::ftruncate(descriptor_, end));  // no part of a line stays
      errno = error;
      fail("cannot write a record", path_);
    }
    rest.remove_prefix(static_cast<std::size_t>(count));
  }
  bytes_ += line.size();
}

void Sink::flush() const {
  if (uninterrupted([&] { return ::fsync(descriptor_); }) != 0)
    fail("cannot flush the records to the disk", path_);
}

SinkMark Sink::mark(std::uint64_t bytes) const {
  flush();
  return {bytes, checksum(descriptor_, path_, bytes)};
}

void Sink::restart(std::uint64_t bytes) {
  if (uninterrupted([&] { return ::ftruncate(descriptor_, static_cast<off_t>(bytes)); }) != 0)
    fail("cannot cut the records back", path_);
  bytes_ = bytes;
  paused_ = false;
}

}  // namespace widedeq
