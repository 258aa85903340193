// The clock of the benchmarks: the backend's own, which is the device's where there is one. A
// sample is long beside a synchronisation (StoppingOptions::least_sample).
#pragma once

#include <chrono>
#include <cstddef>

#include "bench/stage.hpp"

namespace widedeq::bench {

/// Seconds since some fixed moment.
inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Memory larger than any cache. Writing to it leaves nothing of a trial's operands in them.
class CacheFlush {
 public:
  explicit CacheFlush(Backend& backend)
      : backend_(backend), memory_(backend.allocate(Element::float64, rows, columns)) {}
  void operator()() { backend_.fill(memory_, value_ += 1.0); }

 private:
  static constexpr Index rows = Index{1} << 16, columns = 1 << 10;  // 512 MiB
  Backend& backend_;
  Matrix memory_;
  double value_ = 0.0;
};

/// The seconds of `count` calls. Where each must find cold caches (`flush` is not null), or needs
/// `prepare` before it (not timed), they are timed one by one; else together.
template <class Prepare, class Call>
double time_calls(Backend& backend, const Prepare& prepare, const Call& call, std::size_t count,
                  CacheFlush* flush, bool together = true) {
  if (together && flush == nullptr)
    return backend.seconds_of([&] {
      for (std::size_t k = 0; k < count; ++k)
        call();
    });
  double seconds = 0.0;
  for (std::size_t k = 0; k < count; ++k) {
    prepare();
    if (flush != nullptr) (*flush)();
    seconds += backend.seconds_of(call);
  }
  return seconds;
}

/// The same of a trial.
inline double time_calls(Backend& backend, Trial& trial, std::size_t count, CacheFlush* flush) {
  return time_calls(
      backend, [&] { trial.prepare(); }, [&] { trial.call(); }, count, flush,
      !trial.needs_prepare());
}

}  // namespace widedeq::bench
