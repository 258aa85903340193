// M'M in double of a real matrix M, from panels of its rows converted on the fly: what a Gram in
// double costs in memory is a panel, not a copy of M.
#pragma once

#include <algorithm>

#include "kernels/cuda/blas.hpp"
#include "kernels/cuda/columns.cuh"

namespace widedeq::cuda {

/// Memory of a panel. Few panels: the library likes long inner dimensions. (Expected of 128 MiB:
/// one panel for up to 16384 rows of 1000 columns. Not measured on a GPU yet.)
inline constexpr Index gram_panel_bytes = Index{128} << 20;

/// Rows of n columns that a panel holds: a multiple of 32, or all of them.
constexpr Index gram_panel_rows(Index rows, Index n) {
  const Index fitting = gram_panel_bytes / (std::max<Index>(n, 1) * Index{sizeof(double)});
  return std::min(rows, std::max<Index>(fitting / 32 * 32, 32));
}

/// The lower triangle of gram += M'M, where row_panel(first, out) enqueues the writing of rows
/// first, first + 1, ... of M to `out`. Uses Scratch::reals.
template <class RowPanel>
void add_gram(Context& context, MatrixView<double> gram, Index rows, RowPanel row_panel) {
  const Index n = gram.columns;
  if (rows == 0 || n == 0) return;
  const Index most = gram_panel_rows(rows, n);
  auto* buffer = context.scratch<double>(Scratch::reals, static_cast<std::size_t>(most * n));
  for (Index first = 0; first < rows; first += most) {
    const MatrixView<double> panel(buffer, std::min(most, rows - first), n);
    row_panel(first, panel);
    add_symmetric_product(context, panel, gram);
  }
}

/// out(i, j) = M(first + i, j)
template <class Real>
__global__ void convert_rows_kernel(MatrixView<const Real> M, Index first, MatrixView<double> out) {
  const Real* from = M.column(blockIdx.x) + first;
  double* to = out.column(blockIdx.x);
  for_rows<1>(out.rows, [&](Index i, auto) { to[i] = static_cast<double>(from[i]); });
}

/// The lower triangle of gram += M'M. Rows that are doubles already are used where they are.
template <class Real>
void add_gram(Context& context, MatrixView<double> gram, MatrixView<const Real> M) {
  if constexpr (std::is_same_v<Real, double>) {
    add_symmetric_product(context, M, gram);
  } else {
    add_gram(context, gram, M.rows, [&](Index first, MatrixView<double> out) {
      launch(context, grid_of_columns(out.columns), convert_rows_kernel<Real>, M, first, out);
    });
  }
}

}  // namespace widedeq::cuda
