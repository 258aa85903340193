// Points and directions in the space of all weights (A, W, u, v), in the backend's memory: what an
// integrator adds up. Shapes m x m, m x d, m and m, all real at the model's precision.
//
// A point holds of A what training changes, WeightOperator::change(), not A itself: small numbers
// are added to small numbers. So points are told apart by differences, and sums of points have a
// meaning only with weights that add up to 1.
#pragma once

#include <span>

#include "host/model.hpp"

namespace widedeq {

class Parameters {
 public:
  /// Nothing, without memory.
  Parameters() = default;
  /// Zeros, of the model's shapes.
  Parameters(Backend& backend, const Model& model);
  /// Zeros, of the same shapes as another.
  static Parameters like(const Parameters& other);

  bool empty() const { return backend_ == nullptr; }

  /// this = the model's weights. Makes A's change where there is none yet.
  void take(Model& model);
  /// The model's weights = this, and its operand follows.
  void put_into(Model& model) const;

  void fill(double value);
  /// this += alpha other; returns ||other||_F^2 over all four. Synchronises.
  double add_scaled(double alpha, const Parameters& other);
  void copy(const Parameters& other);

  Matrix A, W, u, v;

 private:
  Backend* backend_ = nullptr;
};

/// to = sum of factor times term, added from left to right; `to` must be none of the terms.
struct Term {
  double factor;
  const Parameters* of;
};
void add_up(Parameters& to, std::span<const Term> terms);

}  // namespace widedeq
