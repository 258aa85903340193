// The products of Gauss-Seidel sweeps: what a panel of rows takes from increments, the newer ones
// of the panels above and the older ones of itself and the panels below.
//
// Each kind of operand has its way of going through the rows:
//
//   run(q, columns, reach, column)
//
// calls column.finish(k, first, count, newer, older) for every open column k and every panel of it,
// rows ascending, after the increments made above have become part of q; on several threads at
// once, but one column on one thread at a time. A null product is none. column.makes(k) says
// whether the column makes increments in this sweep, for a product with nothing can be left out;
// column.prefetch(k, first) is told which rows will soon be finished.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/cpu/blas.hpp"
#include "kernels/cpu/operand.hpp"
#include "kernels/cpu/strips.hpp"
#include "kernels/cpu/workspace.hpp"
#include "kernels/panels.hpp"

namespace widedeq::cpu {

/// Which increments there are to multiply.
struct Reach {
  bool newer = false, older = false;
};

/// fp64, fp32: a few large panels, each one product by the library. Increments have no scales, so
/// newer and older ones are one product.
template <class Real>
struct DensePanels {
  using Product = Real;
  const DenseOperand<Real>& A;
  Transpose transpose;
  Workspace& workspace;
  double unit;  // of a product, in P

  /// The entries of A left of the panels' own blocks: what newer increments are multiplied with.
  double entries_below() const {
    Index entries = 0;
    for (int p = 0; p < A.panels; ++p) {
      const Index first = panel_start(A.width, A.panels, p);
      entries += first * (panel_start(A.width, A.panels, p + 1) - first);
    }
    return static_cast<double>(entries);
  }

  template <class Column>
  void run(MatrixView<const Real> q, Index columns, Reach reach, const Column& column) const {
    for (int p = 0; p < A.panels; ++p) {
      const Index first = panel_start(A.width, A.panels, p);
      const Index count = panel_start(A.width, A.panels, p + 1) - first;
      const Real* product = multiply(q, columns, first, count, reach);
#pragma omp parallel for schedule(static)
      for (Index k = 0; k < columns; ++k)
        column.finish(k, first, count, product == nullptr ? nullptr : product + k * count,
                      static_cast<const Real*>(nullptr));
    }
  }

 private:
  const Real* multiply(MatrixView<const Real> q, Index columns, Index first, Index count,
                       Reach reach) const {
    const Index from = reach.newer ? 0 : first;
    const Index to = reach.older ? A.width : first;
    if (from == to) return nullptr;
    Real* product = workspace.get<Real>(static_cast<std::size_t>(count * columns));
    const MatrixView<const Real> whole = A.view();
    const bool transposed = transpose == Transpose::yes;
    const MatrixView<const Real> part(transposed ? &whole(from, first) : &whole(first, from),
                                      transposed ? to - from : count,
                                      transposed ? count : to - from, A.width);
    gemm<Real>(transpose, Transpose::no, Real(1), part,
               MatrixView<const Real>(q.data + from, to - from, columns, q.stride), Real(0),
               MatrixView<Real>(product, count, columns));
    return product;
  }
};

/// mixed: every strip of 64 rows is a panel. Threads share out the columns, and a tile of the
/// product goes from registers into P while it is in the first-level cache; the m x n product never
/// exists. Expected against a library product and a pass: a tenth less time at m = 4096, and
/// fewer sweeps, since panels are small. Measured (2-core Zen 4, 4096 x 1000, gamma 0.5): all that
/// is not the product takes a tenth of it, where it took a fifth; the product itself an eighth less
/// time than the library's; a cold solve 12 sweeps instead of 16.
struct StripPanels {
  using Product = std::int32_t;
  const PackedStrips& A;
  double unit;

  double entries_below() const {
    Index entries = 0;
    for (Index first = 0; first < A.width(); first += strip_rows)
      entries += first * std::min(strip_rows, A.width() - first);
    return static_cast<double>(entries);
  }

  template <class Column>
  void run(MatrixView<const std::int8_t> q, Index columns, Reach reach,
           const Column& column) const {
    const StripKernel& kernel = strip_kernel();
    const Index m = A.width();
    // The surplus (strip_kernel.hpp) of the increments above the strip, and of the others.
    std::vector<std::uint32_t> above(static_cast<std::size_t>(columns)), below(above);
#pragma omp parallel
    {
      const ColumnShare mine(columns);
      for (Index k = mine.first; reach.older && k < mine.last; ++k)
        below[static_cast<std::size_t>(k)] = surplus_of(q.column(k), m);
      alignas(64) std::int32_t newer[most_strip_columns * strip_rows];
      alignas(64) std::int32_t older[most_strip_columns * strip_rows];
      std::int32_t start[most_strip_columns];
      // At the end of a column a kernel may read a few bytes of the next one, another thread's
      // even. They are multiplied by zero.
      const auto multiply = [&](Index s, Index from, Index to, Index k, Index group,
                                const std::vector<std::uint32_t>& surplus, std::int32_t* sums) {
        for (Index c = 0; c < group; ++c)
          start[c] = without(surplus[static_cast<std::size_t>(k + c)]);
        kernel.multiply(A.strip(s), from, to, q.column(k), q.stride, group, start, sums);
      };
      for (Index s = 0; s < A.strips(); ++s) {
        const Index first = s * strip_rows;
        const Index count = std::min(strip_rows, m - first);
        for (Index k = mine.first; k < mine.last; k += kernel.columns) {
          const Index group = std::min(kernel.columns, mine.last - k);
          bool has_newer = false;
          for (Index c = 0; c < group; ++c) {
            has_newer = has_newer || column.makes(k + c);
            column.prefetch(k + c, first);
          }
          has_newer = has_newer && reach.newer && first > 0;
          if (has_newer) multiply(s, 0, first, k, group, above, newer);
          if (reach.older) multiply(s, first, m, k, group, below, older);
          for (Index c = 0; c < group; ++c) {
            const std::int8_t* rows = q.column(k + c) + first;
            const auto at = static_cast<std::size_t>(k + c);
            if (reach.older) below[at] -= surplus_of(rows, count);
            column.finish(k + c, first, count, has_newer ? newer + c * strip_rows : nullptr,
                          reach.older ? older + c * strip_rows : nullptr);
            if (reach.newer) above[at] += surplus_of(rows, count);
          }
        }
      }
    }
  }
};

}  // namespace widedeq::cpu
