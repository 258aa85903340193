// One sweep on a device, all rows at once:
//
//   product = op(A) q        the library's, on the increments packed
//   P += s product           one pass over every open column (column_pass.cuh):
//   d  = f(P) - Zhat           the residual, by which the column stops, or
//   q  = round(d)              the next increments, and Zhat += q
//   look                     one block: how many columns are open, the worst residual, go on?
//
// What a sweep means, and why a column stops as it does, is in cpu/sweep.cpp. Here a column that
// stops keeps its place in the packed order until the loop packs (open_columns.hpp).
#include "kernels/cuda/sweep.hpp"

#include <bit>

#include "kernels/cuda/algorithm.hpp"
#include "kernels/cuda/column_pass.cuh"
#include "kernels/cuda/loop.cuh"
#include "kernels/cuda/multiply.hpp"
#include "kernels/cuda/operand.hpp"
#include "kernels/cuda/settle.hpp"
#include "kernels/stage_checks.hpp"

namespace widedeq::cuda {
namespace {

constexpr int look_threads = 1024;

struct AddColumnResults {
  __device__ ColumnResult operator()(const ColumnResult& a, const ColumnResult& b) const {
    return {.residual = a.residual < b.residual ? b.residual : a.residual,
            .growth = a.growth < b.growth ? b.growth : a.growth,
            .open = a.open + b.open,
            .finite = a.finite & b.finite};
  }
};

/// The end of a sweep, or of a measurement: adds up what the pass says of every column, in one
/// block.
__global__ void __launch_bounds__(look_threads)
    look(Progress* progress, const ColumnResult* results, bool measuring, Repeat repeat) {
  if (progress->running == 0) {
    if (threadIdx.x == 0) repeat_sweep(repeat, *progress);  // or a graph would go on for ever
    return;
  }
  constexpr AddColumnResults add;
  ColumnResult total{.residual = 0.0, .growth = 0.0, .open = 0, .finite = 1};
  for (std::int32_t k = static_cast<std::int32_t>(threadIdx.x); k < progress->places;
       k += look_threads)
    total = add(total, results[k]);
  total = block_reduce<look_threads>(total, add);
  if (threadIdx.x != 0) return;
  if (measuring) {
    progress->first_residual = total.residual;
  } else {
    progress->columns += static_cast<double>(progress->open);
    ++progress->sweeps;
  }
  progress->open = total.open;
  progress->worst_residual = total.residual;
  progress->worst_growth = total.growth;
  progress->finite = total.finite;
  const bool may_go_on =
      progress->sweeps < progress->most &&
      !is_hopeless(progress->sweeps, progress->worst_growth, progress->hopeless_growth);
  progress->running = total.open > 0 && total.finite != 0 && may_go_on ? 1 : 0;
  repeat_sweep(repeat, *progress);
}

/// The products of sweeps, and what must be done before the first one of a shape.
template <class Real>
void multiply(Context& context, const DenseOperand& A, Transpose transpose,
              MatrixView<const Real> q, MatrixView<Real> product, cudaStream_t stream) {
  gemm<Real>(context, transpose, Transpose::no, Real(1), A.A.block().as<const Real>(), q, Real(0),
             product, stream);
}
template <class Real>
void prepare_multiply(Context&, const DenseOperand&, Transpose, MatrixView<const Real>,
                      MatrixView<Real>) {}

void multiply(Context& context, const DigitOperand& A, Transpose transpose,
              MatrixView<const std::int8_t> q, MatrixView<std::int32_t> product,
              cudaStream_t stream) {
  multiply_integers(context, A.base[transpose], q, product, stream);
}
void prepare_multiply(Context& context, const DigitOperand& A, Transpose transpose,
                      MatrixView<const std::int8_t> q, MatrixView<std::int32_t> product) {
  prepare_multiply_integers(context, A.base[transpose], q, product);
}

/// Where a product reads A.
const void* left_of(const DenseOperand& A, Transpose) {
  return A.A.block().data;
}
const void* left_of(const DigitOperand& A, Transpose transpose) {
  return A.base[transpose].data;
}

/// An iteration and the scratch memory it runs in.
template <class Real, class Product, class Increment>
class Iteration {
 public:
  Iteration(Context& context, SweepState& state, const Sweep& sweep, double unit)
      : context_(context), state_(state), sweep_(sweep) {
    const Index m = state.P.rows(), n = state.count;
    const Index stride = padded_size(m);  // of products
    const auto room = static_cast<std::size_t>(stride * padded_size(n));
    product_ = {context.scratch<Product>(Scratch::product, room), m, n, stride};

    const auto count = static_cast<std::size_t>(n);
    constexpr std::size_t first = 256;  // bytes, of the progress
    static_assert(sizeof(Progress) <= first);
    auto* notes = context.scratch<std::byte>(
        Scratch::sums,
        first + count * (sizeof(ColumnResult) + sizeof(double) + sizeof(std::int32_t)));
    progress_ = reinterpret_cast<Progress*>(notes);
    results_ = reinterpret_cast<ColumnResult*>(notes + first);
    moves_ = reinterpret_cast<double*>(results_ + n);

    pass_ = {.progress = progress_,
             .P = state.P.block().as<Real>(),
             .applied = state.applied.block().as<Real>(),
             .gained = gained_of<Real>(state),
             .gate = {},
             .product = product_,
             .unit = unit,
             .pending = state.pending.block().as<Increment>(),
             .open = state.open.block().as<std::int32_t>().data,
             .scale = state.scale.block().as<double>().data,
             .residual = state.residual.block().as<double>().data,
             .size = state.size.block().as<double>().data,
             .first_step = state.first_step.block().as<double>().data,
             .results = results_,
             .starting = false};
    if (sweep.epilogue == Epilogue::mask) pass_.gate = sweep.gate.as<const Real>();
    packing_ = {.progress = progress_,
                .open = pass_.open,
                .from = reinterpret_cast<std::int32_t*>(moves_ + n),
                .pending = state.pending.block(),
                .spare = product_.data};  // an increment is no larger than its product
  }

