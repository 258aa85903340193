// A warm start's guess: the last solve moved P by `response`, so the next one may well do the same.
//
//   q = round(relu(P + response) - Zhat), Zhat += q     where the last two responses are alike
//   q = round(relu(P) - Zhat), Zhat += q                elsewhere
//
// A wrong guess costs a sweep and no accuracy.
#include "kernels/cuda/column_pass.cuh"
#include "kernels/cuda/sweep.hpp"
#include "kernels/stage_checks.hpp"

namespace widedeq::cuda {
namespace {

/// Whether a column's last response says something about its next one. `moved` holds the lengths of
/// the last two, zero for none.
__device__ bool is_steady(const double* moved) {
  constexpr double most = 1.5;
  return moved[0] <= most * moved[1] && moved[1] <= most * moved[0] && moved[0] > 0.0;
}

struct AddInts {
  __device__ int operator()(int a, int b) const { return a + b; }
};

/// *worthwhile = most of the columns are steady; one block.
__global__ void __launch_bounds__(block_threads)
    count_steady(MatrixView<const double> moved, std::int32_t* worthwhile) {
  int steady = 0;
  for (Index j = threadIdx.x; j < moved.columns; j += block_threads)
    steady += is_steady(moved.column(j)) ? 1 : 0;
  steady = block_reduce<block_threads>(steady, AddInts());
  if (threadIdx.x == 0) *worthwhile = 2 * static_cast<Index>(steady) > moved.columns ? 1 : 0;
}

/// A block of threads a column; column j's increments go to place j.
template <int width, class Real, class Increment>
__global__ void __launch_bounds__(block_threads, 4)
    guess(const std::int32_t* worthwhile, MatrixView<const double> moved, MatrixView<const Real> P,
          MatrixView<Real> applied, MatrixView<Real> response, MatrixView<Increment> pending,
          double* scale) {
  const Index j = blockIdx.x, m = P.rows;
  if (*worthwhile != 0) {
    const bool trusted = is_steady(moved.column(j));
    const auto missing = [&]<int rows>(Index i, Rows<rows>) {
      const Pack<Real, rows> pre = load<rows>(P.column(j) + i);
      const Pack<Real, rows> more = load<rows>(response.column(j) + i);
      Entries<Real, rows> entries;
      entries.applied = load<rows>(applied.column(j) + i);
      for (int e = 0; e < rows; ++e)
        entries.missing[e] = relu(trusted ? pre[e] + more[e] : pre[e]) - entries.applied[e];
      return entries;
    };
    ColumnSums sums{0.0, 0.0, 0.0};
    for_rows<width>(m, [&](Index i, auto rows) { add_to(sums, missing(i, rows)); });
    sums = block_reduce<block_threads>(sums, AddColumnSums());
    const Real unit = unit_of_increment<Increment, Real>(sums.largest);
    if (threadIdx.x == 0) scale[j] = static_cast<double>(unit);
    for_rows<width>(m, [&](Index i, auto rows) {
      add_increment(applied.column(j) + i, pending.column(j) + i, missing(i, rows), unit);
    });
  }
  // A thread has read the rows that it writes now.
  for_rows<width>(m, [&]<int rows>(Index i, Rows<rows>) {
    store(response.column(j) + i, load<rows>(P.column(j) + i));
  });
}

struct AddDoubles {
  __device__ double operator()(double a, double b) const { return a + b; }
};

/// start = P - start, and its length; a block of threads a column.
template <int width, class Real>
__global__ void __launch_bounds__(block_threads)
    measure_response(MatrixView<const Real> P, MatrixView<Real> start, MatrixView<double> moved) {
  const Index j = blockIdx.x;
  double squares = 0.0;
  for_rows<width>(P.rows, [&]<int rows>(Index i, Rows<rows>) {
    const Pack<Real, rows> now = load<rows>(P.column(j) + i);
    Pack<Real, rows> response = load<rows>(start.column(j) + i);
    for (int e = 0; e < rows; ++e) {
      response[e] = now[e] - response[e];
      squares += static_cast<double>(response[e]) * static_cast<double>(response[e]);
    }
    store(start.column(j) + i, response);
  });
  squares = block_reduce<block_threads>(squares, AddDoubles());
  if (threadIdx.x != 0) return;
  moved(1, j) = moved(0, j);
  moved(0, j) = std::sqrt(squares);
}

template <class Real, class Increment>
bool predict_as(Context& context, SweepState& state, MatrixView<Real> response) {
  const cudaStream_t stream = context.stream();
  const Index n = state.count;
  const auto P = state.P.block().as<const Real>();
  const auto applied = state.applied.block().as<Real>();
  const auto pending = state.pending.block().as<Increment>();
  const auto moved = state.moved.block().as<const double>().middle_columns(0, n);
  double* scale = state.scale.block().as<double>().data;
  auto* worthwhile = context.scratch<std::int32_t>(Scratch::sums, 1);
  launch(stream, {.blocks = dim3(1)}, count_steady, moved, worthwhile);
  constexpr int width = pack_width<Real>;
  const auto run = [&](auto kernel) {
    launch(stream, grid_of_columns(n), kernel, worthwhile, moved, P, applied, response, pending,
           scale);
  };
  if (can_pack(width, P, applied, response, pending)) {
    run(guess<width, Real, Increment>);
  } else {
    run(guess<1, Real, Increment>);
  }
  open_all(stream, state.open.block().as<std::int32_t>().data, n);

  auto* answer = context.pinned<std::int32_t>(1);
  WIDEDEQ_CUDA_CHECK(
      cudaMemcpyAsync(answer, worthwhile, sizeof *answer, cudaMemcpyDeviceToHost, stream));
  context.synchronize();
  state.open_count = *answer != 0 ? n : 0;
  return *answer != 0;
}

template <class Real>
void note_response_as(Context& context, SweepState& state, MatrixView<Real> start) {
  const auto P = state.P.block().as<const Real>();
  const auto moved = state.moved.block().as<double>();
  constexpr int width = pack_width<Real>;
  launch(context, grid_of_columns(state.count),
         can_pack(width, P, start) ? measure_response<width, Real> : measure_response<1, Real>, P,
         start, moved);
}

}  // namespace

bool predict(Context& context, SweepState& state, const Sweep& sweep, Block response) {
  check_sweep("predict", state, sweep);
  expect_shape("predict", "response", response, state.P.rows(), state.count);
  if (sweep.epilogue != Epilogue::relu) throw ShapeError("predict: only forward solves predict");
  if (state.open_count != 0) throw ShapeError("predict: columns are still open");
  state.pending_in = PendingIn::all_rows;
  switch (sweep.A.precision) {
    case Precision::fp64:
      return predict_as<double, double>(context, state, response.as<double>());
    case Precision::fp32:
      return predict_as<float, float>(context, state, response.as<float>());
    case Precision::mixed:
      break;
  }
  return predict_as<float, std::int8_t>(context, state, response.as<float>());
}

void note_response(Context& context, SweepState& state, Block start) {
  expect_shape("note_response", "start", start, state.P.rows(), state.count);
  if (start.element == Element::float64)
    return note_response_as(context, state, start.as<double>());
  note_response_as(context, state, start.as<float>());
}

}  // namespace widedeq::cuda
