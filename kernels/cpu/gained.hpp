// Where a sweep notes what its increments add to P and Zhat; see Backend::predict.
#pragma once

#include "kernels/backend.hpp"

namespace widedeq::cpu {

template <class Real>
struct Gained {
  MatrixView<Real> P, Z;
  const std::int32_t* switched = nullptr;

  /// Column j's entries from `first` on; null: nothing is to be added there, because gains are not
  /// noted at all or, units having switched, have been guessed.
  Real* of_P(Index j, Index first = 0) const { return at(P, j, first); }
  Real* of_Z(Index j, Index first = 0) const { return at(Z, j, first); }

 private:
  Real* at(const MatrixView<Real>& gained, Index j, Index first) const {
    return gained.empty() || switched[j] != 0 ? nullptr : gained.column(j) + first;
  }
};

template <class Real>
Gained<Real> gained_of(SweepState& state) {
  Gained<Real> gained;
  if (!state.gained.P.empty()) gained.P = state.gained.P.block().as<Real>();
  if (!state.gained.Z.empty()) gained.Z = state.gained.Z.block().as<Real>();
  gained.switched = state.switched.block().as<const std::int32_t>().data;
  return gained;
}

}  // namespace widedeq::cpu
