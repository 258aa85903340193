// One sweep: a product of A with the pending increments, then one pass over every entry.
//
//   P += s op(A) q                 the increments of the last sweep reach every row
//   f  = relu(P)                   or the mask, or P itself
//   d  = f - Zhat                  what is missing in Zhat, before rounding: the residual of Zhat
//   q  = round(d)                  exact in fp64 and fp32, int8 with a scale per column in mixed
//   Zhat += q                      what rounding left out stays in the next d
//
// A column stops when ||d|| <= tolerance ||Zhat||; its d is then not applied, so P and Zhat of a
// stopped column satisfy P = c + s op(A) Zhat, and the residual that was measured is Zhat's own.
#include "kernels/cpu/sweep.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/multiply.hpp"
#include "kernels/cpu/open_columns.hpp"
#include "kernels/gained.hpp"

namespace widedeq::cpu {
namespace {

/// One column of an iteration during the pass. Handed on by value: a store through the int8 pointer
/// could otherwise change the other pointers, for all the compiler knows, and no loop would be
/// vectorised (the whole pass: 1.7 times slower).
template <class Real, class Product, class Increment>
struct Column {
  Real* P;
  Real* applied;
  const Real* gate;        // mask only
  const Product* product;  // null: nothing to add to P
  Real factor;             // value of one unit of `product` in P
  Increment* pending;
  Real* gained_P;  // null: not noted
  Real* gained_Z;  // null: not noted
};

template <Epilogue epilogue, class Real, class C>
Real missing_at(const C& column, Index i) {
  return activate<epilogue>(column.P[i], epilogue == Epilogue::mask ? column.gate[i] : Real(0)) -
         column.applied[i];
}

/// Adds the product to P and measures what is missing in Zhat.
template <Epilogue epilogue, class Real, class Product, class Increment>
ColumnNorms add_product(Column<Real, Product, Increment> column, Index m) {
  // Squares are taken in double: those of small inputs would underflow in single precision, and the
  // column would pass for converged. Blocks keep P in cache between the loops.
  constexpr Index block = 512;
  ColumnNorms norms;
  Real largest = 0;
  for (Index first = 0; first < m; first += block) {
    const Index last = std::min(m, first + block);
    if (column.product != nullptr) {
#pragma omp simd
      for (Index i = first; i < last; ++i)
        column.P[i] += column.factor * static_cast<Real>(column.product[i]);
    }
    if (column.product != nullptr && column.gained_P != nullptr) {
#pragma omp simd
      for (Index i = first; i < last; ++i)
        column.gained_P[i] += column.factor * static_cast<Real>(column.product[i]);
    }
    double missing = 0.0;
    double applied = 0.0;
#pragma omp simd reduction(+ : missing, applied) reduction(max : largest)
    for (Index i = first; i < last; ++i) {
      const Real d = missing_at<epilogue, Real>(column, i);
      missing += static_cast<double>(d) * static_cast<double>(d);
      applied += static_cast<double>(column.applied[i]) * static_cast<double>(column.applied[i]);
      largest = std::max(largest, std::abs(d));
    }
    norms.missing += missing;
    norms.applied += applied;
  }
  norms.largest = static_cast<double>(largest);
  return norms;
}

/// Makes the increment, rounded to what products take, and returns the value of one unit of it.
template <Epilogue epilogue, class Real, class Product, class Increment>
double add_increment(Column<Real, Product, Increment> column, Index m,
                     [[maybe_unused]] double largest) {
  if constexpr (std::is_same_v<Increment, std::int8_t>) {
    const Real scale = int8_scale(static_cast<float>(largest));
    const Real inverse = Real(1) / scale;
#pragma omp simd
    for (Index i = 0; i < m; ++i) {
      const Real q = int8_round(missing_at<epilogue, Real>(column, i), inverse);
      column.applied[i] += scale * q;
      column.pending[i] = static_cast<Increment>(q);
    }
    if (column.gained_Z != nullptr) {
#pragma omp simd
      for (Index i = 0; i < m; ++i)
        column.gained_Z[i] += scale * static_cast<Real>(column.pending[i]);
    }
    return static_cast<double>(scale);
  } else {
#pragma omp simd
    for (Index i = 0; i < m; ++i) {
      const Real d = missing_at<epilogue, Real>(column, i);
      column.applied[i] += d;
      column.pending[i] = d;
    }
    return 1.0;
  }
}

enum class Pass : std::uint8_t { starting, restarting, sweeping };

/// The pass over every entry of the open columns. `product` is null, or holds op(A) pending, packed
/// as the open columns are; one unit of it is worth unit * scale.
template <Epilogue epilogue, class Real, class Product, class Increment>
SweepStatus pass(SweepState& state, const Sweep& sweep, Pass kind, const Product* product,
                 double unit) {
  const auto P = state.P.block().as<Real>();
  const auto applied = state.applied.block().as<Real>();
  const auto pending = state.pending.block().as<Increment>();
  const MatrixView<const Real> gate =
      epilogue == Epilogue::mask ? sweep.gate.as<const Real>() : MatrixView<const Real>();
  double* scale = state.scale.block().as<double>().data;
  double* residual = state.residual.block().as<double>().data;
  double* sizes = state.size.block().as<double>().data;
  double* first_step = state.first_step.block().as<double>().data;
  std::int32_t* open = state.open.block().as<std::int32_t>().data;
  const Gained<Real> gained = gained_of<Real>(state);
  const Index m = P.rows;

  double worst_residual = 0.0;
  double worst_growth = 0.0;
  bool finite = true;
#pragma omp parallel for schedule(static) reduction(max : worst_residual, worst_growth) \
    reduction(&& : finite)
  for (Index k = 0; k < state.open_count; ++k) {
    const Index j = open[k];
    const Column<Real, Product, Increment> column{P.column(j),
                                                  applied.column(j),
                                                  gate.empty() ? nullptr : gate.column(j),
                                                  product == nullptr ? nullptr : product + k * m,
                                                  static_cast<Real>(unit * scale[j]),
                                                  pending.column(k),
                                                  gained.of_P(j),
                                                  gained.of_Z(j)};
    const ColumnNorms norms = add_product<epilogue>(column, m);
    if (kind == Pass::starting)
      first_step[j] = std::max(norms.step(), norms.size());  // a warm start's step is small
    residual[j] = norms.residual();
    sizes[j] = norms.size();
    worst_residual = std::max(worst_residual, residual[j]);
    if (first_step[j] > 0.0) worst_growth = std::max(worst_growth, norms.step() / first_step[j]);
    finite = finite && norms.is_finite();

    if (norms.is_within(sweep.tolerance)) {
      mark_stopped(open, k);
    } else if (std::isfinite(norms.missing)) {
      scale[j] = add_increment<epilogue>(column, m, norms.largest);
    }
  }
  return {.worst_residual = worst_residual, .worst_growth = worst_growth, .finite = finite};
}

template <class Real, class Product, class Increment>
SweepStatus pass_and_pack(SweepState& state, const Sweep& sweep, Pass kind, const Product* product,
                          double unit) {
  const auto run = [&] {
    switch (sweep.epilogue) {
      case Epilogue::relu:
        return pass<Epilogue::relu, Real, Product, Increment>(state, sweep, kind, product, unit);
      case Epilogue::mask:
        return pass<Epilogue::mask, Real, Product, Increment>(state, sweep, kind, product, unit);
      case Epilogue::none:
        break;
    }
    return pass<Epilogue::none, Real, Product, Increment>(state, sweep, kind, product, unit);
  };
  SweepStatus status = run();
  pack_open<Increment>(state);
  status.open = state.open_count;
  return status;
}

template <class Real, class Product, class Increment, class A>
SweepStatus iterate_as(SweepState& state, const Sweep& sweep, int most, const A& factor,
                       double unit, Workspace& workspace) {
  const Index m = state.P.rows();
  const MatrixView<const Increment> pending = state.pending.block().as<Increment>();
  SweepStatus status;
  status.open = state.open_count;
  while (status.sweeps < most && status.open > 0 && status.finite &&
         !is_hopeless(status.sweeps, status.worst_growth, sweep.hopeless_growth)) {
    const auto room = static_cast<std::size_t>(m * padded_columns(state.open_count));
    Product* product = workspace.get<Product>(room);
    multiply(factor, sweep.transpose, pending, state.open_count, product);
    const int sweeps = status.sweeps + 1;
    const double operations =
        status.operations + 2.0 * static_cast<double>(m * m * state.open_count);
    status = pass_and_pack<Real, Product, Increment>(state, sweep, Pass::sweeping, product, unit);
    status.sweeps = sweeps;
    status.operations = operations;
  }
  return status;
}

}  // namespace

SweepStatus measure(SweepState& state, const Sweep& sweep, bool starting) {
  check_sweep("measure", state, sweep);
  state.pending_in = PendingIn::all_rows;
  std::int32_t* open = state.open.block().as<std::int32_t>().data;
  state.open_count = state.count;
  for (Index j = 0; j < state.open_count; ++j)
    open[j] = static_cast<std::int32_t>(j);
  const Pass kind = starting ? Pass::starting : Pass::restarting;
  switch (sweep.A.precision) {
    case Precision::fp64:
      return pass_and_pack<double, double, double>(state, sweep, kind, nullptr, 0.0);
    case Precision::fp32:
      return pass_and_pack<float, float, float>(state, sweep, kind, nullptr, 0.0);
    case Precision::mixed:
      break;
  }
  return pass_and_pack<float, std::int32_t, std::int8_t>(state, sweep, kind, nullptr, 0.0);
}

SweepStatus iterate(SweepState& state, const Sweep& sweep, int most, Workspace& workspace) {
  check_sweep("iterate", state, sweep);
  switch (sweep.A.precision) {
    case Precision::fp64:
      return iterate_as<double, double, double>(state, sweep, most,
                                                static_cast<const DenseOperand<double>&>(sweep.A),
                                                sweep.s, workspace);
    case Precision::fp32:
      return iterate_as<float, float, float>(
          state, sweep, most, static_cast<const DenseOperand<float>&>(sweep.A), sweep.s, workspace);
    case Precision::mixed:
      break;
  }
  const auto& A = static_cast<const DigitOperand&>(sweep.A);
  return iterate_as<float, std::int32_t, std::int8_t>(state, sweep, most, A.base, sweep.s * A.step,
                                                      workspace);
}

}  // namespace widedeq::cpu
