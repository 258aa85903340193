// The clock of the benchmarks.
//
// The host's steady clock around the calls and the wait for their end: right for a backend whose
// stages are done when they return, and for one that queues them, as long as a sample is long
// beside a synchronisation (StoppingOptions::least_sample). A backend with a clock of its own on
// the device would be asked for it here.
#pragma once

#include <chrono>
#include <cstddef>

#include "bench/stage.hpp"

namespace widedeq::bench {

/// Seconds since some fixed moment.
inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// The seconds until everything that call() asks the backend for is done.
template <class Call>
double seconds_of(Backend& backend, const Call& call) {
  backend.synchronize();
  const double start = now();
  call();
  backend.synchronize();
  return now() - start;
}

/// The seconds of `count` calls of a trial. Calls that must be prepared are timed one by one, the
/// others together.
inline double time_calls(Backend& backend, Trial& trial, std::size_t count) {
  if (!trial.needs_prepare())
    return seconds_of(backend, [&] {
      for (std::size_t k = 0; k < count; ++k)
        trial.call();
    });
  double seconds = 0.0;
  for (std::size_t k = 0; k < count; ++k) {
    trial.prepare();
    seconds += seconds_of(backend, [&] { trial.call(); });
  }
  return seconds;
}

}  // namespace widedeq::bench
