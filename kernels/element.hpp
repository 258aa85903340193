// The per-entry mathematics of a sweep, defined once for every backend.
//
//   relu   f = max(P, 0)          forward:  Z = relu(s A Z + Phi)
//   mask   f = 1[gate > 0] P      adjoint:  L = D o (u 1' + s A' L), gate = the forward P
//   none   f = P                  a linear iteration, for norms and adjointness
//
// and of quantisation: one power-of-two scale a column, so that scaling is exact.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/host_device.hpp"

namespace widedeq {

enum class Epilogue : std::uint8_t { relu, mask, none };

/// relu(x), with relu'(0) = 0 and NaN kept: max(x, 0) would turn a NaN into a plausible zero.
template <class Real>
WIDEDEQ_HOST_DEVICE inline Real relu(Real x) {
  return x <= Real(0) ? Real(0) : x;
}

/// The new value of an entry. `gate` is read by `mask` alone.
template <Epilogue epilogue, class Real>
WIDEDEQ_HOST_DEVICE inline Real activate(Real pre, Real gate) {
  if constexpr (epilogue == Epilogue::relu) {
    return relu(pre);
  } else if constexpr (epilogue == Epilogue::mask) {
    // A NaN in `pre` must survive the mask, whatever the gate says.
    return gate > Real(0) ? pre : pre * Real(0);
  } else {
    return pre;
  }
}

/// sum += rest, and rest = what that has rounded off, exactly. Source: D. Knuth, The Art of
/// Computer Programming 2, section 4.2.2, theorem B.
template <class Real>
WIDEDEQ_HOST_DEVICE inline void absorb(Real& sum, Real& rest) {
  const Real before = sum;
  sum = before + rest;
  const Real taken = sum - before;
  rest = (before - (sum - taken)) + (rest - taken);
}

/// The largest magnitude that a number rounded to int8 takes. -128 is left out: the law is
/// symmetric.
inline constexpr int int8_largest = 127;

/// The largest inner dimension whose sums of int8 products fit an int32: of increments, and of
/// digits (below), which may be -128.
inline constexpr std::int64_t widest_exact = ((std::int64_t{1} << 31) - 1) / (int8_largest * 128);
static_assert(widest_exact == 132104);

/// The smallest power of two c with 127 c >= largest, not below 2^-110, so that c / 2^16 (a third
/// digit's unit) and its inverse are still normal numbers; 1 for largest = 0.
/// A column scaled by it uses at least the top half of the int8 range.
WIDEDEQ_HOST_DEVICE inline float int8_scale(float largest) {
  if (!(largest > 0.0F)) return 1.0F;
  int exponent = 0;
  const float fraction = std::frexp(largest / static_cast<float>(int8_largest), &exponent);
  if (fraction == 0.5F) --exponent;  // already a power of two
  return std::ldexp(1.0F, exponent < -110 ? -110 : exponent);
}

/// Round to nearest, ties to even, clipped to the int8 digits. `inverse` = 1 / scale.
template <class Real>
WIDEDEQ_HOST_DEVICE inline Real int8_round(Real x, Real inverse) {
  const Real largest = Real(int8_largest);
  const Real scaled = std::rint(x * inverse);
  return scaled > largest ? largest : (scaled < -largest ? -largest : scaled);
}

/// The same as a digit; 0 for what is not a number, which sums of squares tell of.
template <class Real>
WIDEDEQ_HOST_DEVICE inline Real int8_digit(Real x, Real inverse) {
  const Real rounded = int8_round(x, inverse);
  return rounded == rounded ? rounded : Real(0);
}

/// The most digits of a base-256 expansion x = d0 + d1 / 256 + d2 / 256^2, |x| <= 127. It holds x
/// to 2^-17. d1 and d2 are -128 .. 127; d0 is within 1/2 + 2^-8 of x, and x itself where x is
/// whole. (Digits are those of one whole number: made one after the other, each rounded to the
/// nearest, a rest of 127.5 to 128 units would have to be clipped.)
inline constexpr int most_digits = 3;

/// x in units of the last digit; 0 for what is not a number or too large.
WIDEDEQ_HOST_DEVICE inline std::int32_t expand(float x) {
  constexpr float unit = 65536.0F, largest = int8_largest * unit;
  const float scaled = std::rint(x * unit);
  return static_cast<std::int32_t>(std::abs(scaled) <= largest ? scaled : 0.0F);
}

/// Digit number `position` (0: the first) of what expand() has made, modulo 256: what is above it
/// after rounding away what the later ones hold.
WIDEDEQ_HOST_DEVICE inline std::uint32_t digit_byte(std::int32_t expanded, int position) {
  const std::int32_t half =
      0x8080 >> 8 * position;  // a half of the digit's unit, in each later one
  return static_cast<std::uint32_t>((expanded + half) >> (16 - 8 * position)) & 255U;
}

/// The same of x itself, as a number.
WIDEDEQ_HOST_DEVICE inline std::int8_t digit_of(float x, int position) {
  return static_cast<std::int8_t>(digit_byte(expand(x), position));
}

}  // namespace widedeq
