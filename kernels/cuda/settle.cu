// Bringing the residual plane's share of P up to date, in mixed precision.
//
//   P += s op(E) (Zhat - Zref)     Zref += what was taken of the difference
//
// E, what A's int8 base leaves out, is e0 + e1/256 + e2/256^2 + U V' (DigitOperand); the difference
// is taken as d0 + d1/256 + d2/256^2, with a unit for each column. Of the products e_i d_j those
// with i + j < digits are formed, the small ones first; a column has as many digits as it needs
// (settling.hpp). What was not taken stays in the difference, for the next settling. The factors U
// and V are applied in single precision to what was taken: P += s U (V' taken).
//
// A block of threads takes a column's difference, or adds a column's products; products are the
// library's. The chosen columns are packed for them. What is summed up of one lies in a Settling.
// enqueue_settling() does not wait, but for the first products of a shape (multiply.hpp): the host
// gets the gains when it next looks at the columns.
#include "kernels/cuda/settle.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/multiply.hpp"
#include "kernels/cuda/operand.hpp"
#include "kernels/cuda/vectors.hpp"
#include "kernels/element.hpp"
#include "kernels/stage_checks.hpp"

namespace widedeq::cuda {
namespace {

/// What settling takes from a column, and what it gives; sums of squares.
struct Settling {
  double moved = 0.0;    // ||applied - settled||^2
  double size = 0.0;     // ||applied||^2
  double plane = 0.0;    // what the first digits' product has added to P
  double factors = 0.0;  // what the factors have added
  float unit = 1.0F;     // of the first digit of the difference

  __device__ double gain() const {
    return (std::sqrt(plane) + std::sqrt(factors)) / std::sqrt(moved);
  }
};

struct Largest {
  __device__ float operator()(float a, float b) const { return a < b ? b : a; }
};

/// Rows a thread deals with at once.
constexpr int row_width = pack_width<float>;

// ---- taking the difference apart

/// ||d||^2 and ||applied||^2 of a column with d = applied - settled, and the unit that d's digits
/// have. Every thread gets them.
template <int width>
__device__ Settling measure_column(const float* applied, const float* settled, Index m) {
  double moved = 0.0, size = 0.0;
  float largest = 0.0F;
  for_rows<width>(m, [&](Index i, auto rows) {
    const auto now = load<rows.value>(applied + i), then = load<rows.value>(settled + i);
    for (int k = 0; k < rows.value; ++k) {
      const float d = now[k] - then[k];
      moved += static_cast<double>(d) * static_cast<double>(d);
      size += static_cast<double>(now[k]) * static_cast<double>(now[k]);
      largest = Largest()(largest, std::abs(d));
    }
  });
  Settling column;
  column.moved = block_reduce<block_threads>(moved, std::plus<double>());
  column.size = block_reduce<block_threads>(size, std::plus<double>());
  column.unit = int8_scale(block_reduce<block_threads>(largest, Largest()));
  return column;
}

/// moves[j] = ||applied - settled|| / ||applied|| of column j
template <int width>
__global__ void __launch_bounds__(block_threads)
    move_kernel(MatrixView<const float> applied, MatrixView<const float> settled, double* moves) {
  const Index j = blockIdx.x;
  const Settling column = measure_column<width>(applied.column(j), settled.column(j), applied.rows);
  if (threadIdx.x == 0) moves[j] = relative_move(column.moved, column.size);
}

/// The digits of the difference, m x n each, one behind the other.
struct DigitRoom {
  std::int8_t* data = nullptr;
  Index rows = 0, columns = 0, stride = 0;

