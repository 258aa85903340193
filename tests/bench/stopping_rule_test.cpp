// When to stop, on clocks that tick as the tests want.
#include "bench/stopping_rule.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numeric>

namespace widedeq::bench {
namespace {

using Ranks = std::pair<std::size_t, std::size_t>;

TEST(MedianInterval, OfTheTables) {
  for (const std::size_t samples : {0U, 1U, 5U})
    EXPECT_EQ(median_interval(samples), std::nullopt) << samples;
  // David and Nagaraja, and every table of the sign test at 5 %: ranks from 1 are one more.
  EXPECT_EQ(median_interval(6), (Ranks{0, 5}));
  EXPECT_EQ(median_interval(8), (Ranks{0, 7}));
  EXPECT_EQ(median_interval(9), (Ranks{1, 7}));
  EXPECT_EQ(median_interval(10), (Ranks{1, 8}));
  EXPECT_EQ(median_interval(20), (Ranks{5, 14}));
  EXPECT_EQ(median_interval(25), (Ranks{7, 17}));
  EXPECT_EQ(median_interval(100), (Ranks{39, 60}));
  EXPECT_EQ(median_interval(1000), (Ranks{468, 531}));
}

/// P(Binomial(n, 1/2) < k) by Pascal's triangle.
double tail(std::size_t n, std::size_t k) {
  std::vector<double> row{1.0};
  for (std::size_t i = 0; i < n; ++i) {
    std::vector<double> next(row.size() + 1);
    for (std::size_t j = 0; j < row.size(); ++j) {
      next[j] += 0.5 * row[j];
      next[j + 1] += 0.5 * row[j];
    }
    row = std::move(next);
  }
  return std::accumulate(row.begin(), row.begin() + static_cast<std::ptrdiff_t>(k), 0.0);
}

TEST(MedianInterval, IsTheNarrowestOfAtLeast95Percent) {
  for (std::size_t n = 6; n <= 300; ++n) {
    const auto interval = median_interval(n);
    ASSERT_TRUE(interval) << n;
    const auto [low, high] = *interval;
    EXPECT_EQ(low + high, n - 1) << n;  // symmetric
    EXPECT_GE(1.0 - 2.0 * tail(n, low + 1), 0.95) << n;
    EXPECT_LT(1.0 - 2.0 * tail(n, low + 2), 0.95) << n;
  }
}

TEST(MedianInterval, OfVeryMany) {
  // sqrt(n) 1.96 / 2 to either side of the middle, as for a normal distribution
  const auto interval = median_interval(1'000'000);
  ASSERT_TRUE(interval);
  EXPECT_NEAR(static_cast<double>(interval->first), 500'000.0 - 980.0, 2.0);
  EXPECT_NEAR(static_cast<double>(interval->second), 500'000.0 + 980.0, 2.0);
}

TEST(Statistics, OfTenNumbers) {
  const Statistics result = statistics_of({7, 1, 9, 3, 5, 2, 8, 4, 10, 6});
  EXPECT_EQ(result.samples, 10U);
  EXPECT_EQ(result.least, 1.0);
  EXPECT_EQ(result.most, 10.0);
  EXPECT_EQ(result.median, 5.5);
  EXPECT_EQ(result.mean, 5.5);
  EXPECT_EQ(result.low, 2.0);
  EXPECT_EQ(result.high, 9.0);
  EXPECT_DOUBLE_EQ(result.noise, 3.5 / 5.5);
}

TEST(Statistics, OfFewNumbersKnowNoNoise) {
  const Statistics result = statistics_of({3, 1, 2});
  EXPECT_EQ(result.median, 2.0);
  EXPECT_EQ(result.low, 1.0);
  EXPECT_EQ(result.high, 3.0);
  EXPECT_TRUE(std::isinf(result.noise));
  EXPECT_EQ(statistics_of({4}).median, 4.0);
}

/// A machine whose calls take what `seconds(call number)` says, and preparing them `idle`.
struct Machine {
  std::function<double(int)> seconds;
  double idle = 0.0;
  double clock = 100.0;
  int calls = 0;

  Statistics measure(const StoppingOptions& options = {}) {
    return take_samples(
        [this](std::size_t count) {
          double timed = 0.0;
          for (std::size_t k = 0; k < count; ++k)
            timed += seconds(calls++);
          clock += timed + idle * static_cast<double>(count);
          return timed;
        },
        [this] { return clock; }, options);
  }
};

TEST(StoppingRule, SoManyCallsAreAskedForAndMade) {
  // Neither the clock nor noise changes which calls they are.
  for (const double seconds : {1e-6, 10.0}) {
    Machine machine{[&](int call) { return seconds * (call < 4 ? 9.0 : 1.0 + call % 2); }};
    StoppingOptions options;
    options.exact_samples = 12;
    const Statistics result = machine.measure(options);
    EXPECT_EQ(result.warm_up_calls, 3U);
    EXPECT_EQ(result.samples, 12U);
    EXPECT_EQ(result.batch, 1U);
    EXPECT_EQ(machine.calls, 15);
    EXPECT_DOUBLE_EQ(result.most, 9.0 * seconds);  // the fourth call is timed
  }
}

TEST(StoppingRule, SteadyCallsStopAfterHalfASecond) {
  Machine machine{[](int) { return 1e-3; }};
  const Statistics result = machine.measure();
  EXPECT_NEAR(static_cast<double>(result.warm_up_calls), 100.0, 1.0);  // 0.1 s
  EXPECT_NEAR(static_cast<double>(result.samples), 500.0, 2.0);        // 0.5 s
  EXPECT_EQ(result.batch, 1U);
  EXPECT_DOUBLE_EQ(result.median, 1e-3);
  EXPECT_EQ(result.noise, 0.0);
  EXPECT_NEAR(result.timed, 0.5, 2e-3);
  EXPECT_EQ(shortcoming(result, {}), "");
}

TEST(StoppingRule, LongCallsStopAfterTenSamples) {
  Machine machine{[](int) { return 0.2; }};
  const Statistics result = machine.measure();
  EXPECT_EQ(result.warm_up_calls, 3U);
  EXPECT_EQ(result.samples, 10U);
  EXPECT_EQ(shortcoming(result, {}), "");
}

TEST(StoppingRule, ShortCallsAreBatched) {
  Machine machine{[](int) { return 1e-6; }};
  const Statistics result = machine.measure();
  EXPECT_NEAR(static_cast<double>(result.batch), 50.0, 1.0);
  EXPECT_NEAR(static_cast<double>(result.samples), 10'000.0, 1100.0);
  EXPECT_NEAR(result.median, 1e-6, 1e-12);
  machine.seconds = [](int) { return 49e-6; };
  EXPECT_EQ(machine.measure().batch, 2U);
  machine.seconds = [](int) { return 51e-6; };
  EXPECT_EQ(machine.measure().batch, 1U);
}

TEST(StoppingRule, TheFastestCallOfTheWarmUpSizesTheBatch) {
  // The first one compiles or allocates.
  Machine machine{[](int call) { return call == 0 ? 1.0 : 10e-6; }};
  const Statistics result = machine.measure({.warm_up_share = 0.5});
  EXPECT_EQ(result.batch, 5U);
  EXPECT_NEAR(result.most, 10e-6, 1e-12);
}

TEST(StoppingRule, NoiseGoesOnUntilTheEndAndIsReported) {
  Machine machine{[](int call) { return call % 2 == 0 ? 1e-3 : 1.2e-3; }};
  const Statistics result = machine.measure();
  EXPECT_NEAR(machine.clock - 100.0, 5.0, 2e-3);
  EXPECT_NEAR(result.noise, 0.1, 0.02);  // half of 0.2 ms over a median of 1, 1.1 or 1.2 ms
  EXPECT_TRUE(shortcoming(result, {}).starts_with("noise ")) << shortcoming(result, {});
  EXPECT_EQ(shortcoming(result, {.most_noise = 0.2}), "");
}

TEST(StoppingRule, NoiseThatAveragesOutStopsEarlier) {
  // Equal numbers on a grid between 1 and 1.1 ms: the interval narrows as 1/sqrt(N).
  Machine machine{
      [](int call) { return 1e-3 * (1.0 + 0.1 * std::fmod(0.618033988749895 * call, 1.0)); }};
  const Statistics result = machine.measure();
  EXPECT_LT(machine.clock - 100.0, 5.0);
  EXPECT_LT(result.noise, 0.005);
  EXPECT_EQ(shortcoming(result, {}), "");
}

TEST(StoppingRule, VeryLongCallsAreMadeTwice) {
  Machine machine{[](int) { return 10.0; }};
  const Statistics result = machine.measure();
  EXPECT_EQ(result.warm_up_calls, 1U);
  EXPECT_EQ(result.samples, 1U);
  EXPECT_EQ(shortcoming(result, {}), "1 sample");
}

TEST(StoppingRule, PreparingCountsForTheEndAlone) {
  Machine machine{[](int) { return 1e-3; }, 99e-3};
  const Statistics result = machine.measure();
  EXPECT_NEAR(machine.clock - 100.0, 5.0, 0.2);
  EXPECT_LT(result.timed, 0.06);
  EXPECT_EQ(shortcoming(result, {}), "0.048 s timed");
}

TEST(StoppingRule, AClockThatStandsStillEndsToo) {
  Machine machine{[](int) { return 0.0; }, 1e-6};
  const Statistics result = machine.measure();
  EXPECT_EQ(result.median, 0.0);
  EXPECT_NE(shortcoming(result, {}), "");
}

TEST(StoppingRule, NeedsAllThreeConditions) {
  StoppingRule rule({.least_samples = 10, .least_seconds = 0.5, .most_noise = 0.005});
  EXPECT_FALSE(rule.is_done(100.0));  // no sample at all says nothing
  for (int k = 0; k < 9; ++k) {
    rule.add(1.0, 1.0);
    EXPECT_FALSE(rule.is_done(1.0));
  }
  rule.add(1.0, 1.0);
  EXPECT_TRUE(rule.is_done(1.0));
  StoppingRule brief({.least_samples = 10, .least_seconds = 0.5, .most_noise = 0.005});
  for (int k = 0; k < 20; ++k)
    brief.add(1e-3, 1e-3);
  EXPECT_FALSE(brief.is_done(1.0));
  EXPECT_TRUE(brief.is_done(5.0));
}

}  // namespace
}  // namespace widedeq::bench
