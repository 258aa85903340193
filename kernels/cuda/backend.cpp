// The CUDA backend: each stage is a function of a file of its own; here they meet the interface.
#include "kernels/backend.hpp"

#include <nvtx3/nvToolsExt.h>

#include <cstdlib>
#include <mutex>
#include <string_view>
#include <thread>

#include "kernels/cuda/algorithm.hpp"
#include "kernels/cuda/bare_product.hpp"
#include "kernels/cuda/context.hpp"
#include "kernels/cuda/devices.hpp"
#include "kernels/cuda/digit_update.hpp"
#include "kernels/cuda/fused_sweep.hpp"
#include "kernels/cuda/gauss_seidel.hpp"
#include "kernels/cuda/generate.hpp"
#include "kernels/cuda/gram.hpp"
#include "kernels/cuda/loop.hpp"
#include "kernels/cuda/multiply.hpp"
#include "kernels/cuda/operand.hpp"
#include "kernels/cuda/predict.hpp"
#include "kernels/cuda/rank_update.hpp"
#include "kernels/cuda/readout.hpp"
#include "kernels/cuda/rebuild.hpp"
#include "kernels/cuda/self_test.hpp"
#include "kernels/cuda/settle.hpp"
#include "kernels/cuda/stopwatch.hpp"
#include "kernels/cuda/sweep.hpp"
#include "kernels/cuda/transfer.hpp"
#include "kernels/operation_count.hpp"
#include "kernels/stage_checks.hpp"

namespace widedeq::cuda {
namespace {

/// As many columns as fill the widest device's waves.
constexpr Index many_columns = 1 << 14;

/// What an environment variable may say of a choice, and what is chosen: for benchmarks and for
/// finding out what is wrong on a new machine.
std::string_view chosen_by(const char* variable) {
  const char* text = std::getenv(variable);
  return text == nullptr ? std::string_view() : std::string_view(text);
}

/// How solves are driven on this device, and why.
struct LoopChoice {
  LoopKind kind;
  std::string text;
};

LoopChoice choose_loop(Context& context) {
  const std::string_view wish = chosen_by("WIDEDEQ_CUDA_LOOP");
  if (wish == "host")
    return {LoopKind::host, "sweeps driven by the host, as WIDEDEQ_CUDA_LOOP says"};
  if (!wish.empty() && wish != "graph" && wish != "auto")
    throw Unsupported("WIDEDEQ_CUDA_LOOP=" + std::string(wish) + ": it can be graph, host or auto");
  const std::string why_not = why_not_graphs(context);
  if (why_not.empty()) return {LoopKind::graph, "sweeps driven by a graph on the device"};
  if (wish == "graph")
    throw Unsupported("WIDEDEQ_CUDA_LOOP=graph: " + why_not + "; leave it unset");
  return {LoopKind::host, "sweeps driven by the host (no graph: " + why_not + ")"};
}

/// Stages run on one stream, in the order of the calls; they are called from one thread at a time.
/// Another thread may call gram() and the transfers at the same time: those then run on a second
/// stream, after what the first one had been given until then.
class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(int device)
      : context_(device),
        owner_(std::this_thread::get_id()),
        loop_choice_(choose_loop(context_)),
        loop_(loop_choice_.kind),
        why_not_mixed_(why_integers_are_inexact(context_)),
        multiplier_(multiplier_named(chosen_by("WIDEDEQ_CUDA_SWEEP"))) {
    if (multiplier_ == Multiplier::fused && !fused_works())
      throw Unsupported("WIDEDEQ_CUDA_SWEEP=fused: " + *why_not_fused_ + "; leave it unset");
  }

  std::string description() const override {
    const cudaDeviceProp& device = context_.properties();
    return std::string("cuda: ") + device.name + ", compute capability " +
           std::to_string(device.major) + "." + std::to_string(device.minor) + ", " +
           std::to_string(device.multiProcessorCount) + " multiprocessors, " + loop_choice_.text +
           ", int8 by " + multiplier_text();
  }
  std::string why_not_mixed() const override { return why_not_mixed_; }
  Precision fastest_precision() const override {
    return why_not_mixed_.empty() ? Precision::mixed : Precision::fp32;
  }

  Operations operations() const override { return count_.total(); }

