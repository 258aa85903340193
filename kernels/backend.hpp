// The one interface between the network's mathematics (host/) and the machine (kernels/cpu, cuda).
//
// A virtual call is a fused stage over whole matrices, never an entry or a column, so the call
// costs nothing beside the work. Matrices live in the backend's memory and are passed as tagged
// blocks; scalars and n-vectors cross as doubles. Unless a stage says otherwise it may run
// asynchronously to the caller, stages run in the order of the calls, outputs must not alias
// inputs, and blocks of shapes that do not fit throw ShapeError before anything is written. One
// thread calls; gram(), download() and save() may be called from another one meanwhile.
//
// Symbols and shapes (width m, samples n, inputs d) as in README.md: P, Z, L, Phi are m x n.
#pragma once

#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/element.hpp"
#include "kernels/host_matrix.hpp"
#include "kernels/matrix.hpp"
#include "kernels/random.hpp"
#include "kernels/response.hpp"
#include "kernels/settling.hpp"
#include "kernels/weight_view.hpp"

namespace widedeq {

/// fp64: the reference. fp32: plain single precision. mixed: int8 products, single-precision
/// results.
enum class Precision : std::uint8_t { fp64, fp32, mixed };

/// The element type of states and parameters at a precision: float64 or float32.
constexpr Element real_of(Precision precision) {
  return precision == Precision::fp64 ? Element::float64 : Element::float32;
}

/// How the input enters: Phi = relu(W X)/sqrt(m) (the paper's) or W X/sqrt(m).
enum class Injection : std::uint8_t { relu, linear };

/// What Backend::split found out.
struct Split {
  double step = 0.0;
  bool exact = false;  // change is zero: A equals step * base
};

/// What has changed in the weights since an operand last saw them; each includes those before it.
enum class Changed : std::uint8_t { factors, change, base };

/// A as the products want it (a dense copy, or packed int8 planes). Made and refreshed by a
/// backend, which may put off part of the work: the WeightView it was refreshed with must stay as
/// it is until the next refresh.
class Operand {
 public:
  virtual ~Operand() = default;

