// Making and refreshing operands; see operand.hpp.
//
// What is made of A is made entry by entry from its masters, a block of threads a column. Digits
// are wanted both ways round: M as it lies, and M' by tiles that are turned round in shared memory,
// so that both are read and written in pieces of neighbouring entries.
#include "kernels/cuda/operand.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/turned.cuh"
#include "kernels/element.hpp"
#include "kernels/stage_checks.hpp"

namespace widedeq::cuda {
namespace {

// ---- dense operands

/// out = step * base + change. Without a change its view is empty.
template <class Real, class Change, int width>
__global__ void __launch_bounds__(block_threads)
    write_out_kernel(MatrixView<const std::int8_t> base, Real step, MatrixView<const Change> change,
                     MatrixView<Real> out) {
  const Index j = blockIdx.x;
  for_rows<width>(out.rows, [&](Index i, auto rows) {
    const auto integers = load<rows.value>(base.column(j) + i);
    Pack<Real, rows.value> values;
    for (int k = 0; k < rows.value; ++k)
      values[k] = step * static_cast<Real>(integers[k]);
    if (change.data != nullptr) {
      const auto changes = load<rows.value>(change.column(j) + i);
      for (int k = 0; k < rows.value; ++k)
        values[k] += static_cast<Real>(changes[k]);
    }
    store<rows.value>(out.column(j) + i, values);
  });
}

template <class Change, class Real>
void write_out_as(Context& context, const WeightView& A, Index row, Index column,
                  MatrixView<Real> out) {
  const auto part = [&](const ConstBlock& whole) {
    return whole.middle_rows(row, out.rows).middle_columns(column, out.columns);
  };
  const auto base = part(A.base).template as<const std::int8_t>();
  const auto change =
      A.change.empty() ? MatrixView<const Change>() : part(A.change).template as<const Change>();
  // The narrowest that makes 16 bytes of either real type.
  constexpr int width = std::min(pack_width<Real>, pack_width<Change>);
  const auto kernel = can_pack(width, base, change, out) ? write_out_kernel<Real, Change, width>
                                                         : write_out_kernel<Real, Change, 1>;
  launch(context, grid_of_columns(out.columns), kernel, base, static_cast<Real>(A.step), change,
         out);
}

/// A = step * base + change
template <class Real>
void refresh_dense(Context& context, DenseOperand& operand, const WeightView& A) {
  const Index m = operand.width;
  if (operand.A.empty()) operand.A = context.allocate(element_of<Real>(), m, m);
  write_out<Real>(context, A, 0, 0, operand.A.block().as<Real>());
}

// ---- digits

/// Entries step * base - own_step * own + change of which `base` or `own` may be absent:
///   change alone     what A has beyond a base of its own precision
///   all three        what A has beyond the operand's own base
///   base and change  A itself
/// Steps are powers of two, so the bases' difference is exact; only the sum with `change` is
/// rounded.
struct Entries {
  MatrixView<const float> change;
  MatrixView<const std::int8_t> base, own;
  float step = 0.0F, own_step = 0.0F;

  template <int count>
  __device__ Pack<float, count> at(Index i, Index j) const {
    Pack<float, count> values{};
    if (base.data != nullptr) {
      const auto integers = load<count>(base.column(j) + i);
      for (int k = 0; k < count; ++k)
        values[k] = step * static_cast<float>(integers[k]);
    }
    if (own.data != nullptr) {
      const auto integers = load<count>(own.column(j) + i);
      for (int k = 0; k < count; ++k)
        values[k] -= own_step * static_cast<float>(integers[k]);
    }
    const auto changes = load<count>(change.column(j) + i);
    for (int k = 0; k < count; ++k)
      values[k] += changes[k];
    return values;
  }

  bool can_be_packed(int width) const { return can_pack(width, change, base, own); }
};

/// An int8 matrix as it is.
struct Integers {
  MatrixView<const std::int8_t> M;

  template <int count>
  __device__ Pack<std::int8_t, count> at(Index i, Index j) const {
    return load<count>(M.column(j) + i);
  }
  bool can_be_packed(int width) const { return can_pack(width, M); }
};

/// The digit number `position` of entries / unit.
struct Digit {
  Entries entries;
  float unit;
  int position;

