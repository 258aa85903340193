// Gram matrices in float64, from panels of rows converted on the fly.
//
//   H = s^2 (L'L) o (Z'Z) + (B'B) o (X'X)/m + Z'Z + Phi'Phi,   B = Dphi o (L + v 1')
//
// Every factor is a sum of outer products of rows, so each is positive semi-definite to float64
// rounding even where Z and L carry single-precision errors, and so is H (Schur's product theorem).
#include "kernels/cpu/gram.hpp"

#include <algorithm>

#include "kernels/cpu/blas.hpp"

namespace widedeq::cpu {
namespace {

constexpr Index panel = 256;  // rows converted at a time
constexpr Index block = 96;   // columns of a Gram that a thread multiplies at a time

/// gram += M'M where row_panel(first, count, out) writes rows first ... of M, count x n, in double.
/// Fills the lower triangle, and what the blocks on the diagonal have above it.
///
/// Every product is one thread's, as OpenBLAS makes it inside a parallel region: a Gram is made
/// beside the epochs, and two threads that have it multiply with teams of different sizes take its
/// buffers away from each other. (0.3.21, 4 threads, a Gram every epoch: losses off by 2e-3.)
template <class RowPanel>
void add_gram(HostMatrix& gram, Index rows, RowPanel row_panel) {
  const Index n = gram.columns;
  std::vector<double> buffer(static_cast<std::size_t>(std::min(panel, rows) * n));
  for (Index first = 0; first < rows; first += panel) {
    const Index count = std::min(panel, rows - first);
    const MatrixView<const double> rows_here(buffer.data(), count, n);
    row_panel(first, count, MatrixView<double>(buffer.data(), count, n));
#pragma omp parallel for schedule(dynamic)
    for (Index column = 0; column < n; column += block) {
      const Index width = std::min(block, n - column), below = n - column;
      gemm<double>(Transpose::yes, Transpose::no, 1.0, rows_here.middle_columns(column, below),
                   rows_here.middle_columns(column, width), 1.0,
                   {&gram(column, column), below, width, n});
    }
  }
}

/// Rows of a real matrix as they are.
template <class Real>
auto rows_of(MatrixView<const Real> M) {
  return [M](Index first, Index count, MatrixView<double> out) {
#pragma omp parallel for schedule(static)
    for (Index j = 0; j < M.columns; ++j)
      for (Index i = 0; i < count; ++i)
        out(i, j) = static_cast<double>(M(first + i, j));
  };
}

/// Rows of B = Dphi o (L + v 1').
template <class Real>
auto rows_of_B(const GramInput& input) {
  const auto L = input.L.as<const Real>();
  const auto Phi = input.Phi.as<const Real>();
  const Real* v = input.v.empty() ? nullptr : input.v.as<const Real>().data;
  const bool masked = input.injection == Injection::relu;
  return [=](Index first, Index count, MatrixView<double> out) {
#pragma omp parallel for schedule(static)
    for (Index j = 0; j < L.columns; ++j) {
      for (Index i = 0; i < count; ++i) {
        const Index row = first + i;
        const double sum =
            static_cast<double>(L(row, j)) + (v == nullptr ? 0.0 : static_cast<double>(v[row]));
        out(i, j) = masked && !(Phi(row, j) > Real(0)) ? 0.0 : sum;
      }
    }
  };
}

template <class Combine>
void combine_lower(HostMatrix& into, const HostMatrix& other, Combine combine) {
#pragma omp parallel for schedule(static)
  for (Index j = 0; j < into.columns; ++j)
    for (Index i = j; i < into.rows; ++i)
      into(i, j) = combine(into(i, j), other(i, j));
}

void mirror_lower(HostMatrix& matrix) {
  for (Index j = 0; j < matrix.columns; ++j)
    for (Index i = j + 1; i < matrix.rows; ++i)
      matrix(j, i) = matrix(i, j);
}

template <class Real>
void gram_as(const GramInput& input, Grams& out) {
  const Index m = input.Z.rows;
  const Index n = input.Z.columns;
  const double s = input.s;
  out = Grams();
  for (HostMatrix* matrix : {&out.features, &out.states, &out.adjoints})
    *matrix = HostMatrix(n, n);

  // H = s^2 (L'L) o (Z'Z) + Z'Z
  add_gram(out.adjoints, m, rows_of(input.L.as<const Real>()));
  add_gram(out.states, m, rows_of(input.Z.as<const Real>()));
  out.ntk = out.adjoints;
  combine_lower(out.ntk, out.states, [s](double ll, double zz) { return s * s * ll * zz + zz; });

  // H += (B'B) o (X'X) / m
  HostMatrix BtB(n, n);
  add_gram(BtB, m, rows_of_B<Real>(input));
  add_gram(out.features, input.X.rows, rows_of(input.X.as<const Real>()));
  combine_lower(BtB, out.features, [m](double bb, double xx) { return bb * xx / double(m); });
  combine_lower(out.ntk, BtB, [](double h, double bx) { return h + bx; });

  // G = Phi'Phi, and H += G with the skip
  std::ranges::fill(out.features.values, 0.0);
  add_gram(out.features, m, rows_of(input.Phi.as<const Real>()));
  if (!input.v.empty())
    combine_lower(out.ntk, out.features, [](double h, double g) { return h + g; });

  for (HostMatrix* matrix : {&out.ntk, &out.features, &out.states, &out.adjoints})
    mirror_lower(*matrix);
}

}  // namespace

void gram(const GramInput& input, Grams& out) {
  const Index m = input.Z.rows;
  const Index n = input.Z.columns;
  expect_shape("gram", "L", input.L, m, n);
  expect_shape("gram", "Phi", input.Phi, m, n);
  expect_shape("gram", "X", input.X, input.X.rows, n);
  if (!input.v.empty()) expect_shape("gram", "v", input.v, m, 1);
  if (input.Z.element == Element::float64) {
    gram_as<double>(input, out);
  } else {
    gram_as<float>(input, out);
  }
}

}  // namespace widedeq::cpu
