// The limit of a pair as a function of its angle, tabulated once and read for every pair.
//
// kappa, D0 and Dh are analytic functions of the angle (pair_limit.hpp), so a few dozen values and
// polynomial interpolation give them to rounding everywhere: n samples cost n^2/2 interpolations
// instead of as many fixed points of integrals. In each half of [0, pi] the variable is that of
// GradedHalf, the points are Chebyshev's of the second kind,
//
//   x_j = X sin(j pi / (2 N))^2,  j = 0 ... N
//
// and the interpolant is in barycentric form. N is doubled until the interpolant of N meets the
// values at the points that 2 N adds. Source: Berrut and Trefethen, SIAM Review 46 (2004).
#pragma once

#include <vector>

#include "host/study/graded_half.hpp"
#include "host/study/pair_limit.hpp"

namespace widedeq {

class LimitTable {
 public:
  /// Fills the table. Errors as PairLimit's constructor.
  LimitTable(double gamma, Injection injection);

  const PairLimit& pair() const { return pair_; }
  /// y, D0 and Dh at an angle in [0, pi].
  PairValues at(double angle) const;

  // Errors are the largest seen, of kappa, Q and Dh, each relative to its value at the angle 0.

  /// Between coarse and fine nodes of the integrals; the table has the fine ones.
  double quadrature_error() const { return quadrature_error_; }
  /// Between half the points and all of them; the table has all of them.
  double interpolation_error() const { return interpolation_error_; }
  /// The last Newton step of kappa, fine nodes.
  double fixed_point_error() const { return fixed_point_error_; }
  /// The most Newton steps that a value took.
  int steps() const { return steps_; }
  /// In both halves together.
  int points() const { return static_cast<int>(near_.points.size() + far_.points.size()); }

 private:
  struct Point {
    double x = 0.0;
    PairValues values;
  };
  struct Half {
    bool far = false;  // from pi
    double length = 0.0;
    std::vector<Point> points;
  };

  Point tabulate(const Half& half, double x);
  /// Puts points between those there are; returns how far the interpolant of the old was off.
  double refine(Half& half);
  void fill(Half& half);
  static PairValues interpolate(const Half& half, double x);
  double distance(double angle, const PairValues& a, const PairValues& b) const;
  double angle_of(const Half& half, double x) const;

  PairLimit pair_;
  GradedHalf graded_;
  Half near_, far_;
  double quadrature_error_ = 0.0, interpolation_error_ = 0.0, fixed_point_error_ = 0.0;
  int steps_ = 0;
};

}  // namespace widedeq