  std::optional<double> free_device_memory() const override {
    std::size_t free = 0, all = 0;
    WIDEDEQ_CUDA_CHECK(cudaMemGetInfo(&free, &all));
    return static_cast<double>(free);
  }
  Matrix allocate(Element element, Index rows, Index columns) override {
    return context_.allocate(element, rows, columns);
  }
  void upload(MatrixView<const double> host, Block to) override {
    context_.forget(to.data);
    cuda::upload(context_, host, to);
  }
  void download(ConstBlock from, MatrixView<double> host) override {
    with_context([&](Context& context) { cuda::download(context, from, host); });
  }
  void copy(ConstBlock from, Block to) override {
    context_.forget(to.data);
    cuda::copy(context_, from, to);
  }
  void save(ConstBlock from, std::span<std::byte> to) override {
    with_context([&](Context& context) { cuda::save(context, from, to); });
  }
  void restore(std::span<const std::byte> from, Block to) override {
    context_.columns_seen() = {};  // a state's rows may be among what is restored
    context_.forget(to.data);
    cuda::restore(context_, from, to);
  }
  void fill(Block to, double value) override {
    context_.forget(to.data);
    cuda::fill(context_, to, value);
  }
  void broadcast(ConstBlock column, Block to) override { cuda::broadcast(context_, column, to); }
  void add_column(Block to, double alpha, ConstBlock column) override {
    cuda::add_column(context_, to, alpha, column);
  }
  void synchronize() override { context_.synchronize(); }

  void generate_lattice(Block out, std::uint64_t seed, Tensor tensor) override {
    cuda::generate_lattice(context_, out, seed, tensor);
  }
  void generate_gaussian(Block out, std::uint64_t seed, Tensor tensor) override {
    cuda::generate_gaussian(context_, out, seed, tensor);
  }
  Split split(Block change, Block base) override { return cuda::split(context_, change, base); }
  std::unique_ptr<Operand> make_operand(Precision precision, Index width, int panels) override {
    expect_exact(why_not_mixed_, precision, width);
    // The more columns, the more panels.
    const int most = choose_sweep(precision, width, many_columns, multiprocessors()).panels;
    auto operand = cuda::make_operand(precision, width, panels == 0 ? most : panels);
    operand->chooses_panels = panels == 0;
    return operand;
  }
  void refresh(Operand& operand, const WeightView& A, Changed changed) override {
    cuda::refresh(context_, operand, A, changed);
  }
  void apply(const WeightView& A, Transpose transpose, std::span<const double> x,
             std::span<double> y) override {
    cuda::apply(context_, A, transpose, x, y);
  }

  void inject(ConstBlock W, ConstBlock X, Injection injection, Sums sums, Block Phi) override {
    count_.inject(W, X, sums);
    cuda::inject(context_, W, X, injection, sums, Phi);
  }
  SweepState make_sweep_state(Precision precision, Index width, Index columns) override {
    context_.columns_seen() = {};  // the new state may lie where one was
    const Element real = real_of(precision);
    const bool mixed = precision == Precision::mixed;
    SweepState state;
    state.P = allocate(real, width, columns);
    state.applied = allocate(real, width, columns);
    state.pending = allocate(mixed ? Element::int8 : real, width, columns);
    if (mixed) state.settled = allocate(real, width, columns);
    for (Matrix* row : {&state.scale, &state.residual, &state.size, &state.first_step})
      *row = context_.allocate_row(Element::float64, columns);
    state.known = allocate(Element::int32, 2, columns);
    context_.forget(state.known.block().data);
    state.pace = allocate(Element::float64, 4, columns);
    state.switched = context_.allocate_row(Element::int32, columns);
    state.open = context_.allocate_row(Element::int32, columns);
    state.count = columns;
    return state;
  }
  SweepStatus measure(SweepState& state, const Sweep& sweep, bool starting) override {
    return measure_by(algorithm_for(state, sweep), state, sweep, starting, {});
  }
  SweepStatus iterate(SweepState& state, const Sweep& sweep, int most) override {
    const SweepAlgorithm algorithm = algorithm_for(state, sweep);
    return counted(sweep, goes_by_panels(algorithm)
                              ? iterate_panels(context_, loop_, algorithm, state, sweep, most)
                              : cuda::iterate(context_, loop_, state, sweep, most));
  }
  SweepStatus measure_and_iterate(SweepState& state, const Sweep& sweep, bool starting,
                                  int most) override {
    const SweepAlgorithm algorithm = algorithm_for(state, sweep);
    return counted(
        sweep,
        goes_by_panels(algorithm)
            ? measure_and_iterate_panels(context_, loop_, algorithm, state, sweep, starting, most)
            : cuda::measure_and_iterate(context_, loop_, state, sweep, starting, most));
  }
  std::vector<double> unsettled(const SweepState& state) override {
    return cuda::unsettled(context_, state);
  }
  double settle(SweepState& state, const Sweep& sweep, const SettledColumns& columns) override {
    const double gain = cuda::settle(context_, state, sweep, columns);
    count_settling(sweep, columns);
    return gain;
  }
  SettledLook settle_and_measure(SweepState& state, const Sweep& sweep,
                                 const SettledColumns& columns) override {
    const SweepAlgorithm algorithm = algorithm_for(state, sweep);  // may test it, with transfers
    const Row gains = enqueue_settling(context_, state, sweep, columns);
    count_settling(sweep, columns);
    const SweepStatus look = measure_by(algorithm, state, sweep, false, gains);
    return {largest_gain(context_.columns_seen().extra), look};
  }
  void rebuild(SweepState& state, const Sweep& sweep, const WeightView& A, ConstBlock c) override {
    count_.rebuild(state, A);
    cuda::rebuild(context_, state, sweep, A, c);
  }
  bool predict(SweepState& state, const Sweep& sweep, const Extrapolation& by) override {
    return cuda::predict(context_, state, sweep, by);
  }
  std::vector<double> residuals(const SweepState& state) override {
    return has_seen(state) ? context_.columns_seen().residuals
                           : row_of(state.residual, state.count);
  }
  std::vector<double> sizes(const SweepState& state) override {
    return has_seen(state) ? context_.columns_seen().sizes : row_of(state.size, state.count);
  }
  std::vector<double> readout(ConstBlock u, ConstBlock Z, ConstBlock v, ConstBlock Phi) override {
    return cuda::readout(context_, u, Z, v, Phi);
  }

