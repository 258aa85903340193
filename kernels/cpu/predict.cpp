// A warm start's guess: what the solve will add to P, and in mixed to Zhat, from what the last two
// have added.
//
//   gained, before = a gained + b before, gained
//   mixed        P += gained.P                 Zhat += gained.Z
//   fp64, fp32   q = f(P + gained.P) - Zhat    Zhat += q    gained.P = 0, for products add it all
//
// A wrong guess costs a sweep and no accuracy. (kernels/response.hpp)
#include "kernels/cpu/predict.hpp"

#include <algorithm>

#include "kernels/stage_checks.hpp"

namespace widedeq::cpu {
namespace {

/// gained, before = a gained + b before, gained
template <class Real>
void extrapolate(Real* gained, Real* before, const ResponseWeights& weights, Index m) {
  const auto a = static_cast<Real>(weights.newer), b = static_cast<Real>(weights.older);
#pragma omp simd
  for (Index i = 0; i < m; ++i) {
    const Real newest = gained[i];
    gained[i] = weighted(a, newest) + weighted(b, before[i]);
    before[i] = newest;
  }
}

template <class Real>
void add(Real* to, const Real* more, Index m) {
#pragma omp simd
  for (Index i = 0; i < m; ++i)
    to[i] += more[i];
}

template <Epilogue epilogue, class Real>
bool has_switched_units(const Real* gate, const Real* applied, Real when_off, Index m) {
  if (epilogue != Epilogue::mask) return false;
  std::int32_t switched = 0;
#pragma omp simd reduction(| : switched)
  for (Index i = 0; i < m; ++i)
    switched |= has_switched<epilogue>(gate[i], applied[i], when_off) ? 1 : 0;
  return switched != 0;
}

/// Increments to f(P + gained), all of them pending.
template <Epilogue epilogue, class Real>
void open(const Real* P, const Real* gained, const Real* gate, Real* applied, Real* pending,
          Index m) {
#pragma omp simd
  for (Index i = 0; i < m; ++i) {
    const Real unit_gate = epilogue == Epilogue::mask ? gate[i] : Real(0);
    const Real d = activate<epilogue>(P[i] + gained[i], unit_gate) - applied[i];
    applied[i] += d;
    pending[i] = d;
  }
}

Index count_knowing(MatrixView<const std::int32_t> known, Index columns) {
  Index that_know = 0;
  for (Index j = 0; j < columns; ++j)
    that_know += known_in(known.column(j)).count > 0 ? 1 : 0;
  return that_know;
}

template <Epilogue epilogue, class Real>
bool predict_as(SweepState& state, MatrixView<const Real> gates, const Extrapolation& by,
                bool mixed) {
  const auto P = state.P.block().as<Real>(), applied = state.applied.block().as<Real>();
  const auto gained = state.gained.P.block().as<Real>(),
             before = state.gained_before.P.block().as<Real>();
  const auto known = state.known.block().as<std::int32_t>();
  const double* residual = state.residual.block().as<const double>().data;
  const double* size = state.size.block().as<const double>().data;
  double* scale = state.scale.block().as<double>().data;
  std::int32_t* switched = state.switched.block().as<std::int32_t>().data;
  std::int32_t* open_list = state.open.block().as<std::int32_t>().data;
  const Index m = P.rows, n = state.count;
  const bool opens = !mixed && !by.is_none() && is_worth_guessing(count_knowing(known, n), n);
#pragma omp parallel for schedule(static)
  for (Index j = 0; j < n; ++j) {
    const KnownResponses knows = known_in(known.column(j));
    const ResponseWeights weights = weights_of(knows, by);
    const Real* gate = gates.empty() ? nullptr : gates.column(j);
    const auto when_off = static_cast<Real>(most_when_off(residual[j], size[j], m));
    const bool has_switched = has_switched_units<epilogue>(gate, applied.column(j), when_off, m);
    switched[j] = has_switched ? 1 : 0;

    extrapolate(gained.column(j), before.column(j), weights, m);
    if (mixed) {
      Real* moved = state.gained.Z.block().as<Real>().column(j);
      extrapolate(moved, state.gained_before.Z.block().as<Real>().column(j), weights, m);
      add(P.column(j), gained.column(j), m);
      add(applied.column(j), moved, m);
    } else {
      if (opens) {
        open<epilogue>(P.column(j), gained.column(j), gate, applied.column(j),
                       state.pending.block().as<Real>().column(j), m);
        scale[j] = 1.0;
        open_list[j] = static_cast<std::int32_t>(j);
      }
      if (!has_switched) std::fill_n(gained.column(j), m, Real(0));
    }
    keep(has_switched ? after_guessed(knows, weights) : after_found(knows), known.column(j));
  }
  if (opens) {
    state.open_count = n;
    state.pending_in = PendingIn::all_rows;
  }
  return opens;
}

template <class Real>
bool predict_behind(SweepState& state, const Sweep& sweep, const Extrapolation& by, bool mixed) {
  return sweep.epilogue == Epilogue::mask
             ? predict_as<Epilogue::mask, Real>(state, sweep.gate.as<const Real>(), by, mixed)
             : predict_as<Epilogue::relu, Real>(state, {}, by, mixed);
}

}  // namespace

bool predict(SweepState& state, const Sweep& sweep, const Extrapolation& by) {
  check_predict(state, sweep);
  switch (sweep.A.precision) {
    case Precision::fp64:
      return predict_behind<double>(state, sweep, by, false);
    case Precision::fp32:
      return predict_behind<float>(state, sweep, by, false);
    case Precision::mixed:
      break;
  }
  return predict_behind<float>(state, sweep, by, true);
}

}  // namespace widedeq::cpu
