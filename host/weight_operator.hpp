// The recurrent weights A and everything that is kept of them.
//
// Masters: A = step * base + change + left right' (kernels/weight_view.hpp). Training adds to
// `change`, or to the factors when that is cheaper (update_cost.hpp).
// Operand: the copy that products read, refreshed from the masters after an update.
#pragma once

#include <memory>
#include <vector>

#include "host/archive.hpp"
#include "host/draw.hpp"
#include "kernels/backend.hpp"

namespace widedeq {

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

  /// ||A - A(0)||_F for an A(0) that was drawn so; exactly 0 where A is as the draw left it. Where
  /// the base is the lattice's, what has changed is kept apart, and O(m^2) work of the backend's
  /// sums it up; else A(0) is drawn once more on the host. Synchronises.
  double distance_from(const Draw& draw) const;

  /// The entries of A in double, for saving and for tests: `count` columns from `first`.
  HostMatrix download_columns(Index first, Index count) const;

 private:
  void allocate(Index width, int panels);
  void split_change();  // change_ holds A
  /// add_rank_update(), into whichever of the two is cheaper.
  double add_factors_or_change(double alpha, ConstBlock left, std::span<const double> r,
                               ConstBlock right);
  /// to += columns of the change from `first` on, factors included, where `to` is zero.
  void add_change(Index first, Block to) const;
  /// change += left right'
  void fold_factors();
  double squared_change() const;  // ||change + left right'||_F^2
  double squared_distance(const Draw& draw) const;

  Backend& backend_;
  Precision precision_;
  bool drawn_;     // base_ follows from the seed
  Matrix base_;    // m x m int8
  Matrix change_;  // m x m real, empty until there is a change
  double step_ = LatticeLaw::step;
  Matrix left_, right_;        // m x columns, made by the first update that is kept
  Index kept_ = 0;             // columns in use
  double factors_norm_ = 0.0;  // of their product, or more
  double last_update_ = 0.0;   // ||alpha G||_F of the last rank update
  Changed changed_ = Changed::base;
  std::unique_ptr<Operand> operand_;
};

}  // namespace widedeq