  void backward_injection(ConstBlock L, ConstBlock v, ConstBlock Phi, Injection injection,
                          Block B) override {
    cuda::backward_injection(context_, L, v, Phi, injection, B);
  }
  double rank_update(Block C, double alpha, ConstBlock left, std::span<const double> r,
                     ConstBlock right, Precision precision) override {
    count_.rank_update(left, right, wants_digits(precision, left, right.rows));
    return cuda::rank_update(context_, C, alpha, left, r, right, precision);
  }
  double copy_factors(double alpha, ConstBlock left, std::span<const double> r, ConstBlock right,
                      Block left_factor, Block right_factor) override {
    count_.copy_factors(left, right);
    return cuda::copy_factors(context_, alpha, left, r, right, left_factor, right_factor);
  }
  void follow_rank_update(Block P, double alpha, ConstBlock left, std::span<const double> r,
                          ConstBlock right, Precision precision) override {
    const bool by_digits = wants_digits(precision, left, left.columns);
    const auto gram = by_digits && suits_symmetric_product(right.rows, right.columns)
                          ? OperationCount::Gram::digits
                          : OperationCount::Gram::whole;
    count_.follow_rank_update(P, left, right, by_digits, gram);
    cuda::follow_rank_update(context_, P, alpha, left, r, right, precision);
  }
  double add_scaled(Block C, double alpha, ConstBlock G) override {
    return cuda::add_scaled(context_, C, alpha, G);
  }
  void absorb(Block to, Block change) override { cuda::absorb(context_, to, change); }

  void gram(const GramInput& input, Grams& out) override {
    on_second_stream([&](Context& context) { cuda::gram(context, input, out); });
  }

  double seconds_of(const std::function<void()>& call) override {
    context_.synchronize();
    stopwatch_.start(context_.stream());
    call();
    stopwatch_.stop(context_.stream());
    return stopwatch_.seconds();
  }
  void begin_range(const char* name) override { nvtxRangePushA(name); }
  void end_range() override { nvtxRangePop(); }

  BareProduct bare_product(Precision precision, Index m, Index n) override {
    expect_exact(why_not_mixed_, precision, m);
    return cuda::bare_product(*this, context_, precision, m, n);
  }

 private:
  std::string multiplier_text() const {
    if (!multiplier_) return "cuBLASLt, or by our own kernel where that was measured to win";
    return *multiplier_ == Multiplier::fused ? "our own kernel" : "cuBLASLt";
  }
  int multiprocessors() const { return context_.properties().multiProcessorCount; }

