// The recurrent weights A and everything that is kept of them.
//
// Masters: A = step * base + change + left right' (kernels/weight_view.hpp). Training adds to
// `change`, or to the factors when that is cheaper (update_cost.hpp).
// Operand: the copy that products read, refreshed from the masters after an update.
#pragma once

#include <memory>
#include <vector>

#include "host/archive.hpp"
#include "kernels/backend.hpp"

namespace widedeq {

/// How the entries of A are drawn.
enum class WeightLaw : std::uint8_t {
  lattice,   ///< round(32 N(0,1)) clipped to +-127, over 32: exact in int8 (LatticeLaw)
  gaussian,  ///< N(0,1)
};

class WeightOperator {
 public:
  /// A drawn from `law` by (seed, Tensor::A). `panels`: see ModelOptions.
  WeightOperator(Backend& backend, Precision precision, Index width, WeightLaw law,
                 std::uint64_t seed, int panels = 1);
  /// A given, m x m. Throws std::domain_error when an entry is not finite.
  WeightOperator(Backend& backend, Precision precision, MatrixView<const double> A, int panels = 1);

  Index width() const { return base_.rows(); }
  Precision precision() const { return precision_; }
  const Operand& operand() const { return *operand_; }
  WeightView view() const;

  /// The summand that training changes, m x m real. Call refresh() when done with it.
  Block change();
  /// A += alpha G with G = (left diag r) right', left and right m x n. Returns ||G||_F^2. Call
  /// refresh() when done.
  double add_rank_update(double alpha, ConstBlock left, std::span<const double> r,
                         ConstBlock right);
  /// Brings the operand up to date with the masters.
  void refresh();
  /// Frees the operand when no more solves will follow, so that saving finds room: in mixed it is
  /// eight bytes an entry. Afterwards operand() and refresh() must not be called.
  void release_operand() { operand_.reset(); }

  /// Saves or restores what training has made of A. A base that was drawn is drawn again, not
  /// saved; loading throws Failure (bad_data) when the one drawn is not the one it was.
  void transfer(Archive& archive);

  /// The entries of A in double, for saving and for tests: `count` columns from `first`.
  HostMatrix download_columns(Index first, Index count) const;

 private:
  void allocate(Index width, int panels);
  void split_change();  // change_ holds A
  /// change += left right'
  void fold_factors();

  Backend& backend_;
  Precision precision_;
  bool drawn_;     // base_ follows from the seed
  Matrix base_;    // m x m int8
  Matrix change_;  // m x m real, empty until there is a change
  double step_ = LatticeLaw::step;
  Matrix left_, right_;        // m x columns, made by the first update that is kept
  Index kept_ = 0;             // columns in use
  double factors_norm_ = 0.0;  // of their product, or more
  Changed changed_ = Changed::base;
  std::unique_ptr<Operand> operand_;
};

/// Estimates ||A||_2 from below by Golub-Kahan-Lanczos bidiagonalisation.
///
/// `start` (length m) is the starting right vector; on return it holds the approximate top right
/// singular vector, so that the next call on slightly changed weights needs few steps. The estimate
/// never exceeds the norm (to rounding) and proves nothing about an upper bound.
/// Cost: two products of A with a vector a step. Source: Golub & Van Loan, section 10.4.
double estimate_operator_norm(Backend& backend, const WeightView& A, std::vector<double>& start,
                              int steps);

}  // namespace widedeq