  Precision precision = Precision::fp64;
  Index width = 0;
  /// Row panels of a sweep (Gauss-Seidel); one: all rows at once (Jacobi).
  int panels = 1;
  /// True when A = base + a plane that sweeps leave out and settle() applies (mixed, change not 0).
  bool has_plane = false;
  double plane_size = 0.0;    // its Frobenius norm or more
  double plane_change = 0.0;  // that of A's last update, as far as it is known
  /// Counts the bases there have been. A state from before the last one must be rebuilt.
  int base_version = 0;
  /// A base of the operand's own, m x m int8, once A's has been outgrown (mixed); else empty. It
  /// depends on the weights of its day, so it is part of what a checkpoint saves.
  Matrix own_base;
  double own_step = 0.0;
};

/// The rows of P that the pending increments have not reached.
enum class PendingIn : std::uint8_t {
  all_rows,    // after a guess, and between Jacobi sweeps
  no_rows,     // nothing is pending: before the first Gauss-Seidel sweep
  upper_rows,  // those of the increments' own row panel and above: between Gauss-Seidel sweeps
};

/// What the increments of a solve add to P and to Zhat, m x n real each; Z in mixed only. Noted
/// apart, since a difference of P would have P's rounding. Empty: not noted.
struct Gains {
  Matrix P, Z;
};

/// One fixed-point iteration z = f(s op(A) z + c) on n columns, c being what P starts from.
///
/// Invariant between sweeps: P = c + s op(A) (applied - pending), where pending holds the
/// increments already counted in `applied` and not yet multiplied. A stopped column has none
/// pending, so for it P belongs to `applied` exactly. With a plane E in A (mixed), E's part of P
/// belongs to `settled`. Amid Gauss-Seidel sweeps the increments of a row panel have reached the
/// panels below it and are pending for the others.
struct SweepState {
  Matrix P;           // m x n real
  Matrix applied;     // m x n real: Zhat, the sum of all increments
  Matrix pending;     // m x n real (fp64, fp32) or int8 (mixed), packed: open columns only
  Matrix settled;     // m x n real, mixed only
  Matrix scale;       // 1 x n float64: value of one unit of a pending increment
  Matrix residual;    // 1 x n float64: ||f(P) - applied|| / ||applied|| before the last increment,
                      // 1 where `applied` is zero and f(P) is not
  Matrix size;        // 1 x n float64: ||applied|| when the residual was measured
  Matrix first_step;  // 1 x n float64: the larger of ||f(P) - applied|| and ||applied|| at the
                      // start, by which growth is judged
  Gains gained;       // what the solve has added, the guess it began with included
  Gains gained_before;  // what the one before it has
  Matrix known;         // 2 x n int32: of how many of these a column knows (response.hpp)
  Matrix switched;      // 1 x n int32: whether units have switched, as predict() has found
  Matrix pace;          // 4 x n float64: how a column converges; see cpu/gauss_seidel.cpp
  PendingIn pending_in = PendingIn::all_rows;
  Matrix open;  // 1 x n int32: the columns that have not stopped, ascending
  Index open_count = 0;
  Index count = 0;  // columns in use, the first of the n; set by whoever fills P
};

/// What to iterate.
struct Sweep {
  const Operand& A;
  Transpose transpose;
  double s;  // gamma / sqrt(m)
  Epilogue epilogue;
  ConstBlock gate;      // m x n real, read by Epilogue::mask: D = 1[gate > 0]
  double tolerance;     // a column stops at ||f(P) - applied|| <= tolerance ||applied||
  bool jacobi = false;  // all rows at once, however many panels the operand has
  /// An iteration whose steps ||f(P) - applied|| have grown beyond so many times first_step is
  /// given up, with columns still open. Looked at every growth_look sweeps: a map that contracts
  /// may grow for a few.
  double hopeless_growth = std::numeric_limits<double>::infinity();
};

inline constexpr int growth_look = 16;

/// Whether an iteration is given up: after so many sweeps, the last of which found steps so much
/// longer than SweepState::first_step, at that Sweep::hopeless_growth.
constexpr bool is_hopeless(int sweeps, double worst_growth, double hopeless_growth) {
  return sweeps > 0 && sweeps % growth_look == 0 && worst_growth > hopeless_growth;
}

/// What an iteration says of itself. `worst_*` are maxima over the columns that were open.
struct SweepStatus {
  int sweeps = 0;
  Index open = 0;  // columns still open
  double worst_residual = 0.0;
  double worst_growth = 0.0;    // ||f(P) - applied|| / first_step
  bool finite = true;           // false: a NaN or infinity turned up and the iteration stopped
  double operations = 0.0;      // additions and multiplications in products
  double first_residual = 0.0;  // measure_and_iterate: worst_residual as measured
  /// What unsettled() would say, where a backend has it at hand after an iteration; else empty.
  std::vector<double> unsettled = {};
};

/// What settling has come to, and what a look at the columns said afterwards.
struct SettledLook {
  double gain = 0.0;  // as settle() returns it
  SweepStatus look;
};

/// How a stage adds up: in the precision of its matrices, or in double, to round once at the end.
enum class Sums : std::uint8_t { native, in_double };

/// One NTK Gram's ingredients, all n columns; see Backend::gram.
struct GramInput {
  ConstBlock Z, L, Phi;  // m x n
  ConstBlock v;          // m x 1, empty without the skip
  ConstBlock X;          // d x n
  double s;
  Injection injection;
  bool wants_eigenvalues = false;
};

/// What Backend::gram makes: n x n, exactly symmetric, float64.
struct Grams {
  HostMatrix ntk;       // H
  HostMatrix features;  // Phi'Phi
  HostMatrix states;    // Z'Z
  HostMatrix adjoints;  // L'L
  /// Of ntk and features, ascending, where they were wanted; empty where the backend leaves them
  /// to the host.
  std::vector<double> eigenvalues, feature_eigenvalues;
};

/// The library's own product C = A B on random operands, nothing before it and nothing after.
struct BareProduct {
  Matrix A;                        // m x m, real or int8 (mixed)
  Matrix B;                        // as A, m x n or as many more columns as the library wants
  Matrix C;                        // real or int32 (mixed), the shape of B
  std::function<void()> multiply;  // C = A B; may run asynchronously, as a stage does
};

/// Additions and multiplications in products, by the arithmetic they ran in.
struct Operations {
  double fp64 = 0.0, fp32 = 0.0, int8 = 0.0;
};

class Backend {
 public:
  virtual ~Backend() = default;

