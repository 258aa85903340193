// P = c + s op(A) Zhat from the masters in double, whatever the precision: it shares neither digits
// nor products with the sweeps, so it can judge them.
//
// A panel of rows of op(A) at a time is converted to double and multiplied by cuBLAS; the sum is
// rounded once. Columns of Zhat go in groups. Panels and groups are as large as `most_bytes` of
// memory in double allow: fewer and larger products, whatever m and n are.
#include "kernels/cuda/rebuild.hpp"

#include <algorithm>

#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/multiply.hpp"
#include "kernels/cuda/operand.hpp"
#include "kernels/cuda/transfer.hpp"
#include "kernels/stage_checks.hpp"

namespace widedeq::cuda {
namespace {

/// Of a panel, and of a group of columns. (Not measured. A product with panels of a thousand rows
/// and more is expected to run at the library's full speed, and at m = 32768 they are that high.)
constexpr Index most_bytes = Index{256} << 20;

/// How many vectors of `length` doubles make such a piece: all `wanted` or a multiple of 64, where
/// there is room for so many.
Index fitting(Index length, Index wanted) {
  constexpr Index most = most_bytes / static_cast<Index>(sizeof(double));
  const Index room = std::max<Index>(most / std::max<Index>(length, 1), 1);
  if (room >= wanted) return std::max<Index>(wanted, 1);
  return room >= 64 ? room / 64 * 64 : room;
}

/// to = from, in double
template <class Real, int width>
__global__ void __launch_bounds__(block_threads)
    convert_kernel(MatrixView<const Real> from, MatrixView<double> to) {
  const Index j = blockIdx.x;
  for_rows<width>(from.rows, [&](Index i, auto rows) {
    const auto entries = load<rows.value>(from.column(j) + i);
    Pack<double, rows.value> values;
    for (int k = 0; k < rows.value; ++k)
      values[k] = static_cast<double>(entries[k]);
    store<rows.value>(to.column(j) + i, values);
  });
}

/// P = c + sum, rounded once
template <class Real, int width>
__global__ void __launch_bounds__(block_threads)
    finish_kernel(MatrixView<const Real> c, MatrixView<const double> sum, MatrixView<Real> P) {
  const Index j = blockIdx.x;
  for_rows<width>(P.rows, [&](Index i, auto rows) {
    const auto start = load<rows.value>(c.column(j) + i);
    const auto added = load<rows.value>(sum.column(j) + i);
    Pack<Real, rows.value> entries;
    for (int k = 0; k < rows.value; ++k)
      entries[k] = static_cast<Real>(static_cast<double>(start[k]) + added[k]);
    store<rows.value>(P.column(j) + i, entries);
  });
}

constexpr int row_width = pack_width<double>;

template <class Real>
void convert(Context& context, MatrixView<const Real> from, MatrixView<double> to) {
  const auto kernel =
      can_pack(row_width, from, to) ? convert_kernel<Real, row_width> : convert_kernel<Real, 1>;
  launch(context, grid_of_columns(from.columns), kernel, from, to);
}

template <class T>
MatrixView<T> rows_of(MatrixView<T> matrix, Index first, Index count) {
  return {matrix.data + first, count, matrix.columns, matrix.stride};
}

/// A product's views and buffers. Columns of buffers begin on 16-byte boundaries, and a panel holds
/// as many doubles whichever way it lies.
template <class Real>
class Rebuilding {
 public:
  Rebuilding(Context& context, const Sweep& sweep, const WeightView& A, Index n)
      : context_(context),
        sweep_(sweep),
        A_(A),
        m_(A.width()),
        padded_(padded_rows(m_, sizeof(double))),
        panel_rows_(fitting(padded_, m_)),
        group_(fitting(padded_, n)) {
    const Index rows = padded_rows(panel_rows_, sizeof(double));
    panel_ = reals(Scratch::product, padded_ * rows);
    z_ = reals(Scratch::reals, padded_ * group_);
    sums_ = reals(Scratch::second_product, rows * group_);
    inner_ = reals(Scratch::digits, padded_rows(factors(), sizeof(double)) * group_);
  }

  Index group() const { return group_; }

  /// P = c + s op(A) applied, in a group of columns
  void run(MatrixView<const Real> applied, MatrixView<const Real> c, MatrixView<Real> P) {
    const MatrixView<double> z(z_, m_, applied.columns, padded_);
    convert(context_, applied, z);
    multiply_right_factor(z);
    for (Index row = 0; row < m_; row += panel_rows_) {
      const Index count = std::min(panel_rows_, m_ - row);
      const MatrixView<double> sum(sums_, count, z.columns, padded_rows(count, sizeof(double)));
      multiply_panel(row, z, sum);
      add_factors(row, sum);
      finish(rows_of(c, row, count), sum, rows_of(P, row, count));
    }
  }

