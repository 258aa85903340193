// The residual plane's share of P, s op(E) z, which sweeps leave to settlings: how much those will
// add, how exact they must be, and how much of it a column may do without.
//
// A settling adds `gain` times what z has moved by since the last one, relative to z. E is small,
// and so is the gain: what z moves by in the last sweeps of a solve, times the gain, is often too
// little to matter.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "host/archive.hpp"
#include "kernels/backend.hpp"

namespace widedeq {

/// Half a unit of rounding in single precision.
inline constexpr double single_rounding = 3e-8;

/// A solve's first settling is of what an epoch, or the way from zero, has moved z by. Later ones
/// are of a rest, which may well point where E is largest.
enum class Settling : std::uint8_t { first, later };

/// What one solve tells the next about the plane. Guesses until there has been one.
struct PlaneForecast {
  /// ||s op(E) dz|| / ||dz|| over E's Frobenius norm, as settlings of either kind have found it; E
  /// itself may be a thousand times larger by the next one. None yet: the most there can be is
  /// taken, s. (Measured, mixed, 4096 x 1000, epoch 10: a gain of 6e-4 in the first settling of the
  /// adjoint solve, 1.8e-3 in the last. Going by the latter, a first one took two digits of every
  /// column, three products instead of one.)
  std::optional<double> first_ratio = std::nullopt, later_ratio = std::nullopt;
  double expected = 1e-3;  // what was to be added to P, relative, when the last solve first settled

  /// ||s op(E) dz|| / ||dz|| to reckon with.
  double gain(Settling kind, const Sweep& sweep) const;
  /// Takes in the gain that a settling of some columns has found, or of all of them.
  void learn(Settling kind, const Sweep& sweep, double found, bool of_all);
  void transfer(Archive& archive);
};

/// The digits for a settling that adds to P about `gain` times what a column has moved by: none
/// where that is no more than `least`, else as many as it takes for what they leave out to drown in
/// rounding.
DigitLimits digit_limits(double gain, double least);

/// What a column may leave as a residual, ||f(P) - z||, where P itself is off by so much, both
/// relative to z, lest the two together miss the tolerance. They are vectors of m entries that know
/// nothing of each other, so the cosine of their angle is beyond 4 / sqrt(m) for one in 16,000
/// alone. 0 where nothing can be left.
double residual_beside(double off, Index width, double tolerance);

/// What P lacks of the plane's share when a column stops, relative to z as its residual is.
class UnsettledShare {
 public:
  UnsettledShare(double tolerance, Index width);

  /// Not worth a settling.
  double negligible() const;

  /// What a warm solve may leave to the next one, whose settling makes up for it. That one
  /// multiplies by the change dE, too, what is left now: P, which has followed dE, takes in
  /// s dE (applied - settled) once too often. It must be negligible. dE is of rank n and may weigh
  /// more in some directions than in others: it is taken for eight times as heavy as a random
  /// matrix of its norm, and for as large as the last one.
  ///
  /// Expected: one product less in most adjoint solves, their last settling. Measured, mixed,
  /// 4096 x 1000, sphere, epochs 3 to 22, in int8 products an epoch: 12.1 with nothing left but
  /// what is negligible and one ratio for all settlings; with two of them and up to 0.15, 0.3 and
  /// 0.5 of the tolerance left 10.2, 10.0 and 9.8.
  double most(double gain, const Sweep& sweep) const;

  /// The residual that leaves a column within the tolerance though it lacks so much.
  double within(double lacking) const;

  /// The residual to sweep to before a settling that is expected to add so much.
  double target(double expected) const;

  /// Adds to residuals what columns are expected to lack once those have been settled that have
  /// moved by more than `limit`. `moved` may be empty: then it is nothing.
  void add(const std::vector<double>& moved, double limit, double gain,
           std::vector<double>& residuals) const;

 private:
  double tolerance_;
  Index width_;
  bool has_margin_;
};

}  // namespace widedeq