  /// "cpu (oneDNN ..., OpenBLAS ..., 2 threads)" for logs and provenance.
  virtual std::string description() const = 0;
  /// Whether Precision::mixed runs exactly on this machine, and if not why: an empty string or a
  /// reason.
  virtual std::string why_not_mixed() const = 0;
  /// What `--precision auto` means here.
  virtual Precision fastest_precision() const = 0;

  /// What has been computed so far, by the shapes of the products there have really been: stopped
  /// columns and halves of sweeps that are left out do not count. Products with a vector, and those
  /// of gram(), which may run beside the others, are left out too.
  virtual Operations operations() const = 0;

  // ---- memory
  /// Bytes that are free where matrices are, if that is not the host's memory.
  virtual std::optional<double> free_device_memory() const { return std::nullopt; }
  /// A zeroed matrix. Throws std::bad_alloc, OutOfDeviceMemory where a device has no room, and
  /// ShapeError for a negative size.
  virtual Matrix allocate(Element element, Index rows, Index columns) = 0;
  /// Host doubles into a real block, rounded to its element type. Synchronises.
  virtual void upload(MatrixView<const double> host, Block to) = 0;
  /// A block of any element type into host doubles. Synchronises.
  virtual void download(ConstBlock from, MatrixView<double> host) = 0;
  /// to = from, same element type and shape.
  virtual void copy(ConstBlock from, Block to) = 0;
  /// The block's elements as they are, column after column without gaps, to host memory of rows x
  /// columns x size_of(element) bytes; and back. Both synchronise. Throw ShapeError when the sizes
  /// differ.
  virtual void save(ConstBlock from, std::span<std::byte> to) = 0;
  virtual void restore(std::span<const std::byte> from, Block to) = 0;
  /// Every entry = value.
  virtual void fill(Block to, double value) = 0;
  /// Every column of `to` = the m x 1 `column`, same element type.
  virtual void broadcast(ConstBlock column, Block to) = 0;
  /// Every column of `to` += alpha times the m x 1 `column`, same element type.
  virtual void add_column(Block to, double alpha, ConstBlock column) = 0;
  /// Returns when everything called so far is done.
  virtual void synchronize() = 0;

  // ---- weights
  /// out (int8, any shape) = the lattice law's integers for (seed, tensor).
  virtual void generate_lattice(Block out, std::uint64_t seed, Tensor tensor) = 0;
  /// out (real, any shape) = N(0,1) draws for (seed, tensor).
  virtual void generate_gaussian(Block out, std::uint64_t seed, Tensor tensor) = 0;
  /// Splits A, given in `change` (real m x m), into step * base + change, in place and without
  /// error. step is the smallest power of two that fits the largest entry. Synchronises.
  /// Throws std::domain_error when an entry is not finite.
  virtual Split split(Block change, Block base) = 0;
  /// An operand for width x width weights; holds nothing until refreshed. `panels` 0: chosen.
  virtual std::unique_ptr<Operand> make_operand(Precision precision, Index width,
                                                int panels = 0) = 0;
  /// operand = A; `changed` promises that the rest of it is what it was the last time. An own base
  /// stays, or is taken up if it has been put in place before a refresh with Changed::base.
  virtual void refresh(Operand& operand, const WeightView& A, Changed changed) = 0;
  /// y = op(A) x, accumulated in double; x and y host vectors of length m. Synchronises.
  virtual void apply(const WeightView& A, Transpose transpose, std::span<const double> x,
                     std::span<double> y) = 0;

