// What tells two lots of bytes apart, and a damaged file from a whole one.
#pragma once

#include <xxhash.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace widedeq {

/// A running XXH3 (64 bits).
class Checksum {
 public:
  Checksum();
  void add(std::span<const std::byte> bytes);
  std::uint64_t value() const;
  /// In 16 hexadecimal digits.
  std::string text() const;

 private:
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state_;
};

}  // namespace widedeq