  SweepStatus measure(bool starting, const Row& extra) {
    enqueue_measure(starting, 0);
    return status_of(read_progress(context_, progress_, rows(extra)));
  }

  template <class A>
  SweepStatus iterate(Loop& loop, const A& factor, int most) {
    if (most <= 0 || state_.open_count == 0) return {.open = state_.open_count};
    prepare(factor);
    return finish(loop.run(context_, progress_, start_of(sweep_, state_.open_count, most),
                           state_.count, key(factor), body(factor)));
  }

  template <class A>
  SweepStatus measure_and_iterate(Loop& loop, const A& factor, bool starting, int most) {
    if (state_.count == 0) return {};
    prepare(factor);
    enqueue_measure(starting, most);
    return finish(loop.go_on(context_, progress_, state_.count, key(factor), body(factor)));
  }

 private:
  /// Opens and looks at every column; `most` sweeps may follow.
  void enqueue_measure(bool starting, int most) {
    const cudaStream_t stream = context_.stream();
    open_all(stream, pass_.open, state_.count);
    set_progress(stream, progress_, start_of(sweep_, state_.count, most));
    auto measuring = pass_;
    measuring.product = {};
    measuring.starting = starting;
    pass(stream, state_.count, measuring);
    look_at(stream, true, {});
    pack_open(stream, packing_, state_.count);
  }

  MatrixView<const Increment> increments(Index columns) const {
    return MatrixView<const Increment>(pass_.pending).middle_columns(0, columns);
  }

  /// Readies the library for the products of every size class.
  template <class A>
  void prepare(const A& factor) {
    for (const Index columns : column_classes(state_.count))
      prepare_multiply(context_, factor, sweep_.transpose, increments(columns),
                       product_.middle_columns(0, columns));
  }

  template <class A>
  SweepBody body(const A& factor) const {
    SweepBody body{
        .sweep =
            [&](cudaStream_t stream, Index columns, const Repeat& repeat) {
              multiply(context_, factor, sweep_.transpose, increments(columns),
                       product_.middle_columns(0, columns), stream);
              pass(stream, columns, pass_);
              look_at(stream, false, repeat);
            },
        .pack = [&](cudaStream_t stream, Index columns) { pack_open(stream, packing_, columns); },
        .rows = rows({})};
    bring_moves(body, state_, sweep_, moves_);
    return body;
  }
  ColumnRows rows(const Row& extra) const {
    return {pass_.residual, pass_.size, state_.count, extra};
  }

  void pass(cudaStream_t stream, Index columns,
            const Pass<Real, Product, Increment>& arguments) const {
    switch (sweep_.epilogue) {
      case Epilogue::relu:
        return launch_pass<Epilogue::relu>(stream, columns, arguments);
      case Epilogue::mask:
        return launch_pass<Epilogue::mask>(stream, columns, arguments);
      case Epilogue::none:
        return launch_pass<Epilogue::none>(stream, columns, arguments);
    }
  }

