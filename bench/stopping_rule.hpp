// When a measurement may stop, and what its samples say.
//
// The figure is the median, for a shared machine's samples have a long tail to one side. Its noise
// is taken from order statistics, which assume nothing about the distribution: the median lies
// between the k-th smallest and the k-th largest of N samples with probability
// 1 - 2 P(Binomial(N, 1/2) < k). k is the largest for which that is at least 95 %;
//
//   noise = half the distance between the two / the median.
//
// Source: David and Nagaraja, Order Statistics (2003), section 7.1. Samples that follow each other
// are taken for independent; a machine that gets slower over minutes is not noticed.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace widedeq::bench {

struct StoppingOptions {
  // Enough when all three hold ...
  std::size_t least_samples = 10;
  double least_seconds = 0.5;  // timed
  double most_noise = 0.005;
  // ... and the end in any case, by the wall clock from the warm-up on.
  double max_seconds = 5.0;
  // Not 0: that many samples of a call each, after warm_up_calls, however long it takes.
  std::size_t exact_samples = 0;

  // The warm-up goes on until both hold, or has used up this share of max_seconds.
  int warm_up_calls = 3;
  double warm_up_seconds = 0.1;
  double warm_up_share = 0.2;

  double least_sample = 50e-6;  // seconds; shorter calls are timed several at a time
};

/// The ranks, counted from 0, of the sorted samples that enclose the median with a confidence of at
/// least 95 %. None below six samples.
std::optional<std::pair<std::size_t, std::size_t>> median_interval(std::size_t samples);

/// Statistics of the seconds of a call.
struct Statistics {
  std::size_t samples = 0;
  std::size_t batch = 1;  // calls a sample is the mean of
  std::size_t warm_up_calls = 0;
  double least = 0.0, median = 0.0, most = 0.0, mean = 0.0;
  double low = 0.0, high = 0.0;  // the median's interval; the extremes below six samples
  double noise = 0.0;            // (high - low) / 2 median; infinite below six samples
  double timed = 0.0;            // seconds of all samples together
};

/// Of a non-empty list of seconds of a call; batch and warm-up are left alone.
Statistics statistics_of(std::vector<double> seconds);

/// What keeps the statistics from being trusted ("noise 1.3 %", "3 samples"); "" when nothing does.
std::string shortcoming(const Statistics& statistics, const StoppingOptions& options);

/// Decides after every sample whether another one is needed.
class StoppingRule {
 public:
  explicit StoppingRule(const StoppingOptions& options) : options_(options) {}

  /// One sample: the mean seconds of a call over a batch, and the seconds of the whole batch.
  void add(double seconds, double batch_seconds);
  /// Whether to stop; `elapsed` are the seconds since the warm-up began.
  bool is_done(double elapsed);
  const std::vector<double>& samples() const { return samples_; }

 private:
  StoppingOptions options_;
  std::vector<double> samples_;
  double timed_ = 0.0;
  std::size_t next_look_ = 0;  // sorting at every sample would take longer than the samples
};

/// Warms up, chooses the batch and takes samples until the rule says stop. `calls(k)` makes k calls
/// and returns their seconds; `now()` is the wall clock in seconds. `warmed_up()` is called between
/// the two.
Statistics take_samples(
    const std::function<double(std::size_t)>& calls, const std::function<double()>& now,
    const StoppingOptions& options, const std::function<void()>& warmed_up = [] {});

}  // namespace widedeq::bench
