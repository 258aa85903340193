// Watches the NTK Gram matrix while a network trains, without holding training up.
//
// An epoch hands over copies of Z, L and Phi; another thread turns them into H, G and their
// eigenvalues while the next epochs run. At most one Gram is in flight: before the next one is
// begun, the caller waits for it.
#pragma once

#include <future>
#include <optional>
#include <vector>

#include "host/activation_pattern.hpp"
#include "host/archive.hpp"
#include "host/model.hpp"

namespace widedeq {

/// What is known of A at the time of a Gram.
struct WeightNorms {
  double operator_norm = 0.0;           // ||A||_2 / sqrt(m), estimated from below
  std::optional<double> distance = {};  // ||A - A(0)||_F, where A(0) is known
};

/// One epoch's Gram statistics. Matrices are n x n float64.
struct GramStatistics {
  int epoch = 0;
  WeightNorms weights;
  double lambda_min = 0.0, lambda_max = 0.0, trace = 0.0;
  double drift = 0.0;               // ||H(k) - H(first)||_F / ||H(first)||_F
  double feature_lambda_min = 0.0;  // of G = Phi'Phi
  double flipped = 0.0;             // share of activations 1[P > 0] not as in the first Gram
  std::vector<double> eigenvalues;  // of H, ascending
  HostMatrix ntk;                   // H
  HostMatrix states, adjoints;      // Z'Z and L'L / m, of the first Gram; not in checkpoints

  void transfer(Archive& archive);
};

/// What later Grams are compared with.
struct FirstGram {
  std::optional<HostMatrix> ntk;  // H; empty before there has been a Gram
  ActivationPattern pattern;      // who was active then

  void transfer(Archive& archive);
};

class GramMonitor {
 public:
  /// Buffers for copies of all n samples: 3 m n reals. `tolerance` is that of the solves.
  GramMonitor(Backend& backend, const Model& model, Index samples, double tolerance);
  /// Waits for the Gram in flight.
  ~GramMonitor() = default;
  GramMonitor(const GramMonitor&) = delete;
  GramMonitor& operator=(const GramMonitor&) = delete;

  /// Whether a Gram is still being computed (then begin() must not be called).
  bool busy() const;
  /// Starts taking epoch's columns. Call take() for every chunk and then submit().
  void begin(int epoch);
  /// Copies the columns first ... of Z, L and Phi.
  void take(Index first, ConstBlock Z, ConstBlock L, ConstBlock Phi);
  /// Hands the copies to another thread. X is d x n and must outlive the computation; `norms`
  /// is passed on, for A changes when the caller goes on. Where it does not go on before it has the
  /// Gram (`is_awaited`), wait() makes it, with all threads, and poll() has none until then.
  void submit(const Model& model, ConstBlock X, const WeightNorms& norms = {},
              bool is_awaited = false);
  /// Saves or restores what later Grams depend on. No Gram may be in flight.
  void transfer(Archive& archive);

  /// A finished Gram, once; never waits. Rethrows what went wrong on the thread.
  std::optional<GramStatistics> poll();
  /// Waits for the Gram in flight, if any, and returns it.
  std::optional<GramStatistics> wait();

 private:
  GramStatistics compute();

  Backend& backend_;
  Matrix Z_, L_, Phi_, v_;  // copies; the thread's while one is in flight
  ConstBlock X_;
  double s_ = 0.0;
  Injection injection_ = Injection::relu;
  bool skip_ = true;
  double tolerance_ = 0.0;
  GramStatistics pending_;  // epoch and norms, filled by the caller
  FirstGram first_;

  /// The last member: its end waits for the thread, which uses the others.
  std::future<GramStatistics> result_;
};

}  // namespace widedeq