  static std::size_t bytes(Index rows, Index columns, int digits) {
    return static_cast<std::size_t>(padded_rows(rows, 1) * padded_size(columns) * digits);
  }
  WIDEDEQ_HOST_DEVICE MatrixView<std::int8_t> operator[](int digit) const {
    return {data + digit * stride * padded_size(columns), rows, columns, stride};
  }
};

/// SettledColumns on the device.
struct Chosen {
  const std::int32_t* order = nullptr;
  DigitCounts count{};
};

/// applied - settled as int8 digits, settled following; or, without digits, all of it at once. What
/// was taken goes to `taken` as well, unless that is empty. Block k takes column order[k], writes
/// place k, and begins settlings[k].
template <int width>
__global__ void __launch_bounds__(block_threads)
    take_kernel(MatrixView<const float> applied, MatrixView<float> settled, Chosen chosen,
                bool has_digits, DigitRoom room, MatrixView<float> taken, Settling* settlings) {
  const Index place = blockIdx.x;
  const Index j = chosen.order[place];
  const float* now = applied.column(j);
  float* then = settled.column(j);
  const Settling column = measure_column<width>(now, then, applied.rows);
  if (threadIdx.x == 0) settlings[place] = column;
  const int digits = has_digits ? digits_at(place, chosen.count) : 0;
  for_rows<width>(applied.rows, [&](Index i, auto rows) {
    constexpr int count = rows.value;
    const auto target = load<count>(now + i), before = load<count>(then + i);
    auto reached = before;
    float unit = column.unit;
    for (int position = 0; position < digits; ++position) {
      const float inverse = 1.0F / unit;
      Pack<std::int8_t, count> out;
      for (int k = 0; k < count; ++k) {
        // digit = round((applied - settled) / unit), settled += unit digit
        const float digit = int8_digit(target[k] - reached[k], inverse);
        reached[k] += unit * digit;
        out[k] = static_cast<std::int8_t>(digit);
      }
      store<count>(room[position].column(place) + i, out);
      unit /= static_cast<float>(digit_ratio);
    }
    if (digits == 0) reached = target;
    store<count>(then + i, reached);
    if (taken.data == nullptr) return;
    Pack<float, count> difference;
    for (int k = 0; k < count; ++k)
      difference[k] = reached[k] - before[k];
    store<count>(taken.column(place) + i, difference);
  });
}

// ---- adding what was taken

/// P += unit * (the column's unit) * product; notes the square of what was added.
template <int width>
__global__ void __launch_bounds__(block_threads)
    add_product_kernel(MatrixView<float> P, MatrixView<const std::int32_t> product,
                       const std::int32_t* order, double unit, Settling* settlings) {
  const Index place = blockIdx.x;
  const Index j = order[place];
  const auto factor = static_cast<float>(unit * static_cast<double>(settlings[place].unit));
  double added = 0.0;
  for_rows<width>(P.rows, [&](Index i, auto rows) {
    auto entries = load<rows.value>(P.column(j) + i);
    const auto sums = load<rows.value>(product.column(place) + i);
    for (int k = 0; k < rows.value; ++k) {
      const float sum = factor * static_cast<float>(sums[k]);
      entries[k] += sum;
      added += static_cast<double>(sum) * static_cast<double>(sum);
    }
    store<rows.value>(P.column(j) + i, entries);
  });
  added = block_reduce<block_threads>(added, std::plus<double>());
  if (threadIdx.x == 0) settlings[place].plane = added;
}

/// P += sums; notes its square.
template <int width>
__global__ void __launch_bounds__(block_threads)
    add_share_kernel(MatrixView<float> P, MatrixView<const float> share, const std::int32_t* order,
                     Settling* settlings) {
  const Index place = blockIdx.x;
  const Index j = order[place];
  double added = 0.0;
  for_rows<width>(P.rows, [&](Index i, auto rows) {
    auto entries = load<rows.value>(P.column(j) + i);
    const auto sums = load<rows.value>(share.column(place) + i);
    for (int k = 0; k < rows.value; ++k) {
      entries[k] += sums[k];
      added += static_cast<double>(sums[k]) * static_cast<double>(sums[k]);
    }
    store<rows.value>(P.column(j) + i, entries);
  });
  added = block_reduce<block_threads>(added, std::plus<double>());
  if (threadIdx.x == 0) settlings[place].factors = added;
}

/// gains[k] = settlings[k].gain()
__global__ void gain_kernel(const Settling* settlings, double* gains, Index count) {
  const Index k = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (k < count) gains[k] = settlings[k].gain();
}

/// One settling's views and buffers; products and what is made of the difference lie packed. The
/// buffers come after P's height.
struct Work {
  MatrixView<float> P, settled;
  MatrixView<const float> applied;
  Chosen chosen;
  DigitRoom room;
  MatrixView<float> taken;  // m x k, with factors only
  MatrixView<float> inner;  // factors x k
  Settling* settlings = nullptr;
  double* gains = nullptr;
  void* product = nullptr;  // m x k int32 or float, with padded strides and columns
  Index stride = 0;         // of products