 private:
  double* reals(Scratch slot, Index count) {
    return context_.scratch<double>(slot, static_cast<std::size_t>(count));
  }
  bool turned() const { return sweep_.transpose == Transpose::yes; }
  Index factors() const { return A_.left.columns; }
  MatrixView<const Real> left() const {
    return (turned() ? A_.right : A_.left).template as<const Real>();
  }
  MatrixView<const Real> right() const {
    return (turned() ? A_.left : A_.right).template as<const Real>();
  }
  MatrixView<double> inner(Index columns) const {
    return {inner_, factors(), columns, padded_rows(factors(), sizeof(double))};
  }

  /// sum = s op(A) z, rows `row` and on of op(A)
  void multiply_panel(Index row, MatrixView<const double> z, MatrixView<double> sum) {
    const Index count = sum.rows;
    // Rows of A' are columns of A.
    const auto part = turned() ? MatrixView<double>(panel_, m_, count, padded_)
                               : MatrixView<double>(panel_, count, m_, sum.stride);
    write_out(context_, A_, turned() ? 0 : row, turned() ? row : 0, part);
    gemm<double>(context_, sweep_.transpose, Transpose::no, sweep_.s, part, z, 0.0, sum);
  }

  /// inner = right' z, as many factors at a time as the panel has room for
  void multiply_right_factor(MatrixView<const double> z) {
    for (Index first = 0; first < factors(); first += panel_rows_) {
      const Index count = std::min(panel_rows_, factors() - first);
      const MatrixView<double> part(panel_, m_, count, padded_);
      convert<Real>(context_, right().middle_columns(first, count), part);
      gemm<double>(context_, Transpose::yes, Transpose::no, 1.0, part, z, 0.0,
                   rows_of(inner(z.columns), first, count));
    }
  }

  /// sum += s left inner, rows `row` and on of left
  void add_factors(Index row, MatrixView<double> sum) {
    for (Index first = 0; first < factors(); first += m_) {
      const Index count = std::min(m_, factors() - first);
      const MatrixView<double> part(panel_, sum.rows, count, sum.stride);
      convert<Real>(context_, rows_of(left().middle_columns(first, count), row, sum.rows), part);
      gemm<double>(context_, Transpose::no, Transpose::no, sweep_.s, part,
                   rows_of(inner(sum.columns), first, count), 1.0, sum);
    }
  }

  void finish(MatrixView<const Real> c, MatrixView<const double> sum, MatrixView<Real> P) {
    const auto kernel = can_pack(row_width, c, P) && can_pack(row_width, sum)
                            ? finish_kernel<Real, row_width>
                            : finish_kernel<Real, 1>;
    launch(context_, grid_of_columns(P.columns), kernel, c, sum, P);
  }

  Context& context_;
  const Sweep& sweep_;
  const WeightView& A_;
  Index m_, padded_, panel_rows_, group_;
  double *panel_ = nullptr, *z_ = nullptr, *sums_ = nullptr, *inner_ = nullptr;
};

template <class Real>
void rebuild_as(Context& context, SweepState& state, const Sweep& sweep, const WeightView& A,
                ConstBlock c) {
  const Index n = state.count;
  const auto applied = state.applied.block().as<const Real>();
  const auto injection = c.as<const Real>();
  const auto P = state.P.block().as<Real>();
  Rebuilding<Real> rebuilding(context, sweep, A, n);
  for (Index first = 0; first < n; first += rebuilding.group()) {
    const Index count = std::min(rebuilding.group(), n - first);
    rebuilding.run(applied.middle_columns(first, count), injection.middle_columns(first, count),
                   P.middle_columns(first, count));
  }
}

}  // namespace

void rebuild(Context& context, SweepState& state, const Sweep& sweep, const WeightView& A,
             ConstBlock c) {
  check_weights("rebuild", A, state.P.rows());
  expect_shape("rebuild", "c", c, state.P.rows(), state.count);
  if (state.open_count != 0) throw ShapeError("rebuild: columns are still open");
  if (c.element != state.P.element()) throw_wrong_element(c.element, state.P.element());
  if (!state.settled.empty())
    copy(context, state.applied.columns(0, state.count), state.settled.columns(0, state.count));
  if (c.element == Element::float64)
    rebuild_as<double>(context, state, sweep, A, c);
  else
    rebuild_as<float>(context, state, sweep, A, c);
}

}  // namespace widedeq::cuda
