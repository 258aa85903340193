// The CPU backend: each stage is a function of a file of its own; here they meet the interface.
#include "kernels/backend.hpp"

#include <omp.h>

#include <atomic>
#include <thread>

#include "kernels/address_space.hpp"
#include "kernels/cpu/bare_product.hpp"
#include "kernels/cpu/blas.hpp"
#include "kernels/cpu/gauss_seidel.hpp"
#include "kernels/cpu/generate.hpp"
#include "kernels/cpu/gram.hpp"
#include "kernels/cpu/integer_product.hpp"
#include "kernels/cpu/multiply.hpp"
#include "kernels/cpu/predict.hpp"
#include "kernels/cpu/rank_update.hpp"
#include "kernels/cpu/readout.hpp"
#include "kernels/cpu/rebuild.hpp"
#include "kernels/cpu/settle.hpp"
#include "kernels/cpu/sweep.hpp"
#include "kernels/cpu/transfer.hpp"
#include "kernels/cpu/workspace.hpp"
#include "kernels/operation_count.hpp"
#include "kernels/panels.hpp"
#include "kernels/stage_checks.hpp"

namespace widedeq::cpu {
namespace {

/// The calling thread's OpenMP teams have so many threads, and not fewer.
void use_threads(int threads) {
  omp_set_dynamic(0);
  omp_set_num_threads(threads);
}

/// The calling thread's OpenMP team has so many threads, and `afterwards` at the end.
class Team {
 public:
  Team(int threads, int afterwards) : afterwards_(afterwards) { use_threads(threads); }
  ~Team() { use_threads(afterwards_); }
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

 private:
  int afterwards_;
};

/// As many as are wanted, 0: as there are cores, but no more than OMP_THREAD_LIMIT allows. Nor may
/// OMP_DYNAMIC give fewer: oneDNN counts on all it has asked for. Without the others its int8
/// products are wrong, and its products in single precision wait for them for ever.
int threads_there_are(int wanted) {
  const int threads = wanted > 0 ? wanted : std::max(1, omp_get_num_procs());
  return std::min(threads, omp_get_thread_limit());
}

/// OpenBLAS asks for a buffer for every thread, and where there is no address space for it (ulimit
/// -v) it asks again for ever. Throws Unsupported instead, which is early: no buffer is touched.
void require_room_for_blas(int threads) {
  constexpr std::size_t buffer = std::size_t{129} << 20;
  static std::atomic<int> provided{0};  // for so many it has been there, and is kept
  const int more = threads - provided;
  if (more <= 0) return;
  const std::size_t wanted = buffer * static_cast<std::size_t>(more);
  if (has_address_space(wanted)) {
    provided = threads;
    return;
  }
  throw Unsupported("OpenBLAS needs " + std::to_string(wanted >> 20) +
                    " MiB of address space for " + std::to_string(threads) +
                    (threads == 1 ? " thread" : " threads") +
                    ", and ulimit -v leaves less: raise it, or use fewer --threads");
}

/// Everything runs on the calling thread's OpenMP team and is done when a stage returns. Stages are
/// called from one thread at a time, but for gram(), download() and save(), which share nothing
/// with the others.
class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(int threads) : threads_(threads_there_are(threads)) {
    require_room_for_blas(threads_);
    use_threads(threads_);
  }

  std::string description() const override {
    return "cpu: " + std::to_string(threads_) + (threads_ == 1 ? " thread, " : " threads, ") +
           "int8 by " + strip_kernel().name + ", " + integer_library() + ", " +
           openblas_get_config();
  }
  std::string why_not_mixed() const override { return why_integers_are_inexact(); }
  Precision fastest_precision() const override {
    return has_fast_integers() && why_not_mixed().empty() ? Precision::mixed : Precision::fp32;
  }

  Operations operations() const override { return count_.total(); }

  Matrix allocate(Element element, Index rows, Index columns) override {
    if (rows < 0 || columns < 0)
      throw ShapeError("allocate: " + std::to_string(rows) + " x " + std::to_string(columns));
    const auto bytes =
        static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns) * size_of(element);
    return {allocate_zeroed(bytes), element, rows, columns, rows};
  }
  void upload(MatrixView<const double> host, Block to) override {
    const Team team = share(to);
    cpu::upload(host, to);
  }
  void download(ConstBlock from, MatrixView<double> host) override {
    const Team team = share(from);
    cpu::download(from, host);
  }
  void copy(ConstBlock from, Block to) override {
    const Team team = share(to);
    cpu::copy(from, to);
  }
  void save(ConstBlock from, std::span<std::byte> to) override { cpu::save(from, to); }
  void restore(std::span<const std::byte> from, Block to) override { cpu::restore(from, to); }
  void fill(Block to, double value) override {
    const Team team = share(to);
    cpu::fill(to, value);
  }
  void broadcast(ConstBlock column, Block to) override {
    const Team team = share(to);
    cpu::broadcast(column, to);
  }
  void add_column(Block to, double alpha, ConstBlock column) override {
    const Team team = share(to);
    cpu::add_column(to, alpha, column);
  }
  void synchronize() override {}