  /// The columns there are, k.
  Index size() const { return chosen.count[0]; }
  MatrixView<std::int32_t> integers(Index count) const {
    return {static_cast<std::int32_t*>(product), P.rows, count, stride};
  }
  MatrixView<float> reals() const { return {static_cast<float*>(product), P.rows, size(), stride}; }
};

/// Settlings, gains and the columns' order, which is sent. There is room for all n columns, so that
/// a later settling need not wait for more.
void take_notes(Context& context, Index n, const SettledColumns& columns, Work& work) {
  const auto most = static_cast<std::size_t>(n);
  auto* notes = context.scratch<std::byte>(
      Scratch::settlings, most * (sizeof(Settling) + sizeof(double) + sizeof(std::int32_t)));
  work.settlings = reinterpret_cast<Settling*>(notes);
  work.gains = reinterpret_cast<double*>(work.settlings + most);
  auto* order = reinterpret_cast<std::int32_t*>(work.gains + most);
  work.chosen = {order, columns.count};
  const std::size_t k = columns.order.size();
  auto* pinned = context.pinned<std::int32_t>(most);
  std::ranges::copy(columns.order, pinned);
  WIDEDEQ_CUDA_CHECK(
      cudaMemcpyAsync(order, pinned, k * sizeof *pinned, cudaMemcpyHostToDevice, context.stream()));
}

void make_room(Context& context, Index n, int digits, Index factors, Work& work) {
  const Index m = work.P.rows;
  work.stride = padded_size(m);  // products are rounded up to steps of 16 in both directions
  if (digits > 0 || factors > 0)
    work.product = context.scratch<std::int32_t>(
        Scratch::product, static_cast<std::size_t>(work.stride * padded_size(n)));
  if (digits > 0)
    work.room = {context.scratch<std::int8_t>(Scratch::digits, DigitRoom::bytes(m, n, digits)), m,
                 n, padded_rows(m, 1)};
  if (factors > 0) {
    const Index count = work.size();
    const Index inner_stride = padded_rows(factors, sizeof(float));
    auto* reals = context.scratch<float>(
        Scratch::reals, static_cast<std::size_t>((work.stride + inner_stride) * n));
    work.taken = {reals, m, count, work.stride};
    work.inner = {reals + work.stride * n, factors, count, inner_stride};
  }
}

void take(Context& context, const Work& work, bool has_digits) {
  const auto kernel =
      can_pack(row_width, work.applied, work.settled) ? take_kernel<row_width> : take_kernel<1>;
  launch(context, grid_of_columns(work.size()), kernel, work.applied, work.settled, work.chosen,
         has_digits, work.room, work.taken, work.settlings);
}

/// Columns that are multiplied for so many: eighths of those there are, so that the library need
/// not choose a kernel for every count. What lies beyond the count is not looked at.
Index rounded_up(Index count, Index columns) {
  const Index step = (columns + 7) / 8;
  return std::min(columns, (count + step - 1) / step * step);
}

/// Has the library choose its kernels for every count there may be, which takes runs of the device
/// and waits of the host: now, when the first column is settled, and not in the midst of training.
void prepare_products(Context& context, const Work& work, const Sweep& sweep,
                      const DigitOperand& A) {
  const Index columns = work.room.columns;
  for (Index count = 1; count <= columns; count = rounded_up(count, columns) + 1)
    prepare_multiply_integers(context, A.plane[0][sweep.transpose],
                              work.room[0].middle_columns(0, rounded_up(count, columns)),
                              work.integers(rounded_up(count, columns)));
}

/// P += s op(plane) taken; the first digits' product comes last, and its size stays noted.
void add_plane(Context& context, const Work& work, const Sweep& sweep, const DigitOperand& A,
               int digits) {
  const auto kernel =
      can_pack(row_width, work.P) ? add_product_kernel<row_width> : add_product_kernel<1>;
  if (digits > 0) prepare_products(context, work, sweep, A);
  for (int order = digits - 1; order >= 0; --order) {  // small terms first
    const Index count = work.chosen.count[static_cast<std::size_t>(order)];
    const Index multiplied = rounded_up(count, work.room.columns);
    for (int i = 0; i <= order; ++i) {
      const int j = order - i;
      multiply_integers(context, A.plane[static_cast<std::size_t>(i)][sweep.transpose],
                        work.room[j].middle_columns(0, multiplied), work.integers(multiplied));
      // P += s plane_step 256^-(i + j) unit e_i d_j
      const double unit = sweep.s * A.plane_step * std::pow(digit_ratio, -order);
      launch(context, grid_of_columns(count), kernel, work.P,
             MatrixView<const std::int32_t>(work.integers(count)), work.chosen.order, unit,
             work.settlings);
    }
  }
}

/// P += s U (V' taken), or s V (U' taken) for A'.
void add_factors(Context& context, const Work& work, const Sweep& sweep, const WeightView& A) {
  const bool turned = sweep.transpose == Transpose::yes;
  const auto left = (turned ? A.right : A.left).as<const float>();
  const auto right = (turned ? A.left : A.right).as<const float>();
  gemm<float>(context, Transpose::yes, Transpose::no, 1.0F, right, work.taken, 0.0F, work.inner);
  gemm<float>(context, Transpose::no, Transpose::no, static_cast<float>(sweep.s), left, work.inner,
              0.0F, work.reals());
  const auto kernel =
      can_pack(row_width, work.P) ? add_share_kernel<row_width> : add_share_kernel<1>;
  launch(context, grid_of_columns(work.size()), kernel, work.P,
         MatrixView<const float>(work.reals()), work.chosen.order, work.settlings);
}

/// moves[j] = ||applied - settled|| / ||applied||, every column.
void enqueue_moves(cudaStream_t stream, const SweepState& state, double* moves) {
  const auto applied = state.applied.columns(0, state.count).as<const float>();
  const auto settled = state.settled.columns(0, state.count).as<const float>();
  const auto kernel =
      can_pack(row_width, applied, settled) ? move_kernel<row_width> : move_kernel<1>;
  launch(stream, grid_of_columns(state.count), kernel, applied, settled, moves);
}

}  // namespace

std::vector<double> unsettled(Context& context, const SweepState& state) {
  if (state.settled.empty()) throw ShapeError("unsettled: the state has no plane");
  auto* moves = context.scratch<double>(Scratch::settlings, static_cast<std::size_t>(state.count));
  enqueue_moves(context.stream(), state, moves);
  return fetch(context, moves, state.count);
}

void bring_moves(SweepBody& body, const SweepState& state, const Sweep& sweep, double* moves) {
  if (!sweep.A.has_plane) return;
  body.rows.extra = {moves, state.count};
  body.make_extra = [&state, moves](cudaStream_t stream) { enqueue_moves(stream, state, moves); };
}

Row enqueue_settling(Context& context, SweepState& state, const Sweep& sweep,
                     const SettledColumns& columns) {
  check_settle(state, sweep, columns);
  if (columns.size() == 0) return {};
  const auto& A = dynamic_cast<const DigitOperand&>(sweep.A);
  const Index n = state.count;
  Work work;
  work.P = state.P.columns(0, n).as<float>();
  work.settled = state.settled.columns(0, n).as<float>();
  work.applied = state.applied.columns(0, n).as<float>();

  const Index factors = A.source.left.columns;
  const int digits = A.has_digits ? columns.digits() : 0;
  if (A.has_digits) prepare_plane(context, A, sweep.transpose, digits);
  take_notes(context, n, columns, work);
  make_room(context, n, digits, factors, work);
  take(context, work, A.has_digits);
  if (A.has_digits) add_plane(context, work, sweep, A, digits);
  if (factors > 0) add_factors(context, work, sweep, A.source);
  launch(context, grid_for(work.size()), gain_kernel, static_cast<const Settling*>(work.settlings),
         work.gains, work.size());
  return {work.gains, work.size()};
}

double largest_gain(const std::vector<double>& gains) {
  double largest = 0.0;
  for (const double gain : gains)
    largest = std::max(largest, gain);
  return largest;
}

double settle(Context& context, SweepState& state, const Sweep& sweep,
              const SettledColumns& columns) {
  const Row gains = enqueue_settling(context, state, sweep, columns);
  return largest_gain(fetch(context, gains.data, gains.count));
}

}  // namespace widedeq::cuda
