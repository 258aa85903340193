#include "host/run/sink.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <system_error>

#include "host/failure.hpp"

namespace widedeq {
namespace {

[[noreturn]] void fail(const std::string& what, const std::string& path) {
  throw Failure(ExitCode::io, what + ": " + std::generic_category().message(errno), path,
                "check the path, its permissions and the space left");
}

}  // namespace

Sink::Sink(const std::string& path) : path_(path) {
  descriptor_ = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail("cannot create the file", path_);
}

Sink::~Sink() {
  ::close(descriptor_);
}

void Sink::write(const Json& record) {
  const std::string line = to_line(record) + "\n";
  const off_t end = ::lseek(descriptor_, 0, SEEK_END);
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t count = ::write(descriptor_, rest.data(), rest.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int error = errno;
      static_cast<void>(!::ftruncate(descriptor_, end));  // no part of a line stays
      errno = error;
      fail("cannot write a record", path_);
    }
    rest.remove_prefix(static_cast<std::size_t>(count));
  }
}

}  // namespace widedeq