  void generate_lattice(Block out, std::uint64_t seed, Tensor tensor) override {
    const Team team = share(out, drawing);
    cpu::generate_lattice(out, seed, tensor);
  }
  void generate_gaussian(Block out, std::uint64_t seed, Tensor tensor) override {
    const Team team = share(out, drawing);
    cpu::generate_gaussian(out, seed, tensor);
  }
  Split split(Block change, Block base) override {
    const Team team = share(change);
    return cpu::split(change, base);
  }
  std::unique_ptr<Operand> make_operand(Precision precision, Index width, int panels) override {
    expect_exact(why_not_mixed(), precision, width);
    if (panels == 0)
      panels = precision == Precision::mixed ? strips_of(width) : choose_panels(width);
    return cpu::make_operand(precision, width, panels);
  }
  void refresh(Operand& operand, const WeightView& A, Changed changed) override {
    const Team team = share(A.base);
    cpu::refresh(operand, A, changed);
  }
  void apply(const WeightView& A, Transpose transpose, std::span<const double> x,
             std::span<double> y) override {
    const Team team = share(A.base);
    cpu::apply(A, transpose, x, y);
  }

  void inject(ConstBlock W, ConstBlock X, Injection injection, Sums sums, Block Phi) override {
    const Team team = share(Phi, W.columns);
    count_.inject(W, X, sums);
    cpu::inject(W, X, injection, sums, Phi);
  }
  SweepState make_sweep_state(Precision precision, Index width, Index columns) override {
    const Element real = real_of(precision);
    const bool mixed = precision == Precision::mixed;
    SweepState state;
    state.P = allocate(real, width, columns);
    state.applied = allocate(real, width, columns);
    // Products of int8 read more columns than there are: whole steps, or the end of a strip.
    state.pending =
        mixed ? allocate(Element::int8, width, padded_columns(columns) + spare_columns(width))
              : allocate(real, width, columns);
    if (mixed) state.settled = allocate(real, width, columns);
    state.scale = allocate(Element::float64, 1, columns);
    state.residual = allocate(Element::float64, 1, columns);
    state.size = allocate(Element::float64, 1, columns);
    state.first_step = allocate(Element::float64, 1, columns);
    state.known = allocate(Element::int32, 2, columns);
    state.pace = allocate(Element::float64, 4, columns);
    state.switched = allocate(Element::int32, 1, columns);
    state.open = allocate(Element::int32, 1, columns);
    state.count = columns;
    return state;
  }
  SweepStatus measure(SweepState& state, const Sweep& sweep, bool starting) override {
    const Team team = share(used(state.P, state));
    return sweep.A.panels > 1 ? cpu::measure_panels(state, sweep, starting)
                              : cpu::measure(state, sweep, starting);
  }
  SweepStatus iterate(SweepState& state, const Sweep& sweep, int most) override {
    const Team team = share(used(state.P, state), sweep.A.width);
    const SweepStatus status = sweep.A.panels > 1
                                   ? cpu::iterate_panels(state, sweep, most, workspace_)
                                   : cpu::iterate(state, sweep, most, workspace_);
    count_.iterate(sweep.A.precision, status);
    return status;
  }
  std::vector<double> unsettled(const SweepState& state) override {
    const Team team = share(used(state.P, state));
    return cpu::unsettled(state);
  }
  double settle(SweepState& state, const Sweep& sweep, const SettledColumns& columns) override {
    const Team team = share(used(state.P, state), sweep.A.width);
    const double gain = cpu::settle(state, sweep, columns, workspace_);
    const auto& A = dynamic_cast<const DigitOperand&>(sweep.A);
    count_.settle(columns, A.width, A.has_digits, A.source.left.columns);
    return gain;
  }
  void rebuild(SweepState& state, const Sweep& sweep, const WeightView& A, ConstBlock c) override {
    const Team team = share(used(state.P, state), sweep.A.width);
    count_.rebuild(state, A);
    cpu::rebuild(state, sweep, A, c);
  }
  bool predict(SweepState& state, const Sweep& sweep, const Extrapolation& by) override {
    const Team team = share(used(state.P, state));
    return cpu::predict(state, sweep, by);
  }
  std::vector<double> residuals(const SweepState& state) override {
    const double* residual = state.residual.block().as<const double>().data;
    return {residual, residual + state.count};
  }
  std::vector<double> sizes(const SweepState& state) override {
    const double* size = state.size.block().as<const double>().data;
    return {size, size + state.count};
  }
  std::vector<double> readout(ConstBlock u, ConstBlock Z, ConstBlock v, ConstBlock Phi) override {
    const Team team = share(Z);
    return cpu::readout(u, Z, v, Phi);
  }

