#include "bench/roofline.hpp"

#include <algorithm>
#include <string>

#include "bench/timer.hpp"
#include "host/run/config.hpp"
#include "host/run/machine.hpp"

namespace widedeq::bench {
namespace {

/// Large enough for the library's blocking to pay, small enough for a few calls a second.
constexpr Shape peak_shapes[] = {{1024, 1024}, {2048, 1024}};

Roofline::Memory measure_memory(Backend& backend, const StoppingOptions& options) {
  // Four times the last cache together, so that hardly anything survives in it until the next
  // call; the least is for machines that do not tell.
  constexpr double least_bytes = 256.0 * (1 << 20);
  constexpr Index rows = Index{1} << 17;  // a mebibyte a column
  Roofline::Memory memory;
  memory.bytes = std::max(least_bytes, 4.0 * last_cache_bytes());
  const auto columns = static_cast<Index>(memory.bytes / (2.0 * 8.0 * static_cast<double>(rows)));
  Matrix C = backend.allocate(Element::float64, rows, columns);
  Matrix G = backend.allocate(Element::float64, rows, columns);
  backend.fill(G, 1.0);
  const auto calls = [&](std::size_t count) {
    return time_calls(
        backend, [] {}, [&] { backend.add_scaled(C, 1e-6, G); }, count, nullptr);
  };
  memory.timing = take_samples(calls, now, options);
  memory.bytes_per_second = 1.5 * memory.bytes / memory.timing.least;
  return memory;
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
                             const StoppingOptions& options, CacheFlush* flush) {
  const BareProduct product = backend.bare_product(precision, shape.m, shape.n);
  const auto calls = [&](std::size_t count) {
    return time_calls(
        backend, [] {}, product.multiply, count, flush);
  };
  return take_samples(calls, now, options);
}

Roofline measure_roofline(Backend& backend, StoppingOptions options,
                          const std::function<void(const std::string&)>& progress) {
  options.max_seconds = std::min(options.max_seconds, 1.0);
  Roofline roofline;
  progress("roofline: memory");
  roofline.memory = measure_memory(backend, options);
  for (const Precision precision : all_precisions) {
    if (precision == Precision::mixed && !backend.why_not_mixed().empty()) continue;
    for (const Shape shape : peak_shapes) {
      progress(std::string("roofline: ") + name_of(precision) + " product " + to_text(shape));
      const Statistics timing = time_bare_product(backend, precision, shape, options);
      Work work;
      work.add_products(precision, 1.0, shape);
      const double rate = work.total_flops() / timing.least;
      if (rate > roofline.peak[precision].flops_per_second)
        roofline.peak[precision] = {rate, shape, timing};
    }
  }
  return roofline;
}

}  // namespace widedeq::bench
