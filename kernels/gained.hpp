// Where a sweep notes what its increments add to P and Zhat; see Backend::predict.
#pragma once

#include "kernels/backend.hpp"
#include "kernels/host_device.hpp"

namespace widedeq {

template <class Real>
struct Gained {
  MatrixView<Real> P, Z;                   // empty: not noted
  const std::int32_t* switched = nullptr;  // by columns; null with P

  /// Column j's entries from `first` on; null: nothing is to be added there, because gains are not
  /// noted at all or, units having switched, have been guessed.
  WIDEDEQ_HOST_DEVICE Real* of_P(Index j, Index first = 0) const { return at(P, j, first); }
  WIDEDEQ_HOST_DEVICE Real* of_Z(Index j, Index first = 0) const { return at(Z, j, first); }

 private:
  WIDEDEQ_HOST_DEVICE Real* at(const MatrixView<Real>& gained, Index j, Index first) const {
    return gained.data == nullptr || switched[j] != 0 ? nullptr : gained.column(j) + first;
  }
};

template <class Real>
Gained<Real> gained_of(SweepState& state) {
  if (state.gained.P.empty()) return {};
  const bool has_Z = !state.gained.Z.empty();
  return {state.gained.P.block().as<Real>(),
          has_Z ? state.gained.Z.block().as<Real>() : MatrixView<Real>(),
          state.switched.block().as<const std::int32_t>().data};
}

}  // namespace widedeq
