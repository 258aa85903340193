// Products with the recurrent weights in double, straight from the masters, with bounds on their
// rounding: what certificates are made of.
//
//   A = step base + change + left right'  exactly;  a panel of op(A)'s columns at a time becomes
//   doubles, and the panels' products are added up, so that sums are a panel long, not m.
//
// Nothing here is shared with the sweeps: no operand, no increments, no single precision.
#pragma once

#include <vector>

#include "kernels/backend.hpp"

namespace widedeq {

/// A matrix of doubles in the backend's memory.
Matrix upload_double(Backend& backend, const HostMatrix& matrix);
HostMatrix transposed(const HostMatrix& matrix);

/// op(A) in double, panel by panel. The masters must stay as they are meanwhile.
class MasterReader {
 public:
  static constexpr Index panel = 256;  // columns that one read should take, or fewer

  MasterReader(Backend& backend, const WeightView& A, Transpose transpose);

  Index width() const { return A_.width(); }
  /// Columns `first` ... of op(A), m x count, every entry with its rounding.
  HostMatrix columns(Index first, Index count);
  /// A bound on the 2-norm of what rounding has added to row i of op(A), all columns read, given
  /// the norm of the row as it was read.
  double row_error(Index i, double row_norm) const;
  /// The same for the whole matrix in the Frobenius norm.
  double error(double frobenius_norm) const;

 private:
  HostMatrix read(ConstBlock block, Index first, Index count);

  Backend& backend_;
  WeightView A_;
  bool transposed_;
  Matrix left_, right_;             // op's factors in double, m x k
  std::vector<double> left_norms_;  // of the rows of left_, upwards; empty without factors
  double left_norm_ = 0.0, right_norm_ = 0.0;  // Frobenius
};

/// C = op(A) B with what is needed to bound op(A) B itself:
///   |C - op(A) B|_ij <= errors_i ||b_j||,   row_norms_i >= the norm of op(A)'s row i.
struct MasterProduct {
  HostMatrix value;  // m x n
  std::vector<double> errors, row_norms;
};

/// B is m x n in double. Cost: one m x m times m x n product in double. Synchronises.
MasterProduct multiply_masters(Backend& backend, const WeightView& A, Transpose transpose,
                               const HostMatrix& B);

}  // namespace widedeq