  template <int count>
  __device__ Pack<std::int8_t, count> at(Index i, Index j) const {
    const float inverse = 1.0F / unit;
    const auto values = entries.at<count>(i, j);
    Pack<std::int8_t, count> digits;
    for (int k = 0; k < count; ++k)
      digits[k] = digit_of(values[k] * inverse, position);
    return digits;
  }
  bool can_be_packed(int width) const { return entries.can_be_packed(width); }
};

/// M one way round; the matrix is allocated where there is none yet.
template <class Source>
void make(Context& context, const Source& source, Index m, Transpose transpose, BothWays& ways) {
  const bool straight = transpose == Transpose::yes;
  Matrix& matrix = straight ? ways.transposed : ways.plain;
  if (matrix.empty()) matrix = context.allocate(Element::int8, m, m);
  const auto out = matrix.block().as<std::int8_t>();
  if (straight) {
    write_straight(context, source, out);
  } else {
    write_turned(context, source, {{out}});
  }
  (straight ? ways.transposed_is_current : ways.plain_is_current) = true;
}

// ---- how large a matrix is

/// What there is to know of a matrix before it is taken apart.
struct Extent {
  double squares = 0.0;  // ||.||_F^2; the squares of small entries are no single-precision numbers
  double largest = 0.0;  // |entry|
};

struct Largest {
  __device__ double operator()(double a, double b) const { return a < b ? b : a; }
};

/// The extents of all threads of a block, in one.
__device__ inline Extent combine(const Extent& mine) {
  return {block_reduce<block_threads>(mine.squares, std::plus<double>()),
          block_reduce<block_threads>(mine.largest, Largest())};
}

/// extents[j] = that of column j
template <int width>
__global__ void __launch_bounds__(block_threads)
    measure_columns(Entries entries, Index m, Extent* extents) {
  const Index j = blockIdx.x;
  Extent mine;
  for_rows<width>(m, [&](Index i, auto rows) {
    const auto values = entries.template at<rows.value>(i, j);
    for (int k = 0; k < rows.value; ++k) {
      const auto value = static_cast<double>(values[k]);
      mine.squares += value * value;
      mine.largest = Largest()(mine.largest, std::abs(value));
    }
  });
  const Extent all = combine(mine);
  if (threadIdx.x == 0) extents[j] = all;
}

/// *extent = that of all columns together, by one block in a fixed order
__global__ void __launch_bounds__(block_threads)
    combine_columns(const Extent* columns, Index count, Extent* extent) {
  Extent mine;
  for (Index j = threadIdx.x; j < count; j += block_threads) {
    mine.squares += columns[j].squares;
    mine.largest = Largest()(mine.largest, columns[j].largest);
  }
  const Extent all = combine(mine);
  if (threadIdx.x == 0) *extent = all;
}

/// Synchronises.
Extent extent_of(Context& context, const Entries& entries, Index m) {
  auto* columns = context.scratch<Extent>(Scratch::sums, static_cast<std::size_t>(m) + 1);
  Extent* total = columns + m;
  const auto measure =
      entries.can_be_packed(digit_width) ? measure_columns<digit_width> : measure_columns<1>;
  launch(context, grid_of_columns(m), measure, entries, m, columns);
  launch(context, grid_of_columns(1), combine_columns, columns, m, total);
  auto* extent = context.pinned<Extent>(1);
  WIDEDEQ_CUDA_CHECK(
      cudaMemcpyAsync(extent, total, sizeof *extent, cudaMemcpyDeviceToHost, context.stream()));
  context.synchronize();
  return *extent;
}

// ---- mixed operands

/// The entries of A.
Entries entries_of(const WeightView& A) {
  return {.change = A.change.as<const float>(),
          .base = A.base.as<const std::int8_t>(),
          .own = {},
          .step = static_cast<float>(A.step)};
}

/// The plane's entries: what A has beyond the base that is multiplied.
Entries plane_of(const DigitOperand& operand) {
  Entries entries = entries_of(operand.source);
  if (operand.own_base.empty()) {
    entries.base = {};
  } else {
    entries.own = operand.own_base.block().as<const std::int8_t>();
    entries.own_step = static_cast<float>(operand.own_step);
  }
  return entries;
}

void take_base(Context& context, DigitOperand& operand, const ConstBlock& base, double step) {
  const Integers integers{base.as<const std::int8_t>()};
  make(context, integers, operand.width, Transpose::no, operand.base);
  make(context, integers, operand.width, Transpose::yes, operand.base);
  operand.step = step;
  ++operand.base_version;
}

/// A base of the operand's own: A rounded to int8.
void fold(Context& context, DigitOperand& operand) {
  const Index m = operand.width;
  const Entries entries = entries_of(operand.source);
  const float unit = int8_scale(static_cast<float>(extent_of(context, entries, m).largest));
  if (operand.own_base.empty()) operand.own_base = context.allocate(Element::int8, m, m);
  const auto own = operand.own_base.block().as<std::int8_t>();
  write_straight(context, Digit{entries, unit, 0}, own);
  operand.own_step = static_cast<double>(unit);
  take_base(context, operand, operand.own_base, operand.own_step);
}

void refresh_plane(Context& context, DigitOperand& operand, const WeightView& A, Changed changed) {
  for (auto& digit : operand.plane)
    digit.forget();
  if (changed == Changed::base || operand.base_version == 0) {
    const bool is_own = !operand.own_base.empty();
    take_base(context, operand, is_own ? ConstBlock(operand.own_base) : A.base,
              is_own ? operand.own_step : A.step);
  }
  const auto extent_of_plane = [&] { return extent_of(context, plane_of(operand), operand.width); };
  Extent extent = A.change.empty() ? Extent() : extent_of_plane();
  if (extent.largest > operand.step) {
    fold(context, operand);
    extent = extent_of_plane();
  }
  operand.has_digits = extent.largest > 0.0 || !std::isfinite(extent.squares);
  operand.digits_norm = std::sqrt(extent.squares);
  operand.plane_step = static_cast<double>(int8_scale(static_cast<float>(extent.largest)));
}

void refresh_digits(Context& context, DigitOperand& operand, const WeightView& A, Changed changed) {
  if (!operand.own_base.empty())
    expect_shape("refresh", "own base", operand.own_base.block(), operand.width, operand.width);
  operand.source = A;
  if (changed != Changed::factors || operand.base_version == 0)
    refresh_plane(context, operand, A, changed);
  operand.has_plane = operand.has_digits || !A.left.empty();
  operand.plane_size = operand.digits_norm + A.factors_norm;
}

}  // namespace

template <class Real>
void write_out(Context& context, const WeightView& A, Index row, Index column,
               MatrixView<Real> out) {
  if (!A.change.empty() && A.change.element == Element::float64) {
    write_out_as<double>(context, A, row, column, out);
  } else {
    write_out_as<float>(context, A, row, column, out);
  }
}

template void write_out(Context&, const WeightView&, Index, Index, MatrixView<float>);
template void write_out(Context&, const WeightView&, Index, Index, MatrixView<double>);

Matrix transposed(Context& context, const ConstBlock& M) {
  BothWays ways;
  make(context, Integers{M.as<const std::int8_t>()}, M.rows, Transpose::no, ways);
  return std::move(ways.plain);
}

std::unique_ptr<DeviceOperand> make_operand(Precision precision, Index width, int panels) {
  std::unique_ptr<DeviceOperand> operand;
  switch (precision) {
    case Precision::fp64:
    case Precision::fp32:
      operand = std::make_unique<DenseOperand>();
      break;
    case Precision::mixed:
      operand = std::make_unique<DigitOperand>();
      break;
  }
  operand->precision = precision;
  operand->width = width;
  operand->panels = panels;
  return operand;
}

void refresh(Context& context, Operand& operand, const WeightView& A, Changed changed) {
  check_refresh(operand, A);
  switch (operand.precision) {
    case Precision::fp64:
      return refresh_dense<double>(context, static_cast<DenseOperand&>(operand), A);
    case Precision::fp32:
      return refresh_dense<float>(context, static_cast<DenseOperand&>(operand), A);
    case Precision::mixed:
      return refresh_digits(context, static_cast<DigitOperand&>(operand), A, changed);
  }
}

void prepare_plane(Context& context, const DigitOperand& operand, Transpose transpose, int digits) {
  const auto unit = static_cast<float>(operand.plane_step);
  for (int position = 0; position < digits; ++position) {
    BothWays& ways = operand.plane[static_cast<std::size_t>(position)];
    if (ways.is_current(transpose)) continue;
    make(context, Digit{plane_of(operand), unit, position}, operand.width, transpose, ways);
  }
}

}  // namespace widedeq::cuda
