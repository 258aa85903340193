// Counting the bits that differ; see activation_pattern.hpp.
#include "host/activation_pattern.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include "kernels/response.hpp"

namespace widedeq {

ActivationPattern::ActivationPattern(Backend& backend, ConstBlock Z, double tolerance)
    : entries_(Z.rows * Z.columns), bits_(static_cast<std::size_t>((entries_ + 63) / 64)) {
  // On a device every download waits for what has been enqueued meanwhile: a few large ones.
  constexpr Index entries_at_a_time = Index{8} << 20;
  const Index columns_at_a_time =
      std::max<Index>(1, entries_at_a_time / std::max<Index>(1, Z.rows));
  std::size_t entry = 0;
  for (Index first = 0; first < Z.columns; first += columns_at_a_time) {
    HostMatrix part(Z.rows, std::min(columns_at_a_time, Z.columns - first));
    backend.download(Z.middle_columns(first, part.columns), part.view());
    for (Index j = 0; j < part.columns; ++j) {
      double squares = 0.0;
      for (Index i = 0; i < part.rows; ++i)
        squares += part(i, j) * part(i, j);
      const double when_off = most_when_off(tolerance, std::sqrt(squares), part.rows);
      for (Index i = 0; i < part.rows; ++i, ++entry)
        if (part(i, j) > when_off) bits_[entry / 64] |= std::int64_t{1} << (entry % 64);
    }
  }
}

double ActivationPattern::flipped_since(const ActivationPattern& before) const {
  if (entries_ != before.entries_)
    throw ShapeError("activation patterns: of " + std::to_string(entries_) + " and of " +
                     std::to_string(before.entries_) + " entries");
  if (entries_ == 0) return 0.0;
  std::int64_t flips = 0;
  for (std::size_t i = 0; i < bits_.size(); ++i)
    flips += std::popcount(static_cast<std::uint64_t>(bits_[i] ^ before.bits_[i]));
  return static_cast<double>(flips) / static_cast<double>(entries_);
}

void ActivationPattern::transfer(Archive& archive) {
  archive.integer("entries", entries_);
  archive.integers("bits", bits_);
}

}  // namespace widedeq
