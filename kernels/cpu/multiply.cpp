// A times a vector, straight from the masters; see multiply.hpp.
#include "kernels/cpu/multiply.hpp"

#include <omp.h>

#include <algorithm>

#include "kernels/stage_checks.hpp"

namespace widedeq::cpu {
namespace {

/// Rows of y at a time: as many as the first-level cache keeps while A streams past, or fewer, so
/// that every thread has some. An entry's sum is the same whichever they are.
Index rows_at_a_time(Index m) {
  constexpr Index most = 1024, least = 64;
  const Index threads = omp_get_max_threads();
  const Index share = ((m + threads - 1) / threads + least - 1) / least * least;
  return std::min(most, share);
}

/// y = A x: every thread owns blocks of rows, columns in ascending order.
template <class Real>
void apply_plain(MatrixView<const std::int8_t> base, double step, MatrixView<const Real> change,
                 std::span<const double> x, std::span<double> y) {
  const Index m = base.rows;
  const Index block = rows_at_a_time(m);
#pragma omp parallel for schedule(static)
  for (Index first = 0; first < m; first += block) {
    const Index count = std::min(block, m - first);
    double* out = y.data() + first;
    std::fill_n(out, count, 0.0);
    for (Index k = 0; k < m; ++k) {
      const double xk = x[static_cast<std::size_t>(k)];
      const double step_xk = step * xk;
      const std::int8_t* integers = base.column(k) + first;
#pragma omp simd
      for (Index i = 0; i < count; ++i)
        out[i] += step_xk * integers[i];
      if (change.empty()) continue;
      const Real* changes = change.column(k) + first;
#pragma omp simd
      for (Index i = 0; i < count; ++i)
        out[i] += xk * static_cast<double>(changes[i]);
    }
  }
}

/// y = A' x: one dot product a column.
template <class Real>
void apply_transposed(MatrixView<const std::int8_t> base, double step,
                      MatrixView<const Real> change, std::span<const double> x,
                      std::span<double> y) {
  const Index m = base.rows;
#pragma omp parallel for schedule(static)
  for (Index k = 0; k < m; ++k) {
    const std::int8_t* integers = base.column(k);
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (Index i = 0; i < m; ++i)
      sum += integers[i] * x[static_cast<std::size_t>(i)];
    sum *= step;
    if (!change.empty()) {
      const Real* changes = change.column(k);
#pragma omp simd reduction(+ : sum)
      for (Index i = 0; i < m; ++i)
        sum += static_cast<double>(changes[i]) * x[static_cast<std::size_t>(i)];
    }
    y[static_cast<std::size_t>(k)] = sum;
  }
}

/// y += left (right' x), or with the two exchanged.
template <class Real>
void add_factors(const WeightView& A, Transpose transpose, std::span<const double> x,
                 std::span<double> y) {
  const auto left = (transpose == Transpose::yes ? A.right : A.left).as<const Real>();
  const auto right = (transpose == Transpose::yes ? A.left : A.right).as<const Real>();
  for (Index k = 0; k < left.columns; ++k) {
    const Real* v = right.column(k);
    const Real* u = left.column(k);
    double dot = 0.0;
#pragma omp simd reduction(+ : dot)
    for (Index i = 0; i < right.rows; ++i)
      dot += static_cast<double>(v[i]) * x[static_cast<std::size_t>(i)];
#pragma omp simd
    for (Index i = 0; i < left.rows; ++i)
      y[static_cast<std::size_t>(i)] += dot * static_cast<double>(u[i]);
  }
}

template <class Real>
void apply_as(const WeightView& A, Transpose transpose, std::span<const double> x,
              std::span<double> y) {
  const auto base = A.base.as<const std::int8_t>();
  const MatrixView<const Real> change = view_or_none<Real>(A.change);
  if (transpose == Transpose::yes) {
    apply_transposed(base, A.step, change, x, y);
  } else {
    apply_plain(base, A.step, change, x, y);
  }
  if (!A.left.empty()) add_factors<Real>(A, transpose, x, y);
}

}  // namespace

void apply(const WeightView& A, Transpose transpose, std::span<const double> x,
           std::span<double> y) {
  check_apply(A, x, y);
  if (has_doubles(A)) {
    apply_as<double>(A, transpose, x, y);
  } else {
    apply_as<float>(A, transpose, x, y);
  }
}

}  // namespace widedeq::cpu
