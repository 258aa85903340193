// A warm start's guess: a solve before moved P by `response`, so the next one may well do much the
// same.
//
//   q = round(f(P + pace response) - Zhat), Zhat += q     where the last two responses are alike
//   q = round(f(P) - Zhat), Zhat += q                     elsewhere
//
// A wrong guess costs a sweep and no accuracy.
#include "kernels/cuda/column_pass.cuh"
#include "kernels/cuda/sweep.hpp"
#include "kernels/response.hpp"
#include "kernels/stage_checks.hpp"

namespace widedeq::cuda {
namespace {

struct AddInts {
  __device__ int operator()(int a, int b) const { return a + b; }
};

/// *worthwhile = a third of the columns have a pace; one block.
__global__ void __launch_bounds__(block_threads)
    count_steady(MatrixView<const double> moved, std::int32_t* worthwhile) {
  int steady = 0;
  for (Index j = threadIdx.x; j < moved.columns; j += block_threads)
    steady += pace_of(moved.column(j)) > 0.0 ? 1 : 0;
  steady = block_reduce<block_threads>(steady, AddInts());
  if (threadIdx.x == 0) *worthwhile = is_worth_guessing(steady, moved.columns) ? 1 : 0;
}

/// What `guess` reads and writes; column j's increments go to place j.
template <class Real, class Increment>
struct Guess {
  const std::int32_t* worthwhile;
  MatrixView<const double> moved;
  MatrixView<const Real> P, gates;
  MatrixView<Real> applied, response;
  MatrixView<Increment> pending;
  double* scale;
  std::int32_t* switched;
};

/// A block of threads a column.
template <Epilogue epilogue, int width, class Real, class Increment>
__global__ void __launch_bounds__(block_threads, 4) guess(Guess<Real, Increment> at) {
  const Index j = blockIdx.x, m = at.P.rows;
  const auto gates = [&]<int rows>(Index i, Rows<rows>) {
    Pack<Real, rows> gate{};
    if constexpr (epilogue == Epilogue::mask) gate = load<rows>(at.gates.column(j) + i);
    return gate;
  };
  constexpr bool is_int8 = std::is_same_v<Increment, std::int8_t>;
  const Real least = is_int8 ? static_cast<Real>(at.scale[j]) : Real(0);
  int switched = 0;
  if constexpr (epilogue == Epilogue::mask) {
    for_rows<width>(m, [&]<int rows>(Index i, Rows<rows> some) {
      const Pack<Real, rows> gate = gates(i, some);
      const Pack<Real, rows> applied = load<rows>(at.applied.column(j) + i);
      for (int e = 0; e < rows; ++e)
        switched += has_switched<epilogue>(gate[e], applied[e], least) ? 1 : 0;
    });
    switched = block_reduce<block_threads>(switched, AddInts());
  }
  if (threadIdx.x == 0) at.switched[j] = switched > 0 ? 1 : 0;

  if (*at.worthwhile != 0) {
    const auto pace = static_cast<Real>(pace_of(at.moved.column(j)));
    const auto missing = [&]<int rows>(Index i, Rows<rows> some) {
      const Pack<Real, rows> pre = load<rows>(at.P.column(j) + i);
      const Pack<Real, rows> more = load<rows>(at.response.column(j) + i);
      const Pack<Real, rows> gate = gates(i, some);
      Entries<Real, rows> entries;
      entries.applied = load<rows>(at.applied.column(j) + i);
      for (int e = 0; e < rows; ++e) {
        const Real expected = pace > Real(0) ? pre[e] + pace * more[e] : pre[e];
        entries.missing[e] = activate<epilogue>(expected, gate[e]) - entries.applied[e];
      }
      return entries;
    };
    ColumnSums sums{0.0, 0.0, 0.0};
    for_rows<width>(m, [&](Index i, auto rows) { add_to(sums, missing(i, rows)); });
    sums = block_reduce<block_threads>(sums, AddColumnSums());
    const Real unit = unit_of_increment<Increment, Real>(sums.largest);
    if (threadIdx.x == 0) at.scale[j] = static_cast<double>(unit);
    for_rows<width>(m, [&](Index i, auto rows) {
      add_increment(at.applied.column(j) + i, at.pending.column(j) + i, missing(i, rows), unit);
    });
  }
  if (switched > 0) return;
  // A thread has read the rows that it writes now.
  for_rows<width>(m, [&]<int rows>(Index i, Rows<rows>) {
    store(at.response.column(j) + i, load<rows>(at.P.column(j) + i));
  });
}

struct AddDoubles {
  __device__ double operator()(double a, double b) const { return a + b; }
};

/// response = P - response, and its length; a block of threads a column.
template <int width, class Real>
__global__ void __launch_bounds__(block_threads)
    measure_response(MatrixView<const Real> P, const std::int32_t* switched,
                     MatrixView<Real> response, MatrixView<double> moved) {
  const Index j = blockIdx.x;
  if (switched[j] != 0) return;
  double squares = 0.0;
  for_rows<width>(P.rows, [&]<int rows>(Index i, Rows<rows>) {
    const Pack<Real, rows> now = load<rows>(P.column(j) + i);
    Pack<Real, rows> change = load<rows>(response.column(j) + i);
    for (int e = 0; e < rows; ++e) {
      change[e] = now[e] - change[e];
      squares += static_cast<double>(change[e]) * static_cast<double>(change[e]);
    }
    store(response.column(j) + i, change);
  });
  squares = block_reduce<block_threads>(squares, AddDoubles());
  if (threadIdx.x != 0) return;
  moved(1, j) = moved(0, j);
  moved(0, j) = std::sqrt(squares);
}

template <Epilogue epilogue, class Real, class Increment>
bool predict_as(Context& context, SweepState& state, MatrixView<const Real> gates,
                MatrixView<Real> response) {
  const cudaStream_t stream = context.stream();
  const Index n = state.count;
  auto* worthwhile = context.scratch<std::int32_t>(Scratch::sums, 1);
  const Guess<Real, Increment> at{worthwhile,
                                  state.moved.block().as<const double>().middle_columns(0, n),
                                  state.P.block().as<const Real>(),
                                  gates,
                                  state.applied.block().as<Real>(),
                                  response,
                                  state.pending.block().as<Increment>(),
                                  state.scale.block().as<double>().data,
                                  state.switched.block().as<std::int32_t>().data};
  launch(stream, {.blocks = dim3(1)}, count_steady, at.moved, worthwhile);
  constexpr int width = pack_width<Real>;
  const bool packs = can_pack(width, at.P, gates, at.applied, response, at.pending);
  launch(stream, grid_of_columns(n),
         packs ? guess<epilogue, width, Real, Increment> : guess<epilogue, 1, Real, Increment>, at);
  open_all(stream, state.open.block().as<std::int32_t>().data, n);

  // note_response() has told, unless something else was written to `moved` since.
  const double* subject = at.moved.data;
  if (!context.told(subject)) {
    context.tell(subject, worthwhile);
    context.synchronize();
  }
  const bool is_worthwhile = context.told(subject).value() != 0;
  state.open_count = is_worthwhile ? n : 0;
  return is_worthwhile;
}

template <class Real, class Increment>
bool predict_behind(Context& context, SweepState& state, const Sweep& sweep, Block response) {
  const auto change = response.as<Real>();
  return sweep.epilogue == Epilogue::mask
             ? predict_as<Epilogue::mask, Real, Increment>(
                   context, state, sweep.gate.template as<const Real>(), change)
             : predict_as<Epilogue::relu, Real, Increment>(context, state, {}, change);
}

template <class Real>
void note_response_as(Context& context, SweepState& state, MatrixView<Real> response) {
  const auto P = state.P.block().as<const Real>();
  const auto moved = state.moved.block().as<double>();
  constexpr int width = pack_width<Real>;
  launch(context, grid_of_columns(state.count),
         can_pack(width, P, response) ? measure_response<width, Real> : measure_response<1, Real>,
         P, state.switched.block().as<const std::int32_t>().data, response, moved);
  // Whether the next solve is to guess: it will not have to wait for that.
  auto* worthwhile = context.scratch<std::int32_t>(Scratch::sums, 1);
  launch(context, {.blocks = dim3(1)}, count_steady, moved.middle_columns(0, state.count),
         worthwhile);
  context.tell(moved.data, worthwhile);
}

}  // namespace

bool predict(Context& context, SweepState& state, const Sweep& sweep, Block response) {
  check_predict(state, sweep, response);
  state.pending_in = PendingIn::all_rows;
  switch (sweep.A.precision) {
    case Precision::fp64:
      return predict_behind<double, double>(context, state, sweep, response);
    case Precision::fp32:
      return predict_behind<float, float>(context, state, sweep, response);
    case Precision::mixed:
      break;
  }
  return predict_behind<float, std::int8_t>(context, state, sweep, response);
}

void note_response(Context& context, SweepState& state, Block response) {
  expect_shape("note_response", "response", response, state.P.rows(), state.count);
  if (response.element == Element::float64)
    return note_response_as(context, state, response.as<double>());
  note_response_as(context, state, response.as<float>());
}

}  // namespace widedeq::cuda
