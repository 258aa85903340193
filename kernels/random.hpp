// Counter-based random numbers: a value depends on (seed, tensor, row, column) and on nothing else,
// so neither the number of threads nor the order of generation can change it, nor, for words and
// the lattice law, the backend (normals may differ in their last bits, as logarithms do), and the
// matrix of a narrow network is the top left block of a wider one's.
//
// Generator: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
// One counter serves four consecutive rows of a column.
#pragma once

#include <Random123/philox.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "kernels/host_device.hpp"
#include "kernels/matrix_view.hpp"

namespace widedeq {

/// What a random number is for. Part of the counter, so two tensors never share a draw.
enum class Tensor : std::uint32_t {
  A = 0,
  W = 1,
  u = 2,
  v = 3,
  inputs = 4,
  targets = 5,
  probe = 6,
  order = 7
};

/// Four independent uniform words for rows 4*quad .. 4*quad + 3 of `column`.
WIDEDEQ_HOST_DEVICE inline std::array<std::uint32_t, 4> philox_words(std::uint64_t seed,
                                                                     Tensor tensor, Index quad,
                                                                     Index column) {
  const r123::Philox4x32::ctr_type counter{{static_cast<std::uint32_t>(quad),
                                            static_cast<std::uint32_t>(column),
                                            static_cast<std::uint32_t>(tensor), 0U}};
  const r123::Philox4x32::key_type key{
      {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)}};
  const auto words = r123::Philox4x32{}(counter, key);
  return {words[0], words[1], words[2], words[3]};
}

/// Four uniform words as four independent N(0,1) draws (Box and Muller, 1958).
WIDEDEQ_HOST_DEVICE inline std::array<double, 4> normals_of(
    const std::array<std::uint32_t, 4>& words) {
  const auto uniform = [](std::uint32_t word) { return (word + 0.5) * 0x1p-32; };  // never 0 or 1
  std::array<double, 4> normals{};
  for (std::size_t pair = 0; pair < 4; pair += 2) {
    const double radius = std::sqrt(-2.0 * std::log(uniform(words[pair])));
    const double angle = 2.0 * std::numbers::pi * uniform(words[pair + 1]);
    normals[pair] = radius * std::cos(angle);
    normals[pair + 1] = radius * std::sin(angle);
  }
  return normals;
}

/// Four independent N(0,1) draws for rows 4*quad .. 4*quad + 3 of `column`.
std::array<double, 4> standard_normals(std::uint64_t seed, Tensor tensor, Index quad, Index column);

/// One N(0,1) draw: the entry (row, column) of `tensor`.
double standard_normal(std::uint64_t seed, Tensor tensor, Index row, Index column);

/// The lattice law: round(32 x) / 32 with x ~ N(0,1), clipped to +-127/32. Entries are exact in
/// int8. Variance 1 + 1/(12 * 32^2) - (what the clip takes away) = 0.99994. Drawn by
/// inverting the distribution function on 32-bit integers: no floating-point operation separates
/// the word from the weight, so every backend gets the same bits.
class LatticeLaw {
 public:
  static constexpr int largest = 127;
  static constexpr double step = 1.0 / 32.0;

  LatticeLaw();

  /// The integer k in [-127, 127] with P(k) = Phi((k + 1/2)/32) - Phi((k - 1/2)/32), tails
  /// included.
  std::int8_t operator()(std::uint32_t word) const {
    int k = first_[word >> guide_shift];
    while (k < largest && word >= upper_[static_cast<std::size_t>(k + largest)])
      ++k;
    return static_cast<std::int8_t>(k);
  }

  /// upper_limits()[k + 127] = the smallest word that yields more than k; 254 of them.
  const std::array<std::uint32_t, 2 * largest>& upper_limits() const { return upper_; }

 private:
  static constexpr int guide_shift = 20;
  std::array<std::uint32_t, 2 * largest> upper_{};
  std::array<std::int8_t, 1U << (32 - guide_shift)>
      first_{};  // the value for the lowest word of each bin
};

}  // namespace widedeq
