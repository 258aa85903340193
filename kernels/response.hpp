// When a solve is like the ones before: what Backend::predict goes by, once for every backend.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/element.hpp"

namespace widedeq {

/// How long the next response of a column is expected to be beside its last one: gradient descent
/// shrinks them by much the same factor from epoch to epoch. `moved` holds the lengths of the last
/// two that were noted, zero for none; 0 where they are too different to go by, or no numbers.
/// (Measured, 4096 x 1000, epochs 3 to 22: guesses were 12 % off with a factor of 1, 5 % with it.)
WIDEDEQ_HOST_DEVICE inline double pace_of(const double* moved) {
  constexpr double most = 1.5;
  const bool is_steady =
      moved[0] <= most * moved[1] && moved[1] <= most * moved[0] && moved[0] > 0.0;
  return is_steady ? moved[0] / moved[1] : 0.0;
}

/// Whether a guess is worth making: a third of the columns have a pace. The others lose part of a
/// sweep by it, those with one win more.
WIDEDEQ_HOST_DEVICE constexpr bool is_worth_guessing(std::int64_t with_pace, std::int64_t columns) {
  return 3 * with_pace > columns;
}

/// Whether a unit is on now, by its gate, and was off in the solution `applied`, or the reverse.
/// Only behind a mask: relu changes its output where it switches by nothing. A unit that has gone
/// off may keep half of `unit`, the value of one unit of its last increment: 0 in fp64 and fp32,
/// whose increments are exact.
template <Epilogue epilogue, class Real>
WIDEDEQ_HOST_DEVICE inline bool has_switched(Real gate, Real applied, Real unit) {
  return epilogue == Epilogue::mask && (gate > Real(0)) != (std::abs(applied) > unit);
}

}  // namespace widedeq
