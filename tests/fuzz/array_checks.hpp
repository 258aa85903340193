// What the fuzzers of arrays check alike.
#pragma once

#include <algorithm>
#include <bit>
#include <stdexcept>

#include "host/data/npy.hpp"
#include "tests/fuzz/fuzz_support.hpp"

namespace widedeq::fuzz {

/// The type to write an array in: its own, or float64 for 64-bit integers that were rounded on
/// reading, to what may not fit an integer any more.
inline NpyType writable_type(const NpyArray& array) {
  const bool rounds = array.type == NpyType::int64 || array.type == NpyType::uint64;
  if (!rounds) return array.type;
  try {
    check_npy_values(array.shape, array.values, array.type);
    return array.type;
  } catch (const std::invalid_argument&) {
    return NpyType::float64;
  }
}

/// Bit for bit: a NaN is equal to itself, 0 and -0 differ.
inline void promise_same(const NpyArray& written, NpyType type, const NpyArray& read) {
  promise(read.type == type, "the type written is the type read");
  promise(read.shape == written.shape, "the shape written is the shape read");
  const auto same_bits = [](double a, double b) {
    return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
  };
  promise(std::ranges::equal(written.values, read.values, same_bits),
          "the values written are the values read");
}

/// What every array that was read must be.
inline void promise_sound(const NpyArray& array) {
  const auto count = element_count(array.shape);
  promise(count && static_cast<std::size_t>(*count) == array.values.size(),
          "as many values as the shape says");
}

}  // namespace widedeq::fuzz