  // ---- forward and adjoint
  /// Phi = relu(W X)/sqrt(m) or W X/sqrt(m). W is m x d, X is d x n, Phi m x n, all real.
  virtual void inject(ConstBlock W, ConstBlock X, Injection injection, Sums sums, Block Phi) = 0;
  /// Buffers for an iteration on `columns` columns of height `width`.
  virtual SweepState make_sweep_state(Precision precision, Index width, Index columns) = 0;
  /// Looks at P and `applied` as they stand, without a product: measures every column's residual,
  /// opens the columns above the tolerance and makes their increments, or leaves those to the
  /// panels of the sweep that follows. Starts an iteration (P = c, applied = 0) and restarts one.
  /// `starting` records first_step. Synchronises.
  virtual SweepStatus measure(SweepState& state, const Sweep& sweep, bool starting) = 0;
  /// Up to `most` sweeps, fewer when every column has stopped. One sweep is: P += s op(A) pending,
  /// then per entry f(P), the increment f(P) - applied, its rounding, applied += rounded increment,
  /// and per column the norms and the stop. With several panels that is done panel by panel, each
  /// taking the increments the ones above have just made. Synchronises.
  virtual SweepStatus iterate(SweepState& state, const Sweep& sweep, int most) = 0;
  /// measure(), and iterate() where columns are open: one stage, so that a device does both without
  /// waiting for the host in between. Synchronises.
  virtual SweepStatus measure_and_iterate(SweepState& state, const Sweep& sweep, bool starting,
                                          int most) {
    const SweepStatus measured = measure(state, sweep, starting);
    SweepStatus status = measured;
    if (measured.open > 0 && measured.finite && most > 0) status = iterate(state, sweep, most);
    status.first_residual = measured.worst_residual;
    return status;
  }
  /// Every column's ||applied - settled|| / ||applied||: by what the plane's share of P is stale, n
  /// doubles. Mixed precision only. Synchronises.
  virtual std::vector<double> unsettled(const SweepState& state) = 0;
  /// P += s op(plane) (applied - settled), and settled follows, in `columns`: afterwards P belongs
  /// to `applied` as a whole there, but for what digits leave out. Plane and difference are taken
  /// to 1, 2 or 3 base-256 digits (settling.hpp): each leaves out about 2^-8 of what the last one
  /// did, for 1, 3 or 6 products; settled stays behind by as much. Only with no column open, and
  /// each column once. Returns the gain, ||s op(plane) (applied - settled)|| / ||applied -
  /// settled||, the largest over these columns, from first digits and factors. Synchronises.
  virtual double settle(SweepState& state, const Sweep& sweep, const SettledColumns& columns) = 0;
  /// settle(), then measure(state, sweep, false): one stage, so that a device does both without
  /// waiting for the host in between. Synchronises.
  virtual SettledLook settle_and_measure(SweepState& state, const Sweep& sweep,
                                         const SettledColumns& columns) {
    const double gain = settle(state, sweep, columns);
    return {gain, measure(state, sweep, false)};
  }
  /// P = c + s op(A) applied anew, in double from A's masters, and settled = applied: undoes what
  /// rounding has done to a state that many solves have carried on. Only with no column open.
  virtual void rebuild(SweepState& state, const Sweep& sweep, const WeightView& A,
                       ConstBlock c) = 0;
  /// Starts a warm solve (no column open; P up to date for `applied`, but for what is left to
  /// settle) with a guess at what it will add to P: R, extrapolated `by` from the responses that a
  /// column knows, two or one; 0 where it knows none. `state.gained` becomes `gained_before` and
  /// notes what this solve adds, from now on; where a mask has switched units it is R and stays so.
  /// The caller allocates both before the first time, and zeroes `known` when they hold no
  /// responses. f is relu or mask. (kernels/response.hpp)
  ///
  ///   mixed        P += R, and `applied` += what made it: exact, R = s op(base of A) times that,
  ///                since the base does not change. Returns false.
  ///   fp64, fp32   opens every column with the increment to f(P + R), since in floating point the
  ///                former increments would not make R again. Returns false, having opened none,
  ///                when two thirds of the columns or more know no response, or `by` is none. May
  ///                synchronise.
  virtual bool predict(SweepState& state, const Sweep& sweep, const Extrapolation& by) = 0;
  /// Every column's relative residual as last measured, n doubles. Synchronises.
  virtual std::vector<double> residuals(const SweepState& state) = 0;
  /// Every column's ||applied|| at that time, n doubles. Synchronises.
  virtual std::vector<double> sizes(const SweepState& state) = 0;
  /// yhat = u'Z + v'Phi, n doubles; v may be empty (no skip). Synchronises.
  virtual std::vector<double> readout(ConstBlock u, ConstBlock Z, ConstBlock v, ConstBlock Phi) = 0;

