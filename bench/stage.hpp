// What a benchmark is: one stage of the solver on one backend, described once.
//
// A Stage says what it costs by formula and how exact it has to be, and sets itself up as a Trial:
// buffers with random contents that can be called again and again, and compared with textbook
// loops. stages.hpp lists them all; a file of stages/ holds one.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "bench/shapes.hpp"
#include "kernels/backend.hpp"

namespace widedeq::bench {

/// One value for each precision.
template <class T>
struct ByPrecision {
  T fp64{}, fp32{}, mixed{};

  T& operator[](Precision precision) {
    return precision == Precision::fp64 ? fp64 : precision == Precision::fp32 ? fp32 : mixed;
  }
  const T& operator[](Precision precision) const {
    return const_cast<ByPrecision&>(*this)[precision];
  }
};

inline constexpr Precision all_precisions[] = {Precision::fp64, Precision::fp32, Precision::mixed};

/// What a stage is set up with.
struct Case {
  Backend& backend;    // where it runs
  Backend& reference;  // the CPU's, for references that need a whole solver
  Precision precision = Precision::fp64;
  Shape shape;         // m, n
  Index inputs = 64;   // d
  double gamma = 0.5;  // s = gamma / sqrt(m)
  double tolerance = 1e-6;
  std::uint64_t seed = 1;
};

/// What one call costs.
struct Work {
  /// Every matrix the stage is given read once, every one it leaves written once; in solves once a
  /// sweep, whole, though samples that have arrived take no part in later ones.
  double bytes = 0.0;
  /// Additions and multiplications of products, by the arithmetic they run in: int8 ones are
  /// `mixed`. Operations on single entries are not counted but where a stage has no others.
  ByPrecision<double> flops;
  /// Those of the formula, where the implementation makes more: six products of digits for one of
  /// reals. Nothing: as many as in `flops`.
  std::optional<double> useful;
  /// Products of m x m times m x n in there, for the share of the library's bare product.
  ByPrecision<double> products;

  /// Adds `count` products of m x m times m x n.
  void add_products(Precision arithmetic, double count, Shape shape);
  double total_flops() const { return flops.fp64 + flops.fp32 + flops.mixed; }
  double useful_flops() const { return useful.value_or(total_flops()); }
  double total_products() const { return products.fp64 + products.fp32 + products.mixed; }
};
Work& operator+=(Work& sum, const Work& term);
Work operator*(double factor, Work work);

/// A stage set up for a case.
class Trial {
 public:
  virtual ~Trial() = default;
  /// Whether a call uses its operands up, so that prepare() must come before each one.
  virtual bool needs_prepare() const { return false; }
  /// Puts back what a call uses up. Not timed.
  virtual void prepare() {}
  /// The stage, once. Timed; may run asynchronously.
  virtual void call() = 0;
  /// The warm-up is over.
  virtual void start_timing() {}
  /// The cost of a call: where calls cost differently, the mean of those since start_timing().
  virtual Work work() const = 0;
  /// Whether they do; then rates are means as well, for the median call is not the mean one.
  virtual bool work_varies() const { return false; }
  /// Why the last call's result is of no use ("diverged after 40 sweeps"); "" when it is.
  virtual std::string failure() const { return ""; }
  /// How wrong the stage is, relative; to be asked for after prepare() and one call(). Compares
  /// with double loops on the operands as the backend holds them, and may make further calls.
  virtual double error() = 0;
};

/// The largest error that passes: rounding, and for solves a multiple of --tolerance besides.
struct Tolerance {
  double fp64 = 0.0, fp32 = 0.0, mixed = 0.0;
  double of_tolerance = 0.0;

  double at(Precision precision, double tolerance) const {
    return ByPrecision<double>{fp64, fp32, mixed}[precision] + of_tolerance * tolerance;
  }
};

/// What a set-up stage holds at the most, in m x m and m x n reals and n x n doubles: enough to
/// refuse shapes that do not fit before anything is timed.
struct Footprint {
  double squares = 0.0, panels = 0.0, grams = 0.0;

  double bytes(Precision precision, Shape shape, Index inputs) const;
};

struct Stage {
  std::string_view name;
  std::string_view formula;  // for --help
  bool mixed_only = false;
  Tolerance tolerance;
  Footprint footprint;
  std::unique_ptr<Trial> (*set_up)(const Case&);
};

}  // namespace widedeq::bench