  /// The same for all sweeps of a solve.
  SweepAlgorithm algorithm_for(const SweepState& state, const Sweep& sweep) {
    const auto& A = static_cast<const DeviceOperand&>(sweep.A);
    SweepAlgorithm algorithm = choose_sweep(A.precision, A.width, state.count, multiprocessors());
    if (!A.chooses_panels) algorithm.panels = A.panels;
    if (A.precision == Precision::mixed) {
      if (multiplier_) algorithm.multiplier = *multiplier_;
      // Who asks for one panel wants all rows at once, norms known before increments are made.
      const bool is_jacobi = !A.chooses_panels && A.panels == 1;
      if (algorithm.multiplier == Multiplier::fused && (is_jacobi || !fused_works()))
        algorithm.multiplier = Multiplier::library;
    }
    return algorithm;
  }
  /// `extra` comes along.
  SweepStatus measure_by(const SweepAlgorithm& algorithm, SweepState& state, const Sweep& sweep,
                         bool starting, const Row& extra) {
    return goes_by_panels(algorithm)
               ? measure_panels(context_, algorithm, state, sweep, starting, extra)
               : cuda::measure(context_, state, sweep, starting, extra);
  }
  /// Tested when it is first to be used: most runs never do.
  bool fused_works() {
    if (!why_not_fused_)
      why_not_fused_ = why_not_mixed_.empty() ? why_not_fused(context_) : why_not_mixed_;
    return why_not_fused_->empty();
  }
  /// The fused kernel makes its increments before it knows the column's norms, as panels do.
  static bool goes_by_panels(const SweepAlgorithm& algorithm) {
    return algorithm.panels > 1 || algorithm.multiplier == Multiplier::fused;
  }

  void count_settling(const Sweep& sweep, const SettledColumns& columns) {
    const auto& A = dynamic_cast<const DigitOperand&>(sweep.A);
    count_.settle(columns, A.width, A.has_digits, A.source.left.columns);
  }
  const SweepStatus& counted(const Sweep& sweep, const SweepStatus& status) {
    count_.iterate(sweep.A.precision, status);
    return status;
  }

  /// Whether the last solve was on this state, and has told of its columns.
  bool has_seen(const SweepState& state) {
    const ColumnsSeen& seen = context_.columns_seen();
    return seen.of == state.residual.block().as<const double>().data &&
           static_cast<Index>(seen.residuals.size()) == state.count;
  }

  /// The first `count` entries of a row of doubles. Synchronises.
  std::vector<double> row_of(const Matrix& row, Index count) {
    std::vector<double> values(static_cast<std::size_t>(count));
    cuda::download(context_, row.columns(0, count), {values.data(), 1, count});
    return values;
  }

  template <class Call>
  void with_context(Call call) {
    if (std::this_thread::get_id() == owner_) {
      call(context_);
    } else {
      on_second_stream(call);
    }
  }

  /// The call's stream goes on from where the first one is now. Whoever calls waits for its
  /// results, so what it writes is there for the first stream too.
  template <class Call>
  void on_second_stream(Call call) {
    const std::lock_guard lock(second_mutex_);
    if (!second_) second_ = std::make_unique<Context>(context_.device());
    second_->make_current();
    context_.let_follow(*second_);
    call(*second_);
  }

  Context context_;
  Stopwatch stopwatch_;  // of seconds_of
  std::thread::id owner_;
  LoopChoice loop_choice_;
  Loop loop_;
  std::string why_not_mixed_;
  std::optional<std::string> why_not_fused_;  // none: not asked yet
  std::optional<Multiplier> multiplier_;      // none: by shape
  OperationCount count_;
  std::mutex second_mutex_;
  std::unique_ptr<Context> second_;  // made when another thread first calls
};

}  // namespace
}  // namespace widedeq::cuda

std::unique_ptr<widedeq::Backend> widedeq::make_cuda_backend() {
  // One may be another process's alone, or have no memory left.
  std::string refusals;
  for (const int device : cuda::usable_devices()) {
    try {
      return std::make_unique<cuda::CudaBackend>(device);
    } catch (const DeviceError& error) {
      (void)cudaGetLastError();
      refusals += (refusals.empty() ? "device " : "; device ") + std::to_string(device) + ": " +
                  error.what();
    }
  }
  // There is a GPU, and it was to be used: whoever asked must not find out by the time it takes.
  throw BusyDevice("no GPU starts (" + refusals + "); wait for one, or use --backend cpu");
}