  // ---- gradients and updates
  /// B = Dphi o (L + v 1'), v may be empty; Dphi = 1[Phi > 0] for relu injection, ones for linear.
  virtual void backward_injection(ConstBlock L, ConstBlock v, ConstBlock Phi, Injection injection,
                                  Block B) = 0;
  /// C += alpha G with G = (left diag r) right'; left is a x n, right b x n, C a x b, r n doubles.
  /// Returns ||G||_F^2. Synchronises. At mixed precision float32 matrices may be multiplied by int8
  /// products of their digits, as exact as single precision for a row's largest entries
  /// (kernels/digit_update.hpp); at others they are multiplied as they are.
  virtual double rank_update(Block C, double alpha, ConstBlock left, std::span<const double> r,
                             ConstBlock right, Precision precision) = 0;
  /// The same update as factors: left_factor = alpha left diag r, right_factor = right. Returns
  /// ||(left diag r) right'||_F^2, from Grams in O((a + b) n^2). Synchronises.
  virtual double copy_factors(double alpha, ConstBlock left, std::span<const double> r,
                              ConstBlock right, Block left_factor, Block right_factor) = 0;
  /// P += alpha (left diag r) (right' right): the change of C right by rank_update(C, alpha, left,
  /// r, right, precision), in O(m n^2). left is a x n, right b x n, P a x n. With left and right
  /// exchanged it is the change of C' left.
  virtual void follow_rank_update(Block P, double alpha, ConstBlock left, std::span<const double> r,
                                  ConstBlock right, Precision precision) = 0;
  /// C += alpha G; returns ||G||_F^2. Synchronises.
  virtual double add_scaled(Block C, double alpha, ConstBlock G) = 0;
  /// to += change, and change = what that has rounded off, exactly: to + change stays what it was,
  /// so a change made of many small ones is never lost to rounding. Both real, of one shape.
  virtual void absorb(Block to, Block change) = 0;

  // ---- statistics
  /// In float64 whatever the elements, from sums of squares, hence positive semi-definite to
  /// rounding:
  ///   ntk = s^2 (L'L) o (Z'Z) + (B'B) o (X'X)/m + Z'Z [+ Phi'Phi with the skip]
  /// and its ingredients; what `out` held is replaced.
  virtual void gram(const GramInput& input, Grams& out) = 0;

  /// The seconds from here until all that call() asks for is done, by the device's own clock where
  /// it has one. Synchronises.
  virtual double seconds_of(const std::function<void()>& call) {
    synchronize();
    const auto start = std::chrono::steady_clock::now();
    call();
    synchronize();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  // ---- for a profiler
  /// Names what the calling thread does until the end of the range; ranges nest. See Range.
  virtual void begin_range(const char* /*name*/) {}
  virtual void end_range() {}

  // ---- the yardstick
  /// What stages with m x m times m x n products are measured against: the product the library
  /// offers at a precision (CPU: dgemm, sgemm, or int8 with int32 sums and A packed beforehand),
  /// ready to run. Must not outlive the backend. Throws Unsupported where mixed does not run.
  virtual BareProduct bare_product(Precision precision, Index m, Index n) = 0;
};

/// A range of a profiler's timeline: from here to the end of the scope.
class Range {
 public:
  Range(Backend& backend, const char* name) : backend_(backend) { backend_.begin_range(name); }
  ~Range() { backend_.end_range(); }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;

 private:
  Backend& backend_;
};

/// A copy of the block in double. Synchronises.
HostMatrix download(Backend& backend, ConstBlock block);

/// The CPU backend with that many threads (0: all cores). Throws Unsupported where OpenBLAS has no
/// room for its buffers.
std::unique_ptr<Backend> make_cpu_backend(int threads);
/// The CUDA backend. Throws Unsupported with the reason when there is none, BusyDevice when none of
/// the devices starts.
std::unique_ptr<Backend> make_cuda_backend();

}  // namespace widedeq
