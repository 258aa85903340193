// What tests of carried states share: states that stand somewhere, in every precision.
#pragma once

#include <gtest/gtest.h>

#include <cmath>

#include "host/weight_operator.hpp"
#include "tests/support.hpp"

namespace widedeq::test {

class CarriedStates : public testing::TestWithParam<Precision> {
 protected:
  Precision precision() const { return GetParam(); }
  Element real() const { return real_of(precision()); }
  double eps() const { return epsilon(precision()); }
  void SetUp() override { SKIP_UNLESS_SUPPORTED(precision()); }

  HostMatrix random(Index rows, Index columns) {
    return rounded(real(), random_.matrix(rows, columns));
  }
  Sweep sweep(const WeightOperator& A, Transpose transpose = Transpose::no,
              double tolerance = 1e-6) const {
    return {.A = A.operand(),
            .transpose = transpose,
            .s = 0.5 / std::sqrt(static_cast<double>(A.width())),
            .epilogue = transpose == Transpose::yes ? Epilogue::none : Epilogue::relu,
            .gate = {},
            .tolerance = tolerance};
  }
  /// A state that stands at (P, applied), no column open, with room for `spare` columns more.
  SweepState state_at(const HostMatrix& P, const HostMatrix& applied, Index spare = 0) const {
    SweepState state = backend().make_sweep_state(precision(), P.rows, P.columns + spare);
    state.count = P.columns;
    backend().fill(state.P, Framed::sentinel);
    backend().fill(state.applied, Framed::sentinel);
    backend().upload(P.view(), state.P.columns(0, state.count));
    backend().upload(applied.view(), state.applied.columns(0, state.count));
    return state;
  }

  Random random_{42};
};

inline HostMatrix difference(HostMatrix left, const HostMatrix& right) {
  for (std::size_t i = 0; i < left.values.size(); ++i)
    left.values[i] -= right.values[i];
  return left;
}

/// c + factor op(A) Z
inline HostMatrix affine(const HostMatrix& A, Transpose transpose, double factor,
                         const HostMatrix& Z, const HostMatrix& c) {
  HostMatrix P = oracle::multiply(transpose == Transpose::yes ? oracle::transpose(A) : A, Z);
  for (std::size_t i = 0; i < P.values.size(); ++i)
    P.values[i] = c.values[i] + factor * P.values[i];
  return P;
}

}  // namespace widedeq::test
