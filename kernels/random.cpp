// Normal deviates by their place, and the lattice law's table; see random.hpp.
#include "kernels/random.hpp"

#include <cmath>
#include <numbers>

namespace widedeq {

std::array<double, 4> standard_normals(std::uint64_t seed, Tensor tensor, Index quad,
                                       Index column) {
  return normals_of(philox_words(seed, tensor, quad, column));
}

double standard_normal(std::uint64_t seed, Tensor tensor, Index row, Index column) {
  return standard_normals(seed, tensor, row / 4, column)[static_cast<std::size_t>(row % 4)];
}

LatticeLaw::LatticeLaw() {
  for (int k = -largest; k < largest; ++k) {
    const double below = 0.5 * std::erfc(-(k + 0.5) * step / std::numbers::sqrt2);
    upper_[static_cast<std::size_t>(k + largest)] =
        static_cast<std::uint32_t>(std::llround(below * 0x1p32));
  }
  int k = -largest;
  for (std::size_t bin = 0; bin < first_.size(); ++bin) {
    const auto lowest = static_cast<std::uint32_t>(bin << guide_shift);
    while (k < largest && lowest >= upper_[static_cast<std::size_t>(k + largest)])
      ++k;
    first_[bin] = static_cast<std::int8_t>(k);
  }
}

}  // namespace widedeq
