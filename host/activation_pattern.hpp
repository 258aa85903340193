// Which units are active, D = 1[P > 0], one bit each: to count how many have flipped since.
#pragma once

#include <cstdint>
#include <vector>

#include "host/archive.hpp"
#include "kernels/backend.hpp"

namespace widedeq {

class ActivationPattern {
 public:
  ActivationPattern() = default;
  /// Of Z = relu(P), m x n, real, as solves to a relative residual of `tolerance` leave it: 1[P >
  /// 0] is 1[Z > 0] but for what a unit that is off may still have there (most_when_off). Costs a
  /// download of Z and m n / 8 bytes. Synchronises; may be called from another thread than the
  /// backend's other stages.
  ActivationPattern(Backend& backend, ConstBlock Z, double tolerance);

  /// The share of entries, 0 to 1, in which two patterns differ. Throws ShapeError when they are of
  /// different sizes.
  double flipped_since(const ActivationPattern& before) const;
  void transfer(Archive& archive);

 private:
  Index entries_ = 0;
  std::vector<std::int64_t> bits_;  // 64 entries each, column after column; the last is filled up
};

}  // namespace widedeq
