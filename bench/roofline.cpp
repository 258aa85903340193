// Measuring the memory's rate and each arithmetic's peak; see roofline.hpp.
#include "bench/roofline.hpp"

#include <algorithm>
#include <string>

#include "bench/timer.hpp"
#include "host/run/config.hpp"
#include "host/run/machine.hpp"

namespace widedeq::bench {
namespace {

/// Two that any processor is busy with, and two that fill a GPU, measured where the one before
/// promises that they take no longer than longest_product.
constexpr Shape peak_shapes[] = {{1024, 1024}, {2048, 1024}, {4096, 4096}, {8192, 8192}};
constexpr std::size_t always = 2;
constexpr double longest_product = 0.05;  // seconds

double operations(Precision precision, Shape shape) {
  Work work;
  work.add_products(precision, 1.0, shape);
  return work.total_flops();
}

/// With two matrices of so many bytes together.
Roofline::Memory measure_memory(Backend& backend, const StoppingOptions& options, double bytes) {
  constexpr Index rows = Index{1} << 14;  // 128 KiB a column
  const auto columns = static_cast<Index>(bytes / (2.0 * 8.0 * static_cast<double>(rows)));
  Matrix C = backend.allocate(Element::float64, rows, columns);
  Matrix G = backend.allocate(Element::float64, rows, columns);
  backend.fill(G, 1.0);
  const auto calls = [&](std::size_t count) {
    return time_calls(
        backend, [] {}, [&] { backend.add_scaled(C, 1e-6, G); }, count, nullptr);
  };
  Roofline::Memory memory{.bytes = bytes, .timing = take_samples(calls, now, options)};
  memory.bytes_per_second = 1.5 * bytes / memory.timing.least;
  return memory;
}

Roofline::Memory measure_memory(Backend& backend, const StoppingOptions& options) {
  // Four times the last cache together, so that hardly anything survives in it until the next
  // call; the least is for machines that do not tell.
  constexpr double least_bytes = 256.0 * (1 << 20);
  constexpr double shortest = 1e-3;  // seconds; starting and ending a call takes its share of less
  const Roofline::Memory memory =
      measure_memory(backend, options, std::max(least_bytes, 4.0 * last_cache_bytes()));
  if (memory.timing.least >= shortest) return memory;
  return measure_memory(backend, options, 16.0 * memory.bytes);
}

}  // namespace

double Roofline::seconds(const Work& work) const {
  double arithmetic = 0.0;
  for (const Precision precision : all_precisions)
    if (work.flops[precision] > 0.0)
      arithmetic += work.flops[precision] / peak[precision].flops_per_second;
  return std::max(arithmetic, work.bytes / memory.bytes_per_second);
}

Statistics time_bare_product(Backend& backend, Precision precision, Shape shape,
                             const StoppingOptions& options, CacheFlush* flush, int in_a_row) {
  const BareProduct product = backend.bare_product(precision, shape.m, shape.n);
  const auto multiply = [&] {
    for (int k = 0; k < in_a_row; ++k)
      product.multiply();
  };
  const auto calls = [&](std::size_t count) {
    return time_calls(
               backend, [] {}, multiply, count, flush) /
           in_a_row;
  };
  return take_samples(calls, now, options);
}

Roofline measure_roofline(Backend& backend, StoppingOptions options,
                          const std::function<void(const std::string&)>& progress) {
  // Everything else is measured against these rates: not in a few calls alone.
  options.max_seconds = std::clamp(options.max_seconds, 0.25, 1.0);
  Roofline roofline;
  progress("roofline: memory");
  roofline.memory = measure_memory(backend, options);
  for (const Precision precision : all_precisions) {
    if (precision == Precision::mixed && !backend.why_not_mixed().empty()) continue;
    double rate = 0.0;  // of the shape before
    for (std::size_t k = 0; k < std::size(peak_shapes); ++k) {
      const Shape shape = peak_shapes[k];
      const double flops = operations(precision, shape);
      if (k >= always && flops > longest_product * rate) break;
      progress(std::string("roofline: ") + name_of(precision) + " product " + to_text(shape));
      const Statistics timing = time_bare_product(backend, precision, shape, options);
      rate = flops / timing.least;
      if (rate > roofline.peak[precision].flops_per_second)
        roofline.peak[precision] = {rate, shape, timing};
    }
  }
  return roofline;
}

}  // namespace widedeq::bench
