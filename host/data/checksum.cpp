// XXH3, 64 bits wide, piece by piece; see checksum.hpp.
#include "host/data/checksum.hpp"

#include <fmt/format.h>

#include <new>

namespace widedeq {

Checksum::Checksum() : state_(XXH3_createState(), &XXH3_freeState) {
  if (!state_) throw std::bad_alloc();
  XXH3_64bits_reset(state_.get());
}

void Checksum::add(std::span<const std::byte> bytes) {
  XXH3_64bits_update(state_.get(), bytes.data(), bytes.size());
}

std::uint64_t Checksum::value() const {
  return XXH3_64bits_digest(state_.get());
}

std::string Checksum::text() const {
  return fmt::format("{:016x}", value());
}

}  // namespace widedeq
