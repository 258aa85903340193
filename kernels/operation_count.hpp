// Counting the operations of products by formula, as every backend does; see Backend::operations.
#pragma once

#include <cstdint>

#include "kernels/backend.hpp"
#include "kernels/digit_update.hpp"

namespace widedeq {

/// One function for each stage that multiplies matrices, named as the stage is.
class OperationCount {
 public:
  const Operations& total() const { return total_; }

  void inject(const ConstBlock& W, const ConstBlock& X, Sums sums) {
    of(sums == Sums::in_double ? Element::float64 : W.element) +=
        product(W.rows, W.columns, X.columns);
  }
  void iterate(Precision precision, const SweepStatus& status) {
    (precision == Precision::mixed ? total_.int8 : of(real_of(precision))) += status.operations;
  }
  /// Mixed only; without `has_digits` there are the plane's factors alone.
  void settle(const SettledColumns& columns, Index m, bool has_digits, Index factors) {
    if (has_digits) total_.int8 += columns.products() * product(m, m, 1);
    total_.fp32 += 2.0 * product(m, factors, columns.size());
  }
  void rebuild(const SweepState& state, const WeightView& A) {
    const Index m = state.P.rows();
    total_.fp64 += product(m, m + 2 * A.left.columns, state.count);
  }
  /// Of updates of vectors, too: du and dv are rank_update() with one row.
  void rank_update(const ConstBlock& left, const ConstBlock& right, bool by_digits) {
    update(left.element, left.rows, right.rows, left.columns, by_digits);
  }
  void copy_factors(const ConstBlock& left, const ConstBlock& right) {
    const Index n = left.columns;  // Grams in double, whatever the elements
    total_.fp64 += (product(n, left.rows, n) + product(n, right.rows, n)) / 2.0;
  }
  /// How the n x n product of a matrix with itself is made.
  enum class Gram : std::uint8_t { half, whole, digits };
  void follow_rank_update(const ConstBlock& P, const ConstBlock& left, const ConstBlock& right,
                          bool by_digits, Gram gram) {
    const Index n = left.columns;
    if (gram == Gram::digits) {
      total_.int8 += update_products * product(n, right.rows, n);
    } else {
      of(P.element) += product(n, right.rows, n) / (gram == Gram::half ? 2.0 : 1.0);
    }
    update(P.element, P.rows, n, n, by_digits);
  }

 private:
  /// a x n times n x b, as it is or in digits
  void update(Element element, Index a, Index b, Index n, bool by_digits) {
    if (by_digits) {
      total_.int8 += update_products * product(a, n, b);
    } else {
      of(element) += product(a, n, b);
    }
  }
  /// Operations of a product, a x b times b x c.
  static double product(Index a, Index b, Index c) {
    return 2.0 * static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c);
  }
  double& of(Element element) { return element == Element::float64 ? total_.fp64 : total_.fp32; }

  Operations total_;
};

}  // namespace widedeq