  void backward_injection(ConstBlock L, ConstBlock v, ConstBlock Phi, Injection injection,
                          Block B) override {
    const Team team = share(B);
    cpu::backward_injection(L, v, Phi, injection, B);
  }
  double rank_update(Block C, double alpha, ConstBlock left, std::span<const double> r,
                     ConstBlock right, Precision precision) override {
    const Team team = C.columns == 1 ? share(left) : share(C, left.columns);
    count_.rank_update(left, right, goes_by_digits(precision, left, right.rows));
    return cpu::rank_update(C, alpha, left, r, right, precision, workspace_);
  }
  double copy_factors(double alpha, ConstBlock left, std::span<const double> r, ConstBlock right,
                      Block left_factor, Block right_factor) override {
    const Team team = share(left, left.columns);
    count_.copy_factors(left, right);
    return cpu::copy_factors(alpha, left, r, right, left_factor, right_factor, workspace_);
  }
  void follow_rank_update(Block P, double alpha, ConstBlock left, std::span<const double> r,
                          ConstBlock right, Precision precision) override {
    const Team team = share(P, left.columns);
    count_.follow_rank_update(P, left, right, goes_by_digits(precision, left, left.columns),
                              OperationCount::Gram::half);
    cpu::follow_rank_update(P, alpha, left, r, right, precision, workspace_);
  }
  double add_scaled(Block C, double alpha, ConstBlock G) override {
    const Team team = share(C);
    return cpu::add_scaled(C, alpha, G);
  }
  void absorb(Block to, Block change) override {
    const Team team = share(to);
    cpu::absorb(to, change);
  }

  void gram(const GramInput& input, Grams& out) override {
    const Team team = share(input.Z, input.Z.columns);
    cpu::gram(input, out);
  }

  BareProduct bare_product(Precision precision, Index m, Index n) override {
    expect_exact(why_not_mixed(), precision, m);
    return cpu::bare_product(*this, precision, m, n);
  }

 private:
  bool is_owner() const { return std::this_thread::get_id() == owner_; }
  /// A Gram beside the epochs is made on another thread than these, whose team it would compete
  /// with: it takes half of the threads. (Measured, 2 cores, Grams every 20 epochs, seconds for 200
  /// epochs at 512 x 200: 1.6 with as many threads again, 1.2 so.)
  int most_threads() const { return is_owner() ? threads_ : std::max(1, threads_ / 2); }

  /// Gives the stage that it stands before to all threads or, where that would take longer, to
  /// one: a few microseconds' work is done before the others have woken up. Never to some of them:
  /// the OpenMP library ends those that are left over, and starts them again. The work is that of
  /// so many entries, each with an inner product of `depth` terms. (Measured, 2 threads on a
  /// virtual machine that wakes them slowly, 1500 epochs at 64 x 40 with Grams: 13.6 s with all
  /// threads always, 0.5 s so.)
  Team share(const ConstBlock& entries, Index depth = 0) const {
    constexpr double worth_waking = 3e4;  // entries, about a nanosecond each
    constexpr double terms_an_entry = 100.0;
    const double work = static_cast<double>(entries.rows) * static_cast<double>(entries.columns) *
                        (1.0 + static_cast<double>(depth) / terms_an_entry);
    const int most = most_threads();
    // Between stages the Gram's thread has one, for it finds eigenvalues there, by OpenBLAS, whose
    // teams must not meet (gram.cpp).
    return {work < worth_waking ? 1 : most, is_owner() ? most : 1};
  }
  static constexpr Index drawing = 1000;  // the depth that a random number is like

  /// The columns of a state that are in use.
  static ConstBlock used(const Matrix& matrix, const SweepState& state) {
    return matrix.columns(0, state.count);
  }

  int threads_;
  std::thread::id owner_ = std::this_thread::get_id();
  Workspace workspace_;
  OperationCount count_;
};

}  // namespace
}  // namespace widedeq::cpu

std::unique_ptr<widedeq::Backend> widedeq::make_cpu_backend(int threads) {
  return std::make_unique<cpu::CpuBackend>(threads);
}
