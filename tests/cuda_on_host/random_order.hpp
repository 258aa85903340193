// Random numbers for orders of things: the same ones in every run of a program.
#pragma once

#include <cstdint>

namespace cuda_on_host {

class RandomOrder {
 public:
  /// Uniform in [0, bound), bound < 2^32. A linear congruential generator's upper half: fast, and
  /// random enough to shuffle.
  std::uint32_t below(std::size_t bound) {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<std::uint32_t>(((state_ >> 32) * bound) >> 32);
  }

 private:
  std::uint64_t state_ = 0x9e3779b97f4a7c15ULL;
};

}  // namespace cuda_on_host
