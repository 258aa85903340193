// A warm start's guess, the twin of cpu/predict.cpp:
//
//   gained, before = a gained + b before, gained
//   mixed        P += gained.P                 Zhat += gained.Z
//   fp64, fp32   q = f(P + gained.P) - Zhat    Zhat += q    gained.P = 0, for products add it all
//
// A wrong guess costs a sweep and no accuracy. (kernels/response.hpp)
#include "kernels/cuda/predict.hpp"

#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/open_columns.hpp"
#include "kernels/stage_checks.hpp"

namespace widedeq::cuda {
namespace {

struct AddInts {
  __device__ int operator()(int a, int b) const { return a + b; }
};

/// *worthwhile = a third of the columns know a response; one block.
__global__ void __launch_bounds__(block_threads)
    count_knowing(MatrixView<const std::int32_t> known, std::int32_t* worthwhile) {
  int that_know = 0;
  for (Index j = threadIdx.x; j < known.columns; j += block_threads)
    that_know += known_in(known.column(j)).count > 0 ? 1 : 0;
  that_know = block_reduce<block_threads>(that_know, AddInts());
  if (threadIdx.x == 0) *worthwhile = is_worth_guessing(that_know, known.columns) ? 1 : 0;
}

/// What `guess` reads and writes; column j's increments go to place j.
template <class Real>
struct Guess {
  Extrapolation by;
  MatrixView<std::int32_t> known;
  MatrixView<const Real> gates;  // mask only
  MatrixView<Real> P, applied, gained_P, before_P;
  MatrixView<Real> gained_Z, before_Z;  // mixed only
  MatrixView<Real> pending;             // fp64, fp32 only
  const double *residual, *size;
  double* scale;
  std::int32_t* switched;
  bool opens = false;  // fp64, fp32 only
};

/// before = gained, and gained = what the two make: returned.
template <int rows, class Real>
__device__ Pack<Real, rows> extrapolate(Real* gained, Real* before,
                                        const ResponseWeights& weights) {
  const Pack<Real, rows> newest = load<rows>(gained), oldest = load<rows>(before);
  Pack<Real, rows> response;
  for (int e = 0; e < rows; ++e)
    response[e] = weighted(static_cast<Real>(weights.newer), newest[e]) +
                  weighted(static_cast<Real>(weights.older), oldest[e]);
  store(before, newest);
  store(gained, response);
  return response;
}

template <int rows, class Real>
__device__ void add(Real* to, const Pack<Real, rows>& more) {
  Pack<Real, rows> sum = load<rows>(to);
  for (int e = 0; e < rows; ++e)
    sum[e] += more[e];
  store(to, sum);
}

/// A block of threads a column.
template <Epilogue epilogue, bool mixed, int width, class Real>
__global__ void __launch_bounds__(block_threads, 4) guess(Guess<Real> at) {
  const Index j = blockIdx.x, m = at.P.rows;
  Real *P = at.P.column(j), *applied = at.applied.column(j);
  Real *gained = at.gained_P.column(j), *before = at.before_P.column(j);
  const auto gates = [&]<int rows>(Index i, Rows<rows>) {
    Pack<Real, rows> gate{};
    if constexpr (epilogue == Epilogue::mask) gate = load<rows>(at.gates.column(j) + i);
    return gate;
  };
  int switched = 0;
  if constexpr (epilogue == Epilogue::mask) {
    const auto when_off = static_cast<Real>(most_when_off(at.residual[j], at.size[j], m));
    for_rows<width>(m, [&]<int rows>(Index i, Rows<rows> some) {
      const Pack<Real, rows> gate = gates(i, some), was = load<rows>(applied + i);
      for (int e = 0; e < rows; ++e)
        switched += has_switched<epilogue>(gate[e], was[e], when_off) ? 1 : 0;
    });
    switched = block_reduce<block_threads>(switched, AddInts());
  }

  const KnownResponses knows = known_in(at.known.column(j));
  const ResponseWeights weights = weights_of(knows, at.by);
  for_rows<width>(m, [&]<int rows>(Index i, Rows<rows> some) {
    const Pack<Real, rows> response = extrapolate<rows>(gained + i, before + i, weights);
    if constexpr (mixed) {
      add(P + i, response);
      add(applied + i,
          extrapolate<rows>(at.gained_Z.column(j) + i, at.before_Z.column(j) + i, weights));
    } else {
      if (at.opens) {
        const Pack<Real, rows> pre = load<rows>(P + i), gate = gates(i, some);
        Pack<Real, rows> sum = load<rows>(applied + i), d;
        for (int e = 0; e < rows; ++e) {
          d[e] = activate<epilogue>(pre[e] + response[e], gate[e]) - sum[e];
          sum[e] += d[e];
        }
        store(applied + i, sum);
        store(at.pending.column(j) + i, d);
      }
      if (switched == 0) store(gained + i, Pack<Real, rows>{});
    }
  });
  __syncthreads();  // every thread has read what is known
  if (threadIdx.x != 0) return;
  at.switched[j] = switched > 0 ? 1 : 0;
  if (at.opens) at.scale[j] = 1.0;
  keep(switched > 0 ? after_guessed(knows, weights) : after_found(knows), at.known.column(j));
}

template <Epilogue epilogue, bool mixed, class Real>
void launch_guess(Context& context, const Guess<Real>& at) {
  constexpr int width = pack_width<Real>;
  const bool packs = can_pack(width, at.P, at.gates, at.applied, at.gained_P, at.before_P,
                              at.gained_Z, at.before_Z, at.pending);
  launch(context, grid_of_columns(at.known.columns),
         packs ? guess<epilogue, mixed, width, Real> : guess<epilogue, mixed, 1, Real>, at);
}

/// Has the host told whether a third of the columns know a response.
void tell_worth(Context& context, MatrixView<const std::int32_t> known) {
  auto* worthwhile = context.scratch<std::int32_t>(Scratch::sums, 1);
  launch(context, {.blocks = dim3(1)}, count_knowing, known, worthwhile);
  context.tell(known.data, worthwhile);
}

/// That, which the last predict() has told, unless something else was written to `known` since.
bool is_worthwhile(Context& context, MatrixView<const std::int32_t> known) {
  if (!context.told(known.data)) {
    tell_worth(context, known);
    context.synchronize();
  }
  return context.told(known.data).value() != 0;
}

template <bool mixed, class Real>
bool predict_as(Context& context, SweepState& state, const Sweep& sweep, const Extrapolation& by) {
  const auto view = [](Matrix& matrix) {
    return matrix.empty() ? MatrixView<Real>() : matrix.block().as<Real>();
  };
  const auto known = state.known.block().as<std::int32_t>().middle_columns(0, state.count);
  Guess<Real> at{.by = by,
                 .known = known,
                 .gates = {},
                 .P = view(state.P),
                 .applied = view(state.applied),
                 .gained_P = view(state.gained.P),
                 .before_P = view(state.gained_before.P),
                 .gained_Z = view(state.gained.Z),
                 .before_Z = view(state.gained_before.Z),
                 .pending = {},
                 .residual = state.residual.block().as<const double>().data,
                 .size = state.size.block().as<const double>().data,
                 .scale = state.scale.block().as<double>().data,
                 .switched = state.switched.block().as<std::int32_t>().data};
  if constexpr (!mixed) {
    at.pending = view(state.pending);
    at.opens = !by.is_none() && is_worthwhile(context, known);
  }
  if (sweep.epilogue == Epilogue::mask) {
    at.gates = sweep.gate.as<const Real>();
    launch_guess<Epilogue::mask, mixed>(context, at);
  } else {
    launch_guess<Epilogue::relu, mixed>(context, at);
  }
  if constexpr (!mixed) tell_worth(context, known);  // the next solve will not have to wait for it
  if (!at.opens) return false;
  open_all(context.stream(), state.open.block().as<std::int32_t>().data, state.count);
  state.open_count = state.count;
  state.pending_in = PendingIn::all_rows;
  return true;
}

}  // namespace

bool predict(Context& context, SweepState& state, const Sweep& sweep, const Extrapolation& by) {
  check_predict(state, sweep);
  switch (sweep.A.precision) {
    case Precision::fp64:
      return predict_as<false, double>(context, state, sweep, by);
    case Precision::fp32:
      return predict_as<false, float>(context, state, sweep, by);
    case Precision::mixed:
      break;
  }
  return predict_as<true, float>(context, state, sweep, by);
}

}  // namespace widedeq::cuda
