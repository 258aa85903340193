// What every benchmark needs: a backend, a network on random data, and the library's own product
// rates to be measured against, in the same process and for the same shape.
#pragma once

#include <benchmark/benchmark.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "host/trainer.hpp"

namespace widedeq::bench {

Backend& backend();

inline constexpr Index inputs = 64;  // d

/// Seconds since some fixed moment.
double now();

/// The median seconds of five calls, after one that is not counted.
double median_seconds(const std::function<void()>& call);

/// d x n columns of unit length, and targets +-1.
HostMatrix random_inputs(Index samples);
std::vector<double> random_targets(Index samples);

/// Seconds of the library's bare product of that shape: dgemm, sgemm (OpenBLAS), or int8 with int32
/// sums (oneDNN, weights packed beforehand). Measured once a process, shape and precision.
double bare_product_seconds(Precision precision, Index m, Index n);

/// Skips the benchmark with the reason where mixed precision is not exact.
bool skip_unsupported(benchmark::State& state, Precision precision);

/// The benchmark's loop: prepare() outside the clock, call() on it. Returns the mean seconds of a
/// call.
double time_calls(benchmark::State& state, const std::function<void()>& prepare,
                  const std::function<void()>& call);
double time_calls(benchmark::State& state, const std::function<void()>& call);

/// Counters: flop/s and byte/s of work that took `seconds`.
void report_rates(benchmark::State& state, double seconds, double flops, double bytes);

/// The same for work worth `products` m x m x n products, and of_library: the seconds of so many
/// bare products of the library over `seconds`.
void report_products(benchmark::State& state, double seconds, Precision precision, Index m, Index n,
                     double products, double bytes);

/// Registers run(state, precision, m, n) for every precision and shape, named STAGE/PRECISION/m/n.
using Run = void (*)(benchmark::State&, Precision, Index, Index);
void register_shapes(const std::string& stage, Run run);

}  // namespace widedeq::bench
