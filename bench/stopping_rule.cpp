// The median's interval by the binomial distribution; see stopping_rule.hpp.
#include "bench/stopping_rule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace widedeq::bench {

std::optional<std::pair<std::size_t, std::size_t>> median_interval(std::size_t samples) {
  // Both tails together may have 5 %. Terms of the binomial distribution in logarithms: 2^-N is no
  // double for long lists, and what underflows is too small to matter.
  constexpr double most_tail = 0.025;
  const auto N = static_cast<double>(samples);
  double tail = 0.0;
  std::size_t k = 0;
  for (; k < samples; ++k) {
    const auto i = static_cast<double>(k);
    tail += std::exp(std::lgamma(N + 1.0) - std::lgamma(i + 1.0) - std::lgamma(N - i + 1.0) -
                     N * std::log(2.0));
    if (tail > most_tail) break;
  }
  if (k == 0) return std::nullopt;
  return std::pair(k - 1, samples - k);
}

Statistics statistics_of(std::vector<double> seconds) {
  std::ranges::sort(seconds);
  const std::size_t count = seconds.size();
  Statistics result;
  result.samples = count;
  result.least = seconds.front();
  result.most = seconds.back();
  result.median = 0.5 * (seconds[(count - 1) / 2] + seconds[count / 2]);
  result.mean = std::accumulate(seconds.begin(), seconds.end(), 0.0) / static_cast<double>(count);
  const auto interval = median_interval(count);
  result.low = interval ? seconds[interval->first] : result.least;
  result.high = interval ? seconds[interval->second] : result.most;
  result.noise = interval ? (result.high - result.low) / (2.0 * result.median)
                          : std::numeric_limits<double>::infinity();
  return result;
}

std::string shortcoming(const Statistics& statistics, const StoppingOptions& options) {
  if (statistics.samples < options.least_samples)
    return fmt::format("{} sample{}", statistics.samples, statistics.samples == 1 ? "" : "s");
  if (!(statistics.noise < options.most_noise))
    return fmt::format("noise {:.2g} %", 100.0 * statistics.noise);
  if (statistics.timed < options.least_seconds)
    return fmt::format("{:.2g} s timed", statistics.timed);
  return "";
}

void StoppingRule::add(double seconds, double batch_seconds) {
  samples_.push_back(seconds);
  timed_ += batch_seconds;
}

bool StoppingRule::is_done(double elapsed) {
  if (samples_.empty()) return false;
  if (options_.exact_samples > 0) return samples_.size() >= options_.exact_samples;
  if (elapsed >= options_.max_seconds) return true;
  if (samples_.size() < std::max(options_.least_samples, next_look_)) return false;
  if (timed_ < options_.least_seconds) return false;
  next_look_ = samples_.size() + samples_.size() / 10 + 1;
  return statistics_of(samples_).noise < options_.most_noise;
}

Statistics take_samples(const std::function<double(std::size_t)>& calls,
                        const std::function<double()>& now, const StoppingOptions& options,
                        const std::function<void()>& warmed_up) {
  const double start = now();
  const auto elapsed = [&] { return now() - start; };

  const bool is_exact = options.exact_samples > 0;
  std::size_t warm_up = 0;
  double fastest = std::numeric_limits<double>::infinity();
  const auto is_warm = [&] {
    const bool has_calls = static_cast<int>(warm_up) >= options.warm_up_calls;
    if (is_exact) return has_calls;
    return (has_calls && elapsed() >= options.warm_up_seconds) ||
           elapsed() >= options.warm_up_share * options.max_seconds;
  };
  do {
    fastest = std::min(fastest, calls(1));
    ++warm_up;
  } while (!is_warm());

  warmed_up();
  constexpr double shortest = 1e-9;  // a clock too coarse for a call may say 0
  const auto batch = is_exact
                         ? std::size_t{1}
                         : static_cast<std::size_t>(std::max(
                               1.0, std::ceil(options.least_sample / std::max(fastest, shortest))));
  StoppingRule rule(options);
  double timed = 0.0;
  while (!rule.is_done(elapsed())) {
    const double seconds = calls(batch);
    rule.add(seconds / static_cast<double>(batch), seconds);
    timed += seconds;
  }
  Statistics result = statistics_of(rule.samples());
  result.batch = batch;
  result.warm_up_calls = warm_up;
  result.timed = timed;
  return result;
}

}  // namespace widedeq::bench
