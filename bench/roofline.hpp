// The machine's own limits, measured before the stages: no stage can be faster than its operations
// at the peak rate of their arithmetic, nor than its bytes at the memory's rate (Williams, Waterman
// and Patterson, "Roofline", CACM 52(4), 2009). Matrices that stay in a cache can be: the memory's
// rate is the one beyond the caches, and products of some shapes are faster than those measured
// here. A limit is what the fastest sample reached, not the median.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bench/stage.hpp"
#include "bench/stopping_rule.hpp"
#include "bench/timer.hpp"

namespace widedeq::bench {

struct Roofline {
  /// Of C += alpha G on float64 matrices larger than the caches, through the backend's own stage.
  /// 24 bytes an entry: C and G read, C written. C is read before it is written, so the processor
  /// moves nothing that is not counted.
  struct Memory {
    double bytes = 0.0;  // of C and G together
    double bytes_per_second = 0.0;
    Statistics timing;
  } memory;
  /// Of the library's bare product, the best of a few shapes. 0 where a precision does not run.
  struct Peak {
    double flops_per_second = 0.0;
    Shape shape;
    Statistics timing;
  };
  ByPrecision<Peak> peak;

  /// The seconds that work takes at least: max(sum of flops / peak, bytes / memory rate).
  double seconds(const Work& work) const;
};

/// Measures for at most `options.max_seconds` (and a second) a figure. `progress` is told what is
/// under way.
Roofline measure_roofline(Backend& backend, StoppingOptions options,
                          const std::function<void(const std::string&)>& progress);

/// Timing of the bare product at a shape, of one of so many `in_a_row`; `flush` as in time_calls,
/// before each row.
Statistics time_bare_product(Backend& backend, Precision precision, Shape shape,
                             const StoppingOptions& options, CacheFlush* flush = nullptr,
                             int in_a_row = 1);

}  // namespace widedeq::bench
