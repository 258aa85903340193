// Which columns a settling is for, and how exactly: what every backend goes by.
//
// A settling adds s op(E) d to P, d what z has moved by since the last one. Columns move by very
// different amounts: in an epoch's adjoint those in which units have switched a hundred times as
// far as the others. (Measured, mixed, 4096 x 1000, epochs 3 to 22: 10.8 int8 products an
// adjoint with all columns settled alike, 9.0 with this.)
#pragma once

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/element.hpp"
#include "kernels/host_device.hpp"
#include "kernels/matrix_view.hpp"

namespace widedeq {

/// How much finer a digit is than the one before. What one leaves out is at most half a unit, 128
/// units of the next: digits of d stop at 127, E's at -128.
inline constexpr double digit_ratio = 256.0;

/// The most digits that E and d are taken to. With the base's eight bits they hold entries to 2^-32
/// to 2^-30 of the largest, as E is smaller or larger beside a step of the base: about as good as
/// single precision for entries down to 2^-8 of it.
inline constexpr int plane_digits = most_digits;

/// ||d|| / ||z|| of a column, by their squares; 1 where z is zero and d is not.
WIDEDEQ_HOST_DEVICE inline double relative_move(double moved, double size) {
  return moved == 0.0 ? 0.0 : std::sqrt(moved / (size > 0.0 ? size : moved));
}

/// A column is taken to as many digits as there are limits that ||d|| / ||z|| is above. Ascending.
using DigitLimits = std::array<double, plane_digits>;

/// Every column that has moved at all to so many digits, 1 to 3.
constexpr DigitLimits all_to(int digits) {
  DigitLimits limits{};
  for (int k = digits; k < plane_digits; ++k)
    limits[static_cast<std::size_t>(k)] = std::numeric_limits<double>::infinity();
  return limits;
}

/// count[k]: columns taken to k + 1 digits or more, of columns in the order of falling digits.
using DigitCounts = std::array<Index, plane_digits>;

/// The digits of the column at place k.
WIDEDEQ_HOST_DEVICE constexpr int digits_at(Index k, const DigitCounts& count) {
  int digits = 0;
  while (digits < plane_digits && k < count[static_cast<std::size_t>(digits)])
    ++digits;
  return digits;
}

struct SettledColumns {
  /// Those that take more digits before those that take fewer, else ascending.
  std::vector<Index> order;
  DigitCounts count{};
  double left = 0.0;  // the largest ||d|| / ||z|| of the others

  Index size() const { return count[0]; }
  /// The digits of column order[k], 1 to 3.
  int digits_of(Index k) const { return digits_at(k, count); }
  /// As many as that have digits: 0 when there are none.
  int digits() const;
  /// Products e_i d_j, i + j < digits, of one column, over all columns.
  double products() const;
};

/// Chooses by every column's ||d|| / ||z||; one that is not a number takes all digits.
SettledColumns settled_columns(const std::vector<double>& moved, const DigitLimits& limits);

}  // namespace widedeq
