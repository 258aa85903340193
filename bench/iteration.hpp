// The fixed-point iteration of sweep and settle: everything the benchmarks know of measure, iterate
// and settle is here.
#pragma once

#include "bench/network.hpp"
#include "bench/reference.hpp"

namespace widedeq::bench {

/// z = f(c + s op(A) z) on random c: relu and A, or the mask of a random gate and A'.
/// s = 1/(4 sqrt(m)) whatever --gamma says: it costs no time, and contracts at any width.
class Iteration {
 public:
  Iteration(const Case& c, const Model& model, bool adjoint);

  /// z = 0, P = c and the first increments.
  void start();
  /// `count` sweeps; no column stops.
  void sweep(int count);
  /// z = the random c and P = 0: what settle() needs.
  void start_settling();
  /// P += s op(plane) z, to the most digits.
  void settle();

  HostMatrix z() const { return download(backend_, state_.applied.block()); }
  HostMatrix pre_activation() const { return download(backend_, state_.P.block()); }
  HostMatrix c() const { return download(backend_, c_); }
  /// ||f(c + s op(A) z) - z|| / ||z||, the largest over columns, in double.
  double residual() const;

  double s() const;

  static constexpr int digits = 3;    // of settle()
  static constexpr int products = 6;  // that takes

 private:
  Sweep description() const;

  Backend& backend_;
  const Model& model_;
  bool adjoint_;
  Matrix c_, gate_;
  SweepState state_;
  SettledColumns columns_;  // of settle(): all of them
};

/// One sweep over all columns: the product; A, P, z and the increments (and the gate) read, P, z
/// and the increments written.
Work sweep_work(const Case& c, bool adjoint);

}  // namespace widedeq::bench