  void look_at(cudaStream_t stream, bool measuring, const Repeat& repeat) const {
    launch(stream, {.blocks = dim3(1), .threads = look_threads}, look, progress_, results_,
           measuring, repeat);
  }

  /// All that a captured sweep holds.
  template <class A>
  SweepKey key(const A& factor) const {
    const auto address = [](const void* data) { return reinterpret_cast<std::uint64_t>(data); };
    const auto size = [](Index value) { return static_cast<std::uint64_t>(value); };
    return {static_cast<std::uint64_t>(sweep_.A.precision),
            static_cast<std::uint64_t>(sweep_.transpose),
            static_cast<std::uint64_t>(sweep_.epilogue),
            std::bit_cast<std::uint64_t>(pass_.unit),
            size(pass_.P.rows),
            address(left_of(factor, sweep_.transpose)),
            address(pass_.P.data),
            size(pass_.P.stride),
            address(pass_.applied.data),
            size(pass_.applied.stride),
            address(pass_.gained.P.data),
            size(pass_.gained.P.stride),
            address(pass_.gained.Z.data),
            size(pass_.gained.Z.stride),
            address(pass_.gained.switched),
            address(pass_.gate.data),
            size(pass_.gate.stride),
            address(pass_.pending.data),
            size(pass_.pending.stride),
            address(pass_.open),
            address(pass_.scale),
            address(pass_.residual),
            address(pass_.size),
            address(pass_.first_step),
            address(results_),
            address(product_.data),
            address(context_.scratch<std::byte>(Scratch::library, 0))};
  }

  /// Of a loop, whose moves have come along.
  SweepStatus finish(const Progress& end) {
    SweepStatus status = status_of(end);
    status.unsettled = context_.columns_seen().extra;
    return status;
  }
  SweepStatus status_of(const Progress& end) {
    state_.open_count = end.open;
    const auto m = static_cast<double>(pass_.P.rows);
    return {.sweeps = end.sweeps,
            .open = end.open,
            .worst_residual = end.worst_residual,
            .worst_growth = end.worst_growth,
            .finite = end.finite != 0,
            .operations = 2.0 * m * m * end.columns,
            .first_residual = end.first_residual};
  }

  Context& context_;
  SweepState& state_;
  const Sweep& sweep_;
  MatrixView<Product> product_;  // op(A) pending
  Progress* progress_;
  ColumnResult* results_;
  double* moves_;  // what unsettled() says, where A has a plane
  Pass<Real, Product, Increment> pass_;
  Packing packing_;
};

/// Calls with the iteration at the operand's precision, and the operand.
template <class Call>
SweepStatus with_iteration(Context& context, SweepState& state, const Sweep& sweep, Call call) {
  switch (sweep.A.precision) {
    case Precision::fp64: {
      Iteration<double, double, double> iteration(context, state, sweep, sweep.s);
      return call(iteration, static_cast<const DenseOperand&>(sweep.A));
    }
    case Precision::fp32: {
      Iteration<float, float, float> iteration(context, state, sweep, sweep.s);
      return call(iteration, static_cast<const DenseOperand&>(sweep.A));
    }
    case Precision::mixed:
      break;
  }
  const auto& A = static_cast<const DigitOperand&>(sweep.A);
  Iteration<float, std::int32_t, std::int8_t> iteration(context, state, sweep, sweep.s * A.step);
  return call(iteration, A);
}

}  // namespace

SweepStatus measure(Context& context, SweepState& state, const Sweep& sweep, bool starting,
                    const Row& extra) {
  check_sweep("measure", state, sweep);
  state.pending_in = PendingIn::all_rows;
  return with_iteration(context, state, sweep, [&](auto& iteration, const auto&) {
    return iteration.measure(starting, extra);
  });
}

SweepStatus iterate(Context& context, Loop& loop, SweepState& state, const Sweep& sweep, int most) {
  check_sweep("iterate", state, sweep);
  return with_iteration(context, state, sweep, [&](auto& iteration, const auto& A) {
    return iteration.iterate(loop, A, most);
  });
}

SweepStatus measure_and_iterate(Context& context, Loop& loop, SweepState& state, const Sweep& sweep,
                                bool starting, int most) {
  check_sweep("measure", state, sweep);
  state.pending_in = PendingIn::all_rows;
  return with_iteration(context, state, sweep, [&](auto& iteration, const auto& A) {
    return iteration.measure_and_iterate(loop, A, starting, most);
  });
}

}  // namespace widedeq::cuda
