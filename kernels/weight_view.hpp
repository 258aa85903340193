// A closed description of the recurrent weights: A = step * base + change + left right'.
//
// base    m x m int8. Exact for the lattice law; the rounded entries of any other A.
// step    a power of two, so that step * base is exact in every floating-point format.
// change  m x m real: what rounding left out at the start plus everything training has added. Kept
//         apart, small updates are added to small numbers, not to entries of size 1 that would
//         swallow them. Empty while A equals its base.
// left, right  m x k real: training's latest updates, not yet added up in `change`. Empty: none.
#pragma once

#include "kernels/matrix.hpp"

namespace widedeq {

struct WeightView {
  ConstBlock base;
  double step = 0.0;
  ConstBlock change;
  ConstBlock left, right;
  double factors_norm = 0.0;  // ||left right'||_F or more, to rounding

  Index width() const { return base.rows; }
};

}  // namespace widedeq
