// What the fuzzers share. A target is one file NAME_fuzzer.cpp that defines LLVMFuzzerTestOneInput:
// it gives the bytes to a reader and checks what the reader makes of them. libFuzzer calls it
// without end (make fuzz), replay.cpp with the files of corpus/NAME and mutations of them (CTest).
//
// A reader may refuse its input with a Failure. Whatever else gets out is a finding: other
// exceptions, a broken promise(), an allocation beyond the limit, a hang, and with sanitizers what
// they report.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/failure.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace widedeq::fuzz {

/// Makes checksums inside the input right again, so that mutations reach what lies behind them.
/// A target may define it; the size stays.
__attribute__((weak)) void repair(std::span<std::uint8_t> input);

/// Whether the target's reader accepted the last input; replay.cpp compares it with the file's
/// name.
inline bool accepted_last_input = false;

/// Ends the program, a finding, unless the condition holds.
inline void promise(bool condition, std::string_view what) {
  if (condition) return;
  std::fprintf(stderr, "broken promise: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

/// What `read` returns; nothing when it refuses with a Failure of this code, in one line.
template <class Read>
auto accept(ExitCode refusal, Read&& read) -> std::optional<decltype(read())> {
  accepted_last_input = false;
  try {
    auto result = std::forward<Read>(read)();
    accepted_last_input = true;
    return result;
  } catch (const Failure& failure) {
    promise(failure.code() == refusal, "the exit code of a refusal");
    promise(std::string_view(failure.what()).find('\n') == std::string_view::npos,
            "a refusal is one line");
    return std::nullopt;
  }
}

/// While it lives, an allocation of more than so many bytes ends the program. Allocations by C
/// libraries count where AddressSanitizer is at work.
class AllocationLimit {
 public:
  explicit AllocationLimit(std::size_t bytes);
  ~AllocationLimit();
  AllocationLimit(const AllocationLimit&) = delete;
  AllocationLimit& operator=(const AllocationLimit&) = delete;
};

/// Room for buffers of a fixed size, whatever the input.
constexpr std::size_t fixed_allocation = std::size_t{1} << 18;

/// A file in memory, for readers that want a path.
class MemoryFile {
 public:
  explicit MemoryFile(std::span<const std::uint8_t> bytes)
      : descriptor_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    const auto size = static_cast<ssize_t>(bytes.size());
    promise(descriptor_ >= 0 && ::write(descriptor_, bytes.data(), bytes.size()) == size,
            "a file in memory can be made");
  }
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

/// The input as the readers take it.
inline std::span<const std::byte> bytes_of(const std::uint8_t* data, std::size_t size) {
  return std::as_bytes(std::span(data, size));
}

}  // namespace widedeq::fuzz
