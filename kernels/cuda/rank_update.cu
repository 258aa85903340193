// The gradient's rank-n products, applied panel by panel; see rank_update.hpp.
//
//   G = (left diag r) right'     C += alpha G     returns ||G||_F^2
//
// G must be there before it is added, for its norm. Up to 256 MiB of its columns exist at a time:
// enough for the product to be a large one, and never a second m x m matrix. r scales the narrow
// side, the panel's rows of `right`. Large matrices in mixed go by digits (digit_update.cu).
//
// What such an update does to a product A right, in O(m n^2) instead of O(m^2 n):
//
//   P += alpha (left diag r) (right' right)
#include "kernels/cuda/rank_update.hpp"

#include <algorithm>
#include <functional>
#include <type_traits>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/digit_update.hpp"
#include "kernels/cuda/double_gram.cuh"
#include "kernels/cuda/multiply.hpp"
#include "kernels/cuda/transfer.hpp"
#include "kernels/cuda/vectors.hpp"
#include "kernels/digit_update.hpp"
#include "kernels/stage_checks.hpp"

namespace widedeq::cuda {
namespace {

constexpr Index panel_bytes = Index{256} << 20;

/// Columns of G that a panel holds: a multiple of 128, or all of them.
template <class Real>
Index panel_columns(Index rows, Index columns) {
  const Index fitting = panel_bytes / (std::max<Index>(rows, 1) * Index{sizeof(Real)});
  return std::min(columns, std::max<Index>(fitting / 128 * 128, 128));
}

/// C += alpha G; squares[j] = ||G_j||^2.
template <class Real, int width>
__global__ void add_kernel(MatrixView<Real> C, Real alpha, MatrixView<const Real> G,
                           double* squares) {
  Real* to = C.column(blockIdx.x);
  const Real* from = G.column(blockIdx.x);
  double mine = 0.0;
  for_rows<width>(C.rows, [&](Index i, auto rows) {
    auto sums = load<rows.value>(to + i);
    const auto terms = load<rows.value>(from + i);
    for (int k = 0; k < rows.value; ++k) {
      sums[k] += alpha * terms[k];
      mine += static_cast<double>(terms[k]) * static_cast<double>(terms[k]);
    }
    store<rows.value>(to + i, sums);
  });
  const double sum = block_reduce<block_threads>(mine, std::plus<double>());
  if (threadIdx.x == 0) squares[blockIdx.x] = sum;
}

template <class Real>
void add_columns(Context& context, MatrixView<Real> C, double alpha, MatrixView<const Real> G,
                 double* squares) {
  constexpr int width = pack_width<Real>;
  launch(context, grid_of_columns(C.columns),
         can_pack(width, C, G) ? add_kernel<Real, width> : add_kernel<Real, 1>, C,
         static_cast<Real>(alpha), G, squares);
}

/// to_j = (alpha r_j) from_j
template <class Real, int width>
__global__ void scale_kernel(double alpha, MatrixView<const Real> from, const double* r,
                             MatrixView<Real> to) {
  const Index j = blockIdx.x;
  const auto factor = static_cast<Real>(alpha * r[j]);
  for_rows<width>(from.rows, [&](Index i, auto rows) {
    auto entries = load<rows.value>(from.column(j) + i);
    for (int k = 0; k < rows.value; ++k)
      entries[k] *= factor;
    store<rows.value>(to.column(j) + i, entries);
  });
}

template <class Real>
void scale_columns(Context& context, double alpha, MatrixView<const Real> from, const double* r,
                   MatrixView<Real> to) {
  constexpr int width = pack_width<Real>;
  launch(context, grid_of_columns(from.columns),
         can_pack(width, from, to) ? scale_kernel<Real, width> : scale_kernel<Real, 1>, alpha, from,
         r, to);
}

/// r in device memory, with room behind it for so many sums.
double* send_with_room(Context& context, std::span<const double> r, Index room) {
  auto* r_there = context.scratch<double>(Scratch::sums, r.size() + static_cast<std::size_t>(room));
  send(context, r, r_there);
  return r_there;
}

template <class Real>
double rank_update_as(Context& context, MatrixView<Real> C, double alpha,
                      MatrixView<const Real> left, std::span<const double> r,
                      MatrixView<const Real> right) {
  const Index n = left.columns;
  double* r_there = send_with_room(context, r, C.columns);
  double* squares = r_there + n;
  const Index widest = panel_columns<Real>(C.rows, C.columns);
  const Index scaled_stride = padded_rows(widest, sizeof(Real));
  const Index G_stride = padded_rows(C.rows, sizeof(Real));
  auto* buffer = context.scratch<Real>(
      Scratch::reals, static_cast<std::size_t>(scaled_stride * n + G_stride * widest));
  for (Index first = 0; first < C.columns; first += widest) {
    const Index count = std::min(widest, C.columns - first);
    const MatrixView<const Real> rows(right.data + first, count, n, right.stride);
    const MatrixView<Real> scaled(buffer, count, n, scaled_stride);
    const MatrixView<Real> G(buffer + scaled_stride * n, C.rows, count, G_stride);
    scale_columns(context, 1.0, rows, r_there, scaled);
    // G = left (diag r right')
    gemm<Real>(context, Transpose::no, Transpose::yes, Real(1), left, scaled, Real(0), G);
    add_columns<Real>(context, C.middle_columns(first, count), alpha, G, squares + first);
  }
  return fetch_sum(context, squares, C.columns);
}

double update_in_digits(Context& context, MatrixView<float> C, double alpha,
                        MatrixView<const float> left, std::span<const double> r,
                        MatrixView<const float> right) {
  double* r_there = send_with_room(context, r, C.columns);
  double* squares = r_there + left.columns;
  rank_update_in_digits(context, C, alpha, left, r_there, right, squares);
  return fetch_sum(context, squares, C.columns);
}

/// M(i, j) = r_i M(i, j)
template <class Real>
__global__ void scale_rows_kernel(MatrixView<Real> M, const double* r) {
  const Index j = blockIdx.x;
  for_rows<1>(M.rows, [&](Index i, auto) { M(i, j) *= static_cast<Real>(r[i]); });
}

/// What a change of P is made of, on the device.
template <class Real>
struct Following {
  MatrixView<Real> gram;  // for right' right, n x n, not made yet
  double* r = nullptr;    // n
};

template <class Real>
Following<Real> start_following(Context& context, std::span<const double> r,
                                MatrixView<const Real> right) {
  const Index n = right.columns;
  const Index stride = padded_rows(n, sizeof(Real));
  const MatrixView<Real> gram(
      context.scratch<Real>(Scratch::reals, static_cast<std::size_t>(stride * n)), n, n, stride);
  double* r_there = send_with_room(context, r, 0);
  context.synchronize();  // for the pinned memory; all that is heavy comes afterwards
  return {gram, r_there};
}

/// gram = right' right, the whole of it: the library's kernels for a triangle take longer (on an
/// H200 0.88 ms instead of 0.68 at 16384 x 1024).
template <class Real>
void make_gram(Context& context, MatrixView<const Real> right, MatrixView<Real> gram) {
  gemm<Real>(context, Transpose::yes, Transpose::no, Real(1), right, right, Real(0), gram);
}

template <class Real>
void follow_as(Context& context, MatrixView<Real> P, double alpha, MatrixView<const Real> left,
               std::span<const double> r, MatrixView<const Real> right) {
  if (P.empty()) return;
  const auto [gram, r_there] = start_following(context, r, right);
  make_gram(context, right, gram);
  launch(context, grid_of_columns(gram.columns), scale_rows_kernel<Real>, gram, r_there);
  // P += alpha left (diag r (right' right))
  gemm<Real>(context, Transpose::no, Transpose::no, static_cast<Real>(alpha), left, gram, Real(1),
             P);
}

void follow_in_digits(Context& context, MatrixView<float> P, double alpha,
                      MatrixView<const float> left, std::span<const double> r,
                      MatrixView<const float> right) {
  if (P.empty()) return;
  const auto [gram, r_there] = start_following(context, r, right);
  if (suits_symmetric_product(right.rows, right.columns)) {
    symmetric_product_in_digits(context, right, gram);
  } else {
    make_gram(context, right, gram);
  }
  // P += alpha (left diag r) gram', whose norm nobody asks for
  rank_update_in_digits(context, P, alpha, left, r_there, gram, nullptr);
}

/// sums[j] = the terms of sum_ij (r_i L_ij) (r_j R_ij) in column j's lower triangle and their
/// mirror images, L and R symmetric.
__global__ void product_norm_kernel(MatrixView<const double> L, MatrixView<const double> R,
                                    const double* r, double* sums) {
  const Index j = blockIdx.x;
  double mine = 0.0;
  for_rows<1>(L.rows - j, [&](Index k, auto) {
    const Index i = j + k;
    const double term = (r[i] * L(i, j)) * (r[j] * R(i, j));
    mine += k == 0 ? term : 2.0 * term;
  });
  const double sum = block_reduce<block_threads>(mine, std::plus<double>());
  if (threadIdx.x == 0) sums[j] = sum;
}

/// left_factor = alpha left diag r; returns
/// ||(left diag r) right'||_F^2 = sum over i, j of (r_i (left'left)_ij) (r_j (right'right)_ji),
/// from Grams in double: where r is along their small eigenvalues, as training leaves it, the sum
/// is much smaller than its terms.
template <class Real>
double copy_factors_as(Context& context, double alpha, MatrixView<const Real> left,
                       std::span<const double> r, MatrixView<const Real> right,
                       MatrixView<Real> left_factor) {
  const Index n = left.columns;
  double* r_there = send_with_room(context, r, n);
  double* sums = r_there + n;
  auto* grams = context.scratch<double>(Scratch::product, static_cast<std::size_t>(2 * n * n));
  scale_columns(context, alpha, left, r_there, left_factor);

  clear(context, MatrixView<double>(grams, n, 2 * n));
  const MatrixView<double> L(grams, n, n), R(grams + n * n, n, n);
  add_gram(context, L, left);
  add_gram(context, R, right);
  launch(context, grid_of_columns(n), product_norm_kernel, L, R, r_there, sums);
  return std::max(fetch_sum(context, sums, n), 0.0);  // a NaN stays one
}

/// absorb(to, change), entry by entry
template <class Real, int width>
__global__ void __launch_bounds__(block_threads)
    absorb_kernel(MatrixView<Real> to, MatrixView<Real> change) {
  Real* sums = to.column(blockIdx.x);
  Real* rests = change.column(blockIdx.x);
  for_rows<width>(to.rows, [&](Index i, auto rows) {
    auto sum = load<rows.value>(sums + i);
    auto rest = load<rows.value>(rests + i);
    for (int k = 0; k < rows.value; ++k)
      widedeq::absorb(sum[k], rest[k]);
    store<rows.value>(sums + i, sum);
    store<rows.value>(rests + i, rest);
  });
}

template <class Real>
void absorb_as(Context& context, MatrixView<Real> to, MatrixView<Real> change) {
  constexpr int width = pack_width<Real>;
  launch(context, grid_of_columns(to.columns),
         can_pack(width, to, change) ? absorb_kernel<Real, width> : absorb_kernel<Real, 1>, to,
         change);
}

template <class Real>
double add_scaled_as(Context& context, MatrixView<Real> C, double alpha, MatrixView<const Real> G) {
  auto* squares = context.scratch<double>(Scratch::sums, static_cast<std::size_t>(C.columns));
  add_columns(context, C, alpha, G, squares);
  return fetch_sum(context, squares, C.columns);
}

}  // namespace

void follow_rank_update(Context& context, Block P, double alpha, ConstBlock left,
                        std::span<const double> r, ConstBlock right, Precision precision) {
  expect_shape("follow_rank_update", "P", P, left.rows, left.columns);
  expect_shape("follow_rank_update", "right", right, right.rows, left.columns);
  expect_entries("follow_rank_update", r, left);
  if (P.element == Element::float64)
    return follow_as(context, P.as<double>(), alpha, left.as<const double>(), r,
                     right.as<const double>());
  const auto follow =
      wants_digits(precision, left, left.columns) ? follow_in_digits : follow_as<float>;
  follow(context, P.as<float>(), alpha, left.as<const float>(), r, right.as<const float>());
}

double rank_update(Context& context, Block C, double alpha, ConstBlock left,
                   std::span<const double> r, ConstBlock right, Precision precision) {
  expect_shape("rank_update", "C", C, left.rows, right.rows);
  expect_shape("rank_update", "right", right, C.columns, left.columns);
  expect_entries("rank_update", r, left);
  if (C.element == Element::float64)
    return rank_update_as(context, C.as<double>(), alpha, left.as<const double>(), r,
                          right.as<const double>());
  const auto update =
      wants_digits(precision, left, right.rows) ? update_in_digits : rank_update_as<float>;
  return update(context, C.as<float>(), alpha, left.as<const float>(), r, right.as<const float>());
}

double copy_factors(Context& context, double alpha, ConstBlock left, std::span<const double> r,
                    ConstBlock right, Block left_factor, Block right_factor) {
  expect_shape("copy_factors", "left factor", left_factor, left.rows, left.columns);
  expect_shape("copy_factors", "right factor", right_factor, right.rows, left.columns);
  expect_shape("copy_factors", "right", right, right.rows, left.columns);
  expect_entries("copy_factors", r, left);
  if (right.element != left.element) throw_wrong_element(right.element, left.element);
  if (left_factor.element != left.element) throw_wrong_element(left_factor.element, left.element);
  copy(context, right, right_factor);
  if (left.element == Element::float64)
    return copy_factors_as(context, alpha, left.as<const double>(), r, right.as<const double>(),
                           left_factor.as<double>());
  return copy_factors_as(context, alpha, left.as<const float>(), r, right.as<const float>(),
                         left_factor.as<float>());
}

double add_scaled(Context& context, Block C, double alpha, ConstBlock G) {
  expect_shape("add_scaled", "G", G, C.rows, C.columns);
  if (C.element == Element::float64)
    return add_scaled_as(context, C.as<double>(), alpha, G.as<const double>());
  return add_scaled_as(context, C.as<float>(), alpha, G.as<const float>());
}

void absorb(Context& context, Block to, Block change) {
  expect_shape("absorb", "the change", change, to.rows, to.columns);
  if (to.element == Element::float64)
    return absorb_as(context, to.as<double>(), change.as<double>());
  absorb_as(context, to.as<float>(), change.as<float>());
}

}  // namespace widedeq::cuda
