// What a warm solve guesses by, once for every backend: what the solves before it have added to P.
//
// An epoch changes all weights by eta times something linear in r = yhat - y, and so, as long as no
// unit switches, is what the solve after it adds to P, its response:
//
//   R_k = T (eta r_k)                            T hardly changes from epoch to epoch
//   r_k ~ a r_k-1 + b r_k-2     hence     R_k ~ a R_k-1 + b R_k-2
//
// r_k is known before the solve is; see host/extrapolation.hpp. Behind a mask a unit that switches
// adds to the response of its column what says nothing about the next one, and many times as much:
// there what was guessed is kept in place of what was found.
//
// Measured (4096 x 1000, gamma 0.5, sphere, epoch 21): the median error of the guess over columns
// is 1.1e-6 ||Z|| forward and 4.1e-7 ||L|| in the adjoint, where the last response, scaled by the
// ratio of the last two's lengths, was off by 3.4e-6 and 1.4e-5. Three responses instead of two
// are worse, forward by half: coefficients grow, and the noise of switched units with them.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/element.hpp"

namespace widedeq {

/// A response from those before it.
struct Extrapolation {
  double alone = 0.0;               // R_k ~ alone R_k-1, in columns that know one response
  double newer = 0.0, older = 0.0;  // R_k ~ newer R_k-1 + older R_k-2, in those that know two

  constexpr bool is_none() const { return alone == 0.0 && newer == 0.0 && older == 0.0; }
};

/// What a column knows of its responses.
struct KnownResponses {
  std::int32_t count;    // 0, 1 or 2, the last ones
  std::int32_t guessed;  // so many in a row up to the last one have been guesses
};

/// A column of SweepState::known.
WIDEDEQ_HOST_DEVICE constexpr KnownResponses known_in(const std::int32_t* column) {
  return {column[0], column[1]};
}
WIDEDEQ_HOST_DEVICE constexpr void keep(const KnownResponses& known, std::int32_t* column) {
  column[0] = known.count;
  column[1] = known.guessed;
}

/// By these a column's responses make its guess; 0: it is left out, whatever is in it.
struct ResponseWeights {
  double newer, older;
};

WIDEDEQ_HOST_DEVICE constexpr ResponseWeights weights_of(const KnownResponses& known,
                                                         const Extrapolation& by) {
  if (known.count == 0) return {0.0, 0.0};
  return known.count == 1 ? ResponseWeights{by.alone, 0.0} : ResponseWeights{by.newer, by.older};
}

template <class Real>
WIDEDEQ_HOST_DEVICE constexpr Real weighted(Real weight, Real entry) {
  return weight == Real(0) ? Real(0) : weight * entry;
}

/// The column's units have not switched: its response will be what the solve finds.
WIDEDEQ_HOST_DEVICE constexpr KnownResponses after_found(const KnownResponses& known) {
  return {known.count < 2 ? known.count + 1 : 2, 0};
}

/// They have: the response kept is the one guessed by these weights, if there was a guess. Errors
/// of guesses grow in those that are made by them. (Measured: with limits of 1, 3, 8 and 30 the
/// errors above are the same within a tenth in nine columns of ten.)
WIDEDEQ_HOST_DEVICE constexpr KnownResponses after_guessed(const KnownResponses& known,
                                                           const ResponseWeights& weights) {
  constexpr std::int32_t most = 8;
  const bool was_guessed = weights.newer != 0.0 || weights.older != 0.0;
  if (!was_guessed || known.guessed >= most) return {0, 0};
  return {known.count, known.guessed + 1};
}

/// Whether guessing is worthwhile: a third of the columns know a response. The others lose part of
/// a sweep by it, those that do win more.
WIDEDEQ_HOST_DEVICE constexpr bool is_worth_guessing(std::int64_t that_know, std::int64_t columns) {
  return 3 * that_know > columns;
}

/// What a unit that is off may still have in `applied`: no more than what the column's solve has
/// left missing, evenly shared out but for a factor. (Of entries that are on, one in 10^6 is
/// smaller.)
WIDEDEQ_HOST_DEVICE inline double most_when_off(double residual, double size, std::int64_t rows) {
  constexpr double uneven = 8.0;
  return uneven * residual * size / std::sqrt(static_cast<double>(rows));
}

/// Whether a unit is on now, by its gate, and was off in the solution `applied`, or the reverse.
/// Only behind a mask: relu is continuous, and changes by nothing where it switches.
template <Epilogue epilogue, class Real>
WIDEDEQ_HOST_DEVICE inline bool has_switched(Real gate, Real applied, Real when_off) {
  return epilogue == Epilogue::mask && (gate > Real(0)) != (std::abs(applied) > when_off);
}

}  // namespace widedeq
