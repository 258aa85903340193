// The gradient's rank-n products, applied panel by panel.
//
//   G = (left diag r) right'     C += alpha G     returns ||G||_F^2
//
// G of a large A never exists as a whole: a panel of its columns is made, measured and added before
// the next one. r scales the narrow side, the panel's rows of `right`. Where int8 is fast enough,
// large matrices in mixed go by digits instead (digit_update.cpp).
//
// What such an update does to a product A right, in O(m n^2) instead of O(m^2 n):
//
//   P += alpha (left diag r) (right' right)
#include "kernels/cpu/rank_update.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "kernels/cpu/blas.hpp"
#include "kernels/cpu/digit_update.hpp"
#include "kernels/cpu/transfer.hpp"
#include "kernels/digit_update.hpp"
#include "kernels/stage_checks.hpp"

namespace widedeq::cpu {
namespace {

/// Columns of G at a time: the library lays out all of `left` anew for each panel. (Measured on a
/// Xeon, 2 cores, fp32, share of the bare product's rate with 256, 512, 1024 and 2048 columns at
/// 4096 x 1000: 83, 90, 96 and 96 %; at 1024 x 360 with the first three 82, 96 and 97 %.)
constexpr Index panel = 1024;

/// C += alpha G, one column; returns ||G||^2
template <class Real>
double add_column(Real* C, Real alpha, const Real* G, Index rows) {
  double sum = 0.0;
#pragma omp simd reduction(+ : sum)
  for (Index i = 0; i < rows; ++i) {
    C[i] += alpha * G[i];
    sum += static_cast<double>(G[i]) * static_cast<double>(G[i]);
  }
  return sum;
}

/// The same for all columns; summed in ascending order, so threads do not change the bits.
template <class Real>
double add_columns(MatrixView<Real> C, double alpha, MatrixView<const Real> G) {
  std::vector<double> sums(static_cast<std::size_t>(C.columns));
#pragma omp parallel for schedule(static)
  for (Index j = 0; j < C.columns; ++j)
    sums[static_cast<std::size_t>(j)] =
        add_column(C.column(j), static_cast<Real>(alpha), G.column(j), C.rows);
  double total = 0.0;
  for (const double sum : sums)
    total += sum;
  return total;
}

/// For right of one row, so that G is a column, left (r o right)': summed in double,
/// from left as it lies. (A library lays left out anew first, which takes longer.)
template <class Real>
double column_update_as(MatrixView<Real> C, double alpha, MatrixView<const Real> left,
                        std::span<const double> r, MatrixView<const Real> right) {
  constexpr Index block = 256;
  const Index blocks = (C.rows + block - 1) / block;
  std::vector<double> squares(static_cast<std::size_t>(blocks));
#pragma omp parallel for schedule(static)
  for (Index b = 0; b < blocks; ++b) {
    const Index first = b * block, count = std::min(block, C.rows - first);
    std::array<double, block> sums{};
    for (Index j = 0; j < left.columns; ++j) {
      const Real* column = left.column(j) + first;
      const double factor = r[static_cast<std::size_t>(j)] * static_cast<double>(right(0, j));
#pragma omp simd
      for (Index i = 0; i < count; ++i)
        sums[static_cast<std::size_t>(i)] += factor * static_cast<double>(column[i]);
    }
    std::array<Real, block> G{};
    std::transform(sums.begin(), sums.end(), G.begin(),
                   [](double sum) { return static_cast<Real>(sum); });
    squares[static_cast<std::size_t>(b)] =
        add_column(C.column(0) + first, static_cast<Real>(alpha), G.data(), count);
  }
  return std::accumulate(squares.begin(), squares.end(), 0.0);
}

template <class Real>
double rank_update_as(MatrixView<Real> C, double alpha, MatrixView<const Real> left,
                      std::span<const double> r, MatrixView<const Real> right,
                      Workspace& workspace) {
  if (C.columns == 1) return column_update_as(C, alpha, left, r, right);
  const Index n = left.columns;
  const Index widest = std::min(panel, C.columns);
  Real* buffer = workspace.get<Real>(static_cast<std::size_t>(widest * (n + C.rows)));
  double total = 0.0;
  for (Index first = 0; first < C.columns; first += panel) {
    const Index count = std::min(panel, C.columns - first);
    const MatrixView<Real> scaled(buffer, count, n);  // rows first ... of `right`, times r
#pragma omp parallel for schedule(static)
    for (Index j = 0; j < n; ++j) {
      const Real* from = right.column(j) + first;
      const Real factor = static_cast<Real>(r[static_cast<std::size_t>(j)]);
      for (Index i = 0; i < count; ++i)
        scaled(i, j) = factor * from[i];
    }
    const MatrixView<Real> G(buffer + widest * n, C.rows, count);
    gemm<Real>(Transpose::no, Transpose::yes, Real(1), left, scaled, Real(0), G);
    total += add_columns<Real>(C.middle_columns(first, count), alpha, G);
  }
  return total;
}

/// right' right by symmetric products, then mirrored; row j times r_j. n x n.
template <class Real>
void scaled_gram(MatrixView<const Real> right, std::span<const double> r, MatrixView<Real> gram) {
  const Index n = right.columns;
  if (n == 0) return;  // BLAS complains of a matrix without columns
  const auto call = [&](auto function) {
    function(CblasColMajor, CblasLower, CblasTrans, blas_size(n), blas_size(right.rows), Real(1),
             right.data, blas_size(right.stride), Real(0), gram.data, blas_size(n));
  };
  if constexpr (std::is_same_v<Real, double>) {
    call(cblas_dsyrk);
  } else {
    call(cblas_ssyrk);
  }
  // Tile by tile, so that rows are read from the cache.
  constexpr Index tile = 32;
#pragma omp parallel for schedule(dynamic, 1)
  for (Index right_edge = 0; right_edge < n; right_edge += tile) {
    for (Index top = 0; top <= right_edge; top += tile) {
      for (Index j = right_edge; j < std::min(n, right_edge + tile); ++j) {
        const auto r_j = static_cast<Real>(r[static_cast<std::size_t>(j)]);
        for (Index i = top; i < std::min(j, top + tile); ++i) {
          gram(i, j) = static_cast<Real>(r[static_cast<std::size_t>(i)]) * gram(j, i);
          gram(j, i) *= r_j;
        }
      }
    }
    for (Index j = right_edge; j < std::min(n, right_edge + tile); ++j)
      gram(j, j) *= static_cast<Real>(r[static_cast<std::size_t>(j)]);
  }
}

template <class Real>
void follow_as(MatrixView<Real> P, double alpha, MatrixView<const Real> left,
               std::span<const double> r, MatrixView<const Real> right, Workspace& workspace) {
  const Index n = left.columns;
  const MatrixView<Real> gram(workspace.get<Real>(static_cast<std::size_t>(n * n)), n, n);
  scaled_gram(right, r, gram);
  gemm<Real>(Transpose::no, Transpose::no, static_cast<Real>(alpha), left, gram, Real(1), P);
}

/// The same by int8 products: P += alpha (left diag r) gram' with gram = right' right. The Gram
/// itself stays in single precision: half of its entries, and n of them in each of the update's.
void follow_in_digits(MatrixView<float> P, double alpha, MatrixView<const float> left,
                      std::span<const double> r, MatrixView<const float> right,
                      Workspace& workspace) {
  const Index n = left.columns;
  const std::size_t digits = digit_update_bytes(left.rows, n, n);
  auto* buffer = workspace.get<std::byte>(digits + static_cast<std::size_t>(n * n) * sizeof(float));
  const MatrixView<float> gram(reinterpret_cast<float*>(buffer + digits), n, n);
  const std::vector<double> ones(static_cast<std::size_t>(n), 1.0);
  scaled_gram<float>(right, ones, gram);
  rank_update_in_digits(P, alpha, left, r, gram, strip_kernel(), buffer);
}

template <class Real>
void scale_columns(double alpha, MatrixView<const Real> from, std::span<const double> r,
                   MatrixView<Real> to) {
#pragma omp parallel for schedule(static)
  for (Index j = 0; j < from.columns; ++j) {
    const auto factor = static_cast<Real>(alpha * r[static_cast<std::size_t>(j)]);
    const Real* in = from.column(j);
    Real* out = to.column(j);
    for (Index i = 0; i < from.rows; ++i)
      out[i] = factor * in[i];
  }
}

/// ||(left diag r) right'||_F^2 = sum over i, j of (r_i (left'left)_ij) (r_j (right'right)_ji),
/// from Grams in double: where r is along their small eigenvalues, as training leaves it, the sum
/// is much smaller than its terms.
template <class Real>
double product_norm(MatrixView<const Real> left, std::span<const double> r,
                    MatrixView<const Real> right, Workspace& workspace) {
  const Index n = left.columns;
  const Index rows = std::max(left.rows, right.rows);
  double* buffer = workspace.get<double>(static_cast<std::size_t>((2 * n + rows) * n));
  const auto gram_of = [&](MatrixView<const Real> M, double* gram) {
    const MatrixView<double> copy(buffer + 2 * n * n, M.rows, n);
#pragma omp parallel for schedule(static)
    for (Index j = 0; j < n; ++j)
      for (Index i = 0; i < M.rows; ++i)
        copy(i, j) = static_cast<double>(M(i, j));
    scaled_gram<double>(copy, r, {gram, n, n});
    return MatrixView<double>(gram, n, n);
  };
  const MatrixView<double> L = gram_of(left, buffer);
  const MatrixView<double> R = gram_of(right, buffer + n * n);
  double sum = 0.0;
  for (Index j = 0; j < n; ++j)
    for (Index i = 0; i < n; ++i)
      sum += L(i, j) * R(j, i);
  return std::max(sum, 0.0);  // a NaN stays one
}

template <class Real>
void absorb_as(MatrixView<Real> to, MatrixView<Real> change) {
#pragma omp parallel for schedule(static)
  for (Index j = 0; j < to.columns; ++j) {
    Real* sums = to.column(j);
    Real* rests = change.column(j);
#pragma omp simd
    for (Index i = 0; i < to.rows; ++i)
      widedeq::absorb(sums[i], rests[i]);
  }
}

}  // namespace

bool goes_by_digits(Precision precision, const ConstBlock& left, Index b) {
  return strip_kernel().is_worth_digits && wants_digits(precision, left, b);
}

void follow_rank_update(Block P, double alpha, ConstBlock left, std::span<const double> r,
                        ConstBlock right, Precision precision, Workspace& workspace) {
  expect_shape("follow_rank_update", "P", P, left.rows, left.columns);
  expect_shape("follow_rank_update", "right", right, right.rows, left.columns);
  expect_entries("follow_rank_update", r, left);
  if (P.element == Element::float64)
    return follow_as(P.as<double>(), alpha, left.as<const double>(), r, right.as<const double>(),
                     workspace);
  if (goes_by_digits(precision, left, left.columns))
    return follow_in_digits(P.as<float>(), alpha, left.as<const float>(), r,
                            right.as<const float>(), workspace);
  follow_as(P.as<float>(), alpha, left.as<const float>(), r, right.as<const float>(), workspace);
}

double rank_update(Block C, double alpha, ConstBlock left, std::span<const double> r,
                   ConstBlock right, Precision precision, Workspace& workspace) {
  expect_shape("rank_update", "C", C, left.rows, right.rows);
  expect_shape("rank_update", "right", right, C.columns, left.columns);
  expect_entries("rank_update", r, left);
  if (C.element == Element::float64)
    return rank_update_as(C.as<double>(), alpha, left.as<const double>(), r,
                          right.as<const double>(), workspace);
  if (goes_by_digits(precision, left, right.rows))
    return rank_update_in_digits(
        C.as<float>(), alpha, left.as<const float>(), r, right.as<const float>(), strip_kernel(),
        workspace.get<std::byte>(digit_update_bytes(left.rows, right.rows, left.columns)));
  return rank_update_as(C.as<float>(), alpha, left.as<const float>(), r, right.as<const float>(),
                        workspace);
}

double copy_factors(double alpha, ConstBlock left, std::span<const double> r, ConstBlock right,
                    Block left_factor, Block right_factor, Workspace& workspace) {
  expect_shape("copy_factors", "left factor", left_factor, left.rows, left.columns);
  expect_shape("copy_factors", "right factor", right_factor, right.rows, left.columns);
  expect_shape("copy_factors", "right", right, right.rows, left.columns);
  expect_entries("copy_factors", r, left);
  if (right.element != left.element) throw_wrong_element(right.element, left.element);
  if (left_factor.element != left.element) throw_wrong_element(left_factor.element, left.element);
  copy(right, right_factor);
  if (left.element == Element::float64) {
    scale_columns(alpha, left.as<const double>(), r, left_factor.as<double>());
    return product_norm(left.as<const double>(), r, right.as<const double>(), workspace);
  }
  scale_columns(alpha, left.as<const float>(), r, left_factor.as<float>());
  return product_norm(left.as<const float>(), r, right.as<const float>(), workspace);
}

double add_scaled(Block C, double alpha, ConstBlock G) {
  expect_shape("add_scaled", "G", G, C.rows, C.columns);
  if (C.element == Element::float64)
    return add_columns(C.as<double>(), alpha, G.as<const double>());
  return add_columns(C.as<float>(), alpha, G.as<const float>());
}

void absorb(Block to, Block change) {
  expect_shape("absorb", "the change", change, to.rows, to.columns);
  if (to.element == Element::float64) return absorb_as(to.as<double>(), change.as<double>());
  absorb_as(to.as<float>(), change.as<float>());
}

}  // namespace widedeq::cpu
