// Sums of work, and what a stage's buffers take; see stage.hpp.
#include "bench/stage.hpp"

namespace widedeq::bench {

void Work::add_products(Precision arithmetic, double count, Shape shape) {
  const auto m = static_cast<double>(shape.m), n = static_cast<double>(shape.n);
  products[arithmetic] += count;
  flops[arithmetic] += count * 2.0 * m * m * n;
}

Work& operator+=(Work& sum, const Work& term) {
  if (sum.useful || term.useful) sum.useful = sum.useful_flops() + term.useful_flops();
  sum.bytes += term.bytes;
  for (const Precision precision : all_precisions) {
    sum.flops[precision] += term.flops[precision];
    sum.products[precision] += term.products[precision];
  }
  return sum;
}

Work operator*(double factor, Work work) {
  work.bytes *= factor;
  if (work.useful) *work.useful *= factor;
  for (const Precision precision : all_precisions) {
    work.flops[precision] *= factor;
    work.products[precision] *= factor;
  }
  return work;
}

double Footprint::bytes(Precision precision, Shape shape, Index inputs) const {
  const auto m = static_cast<double>(shape.m), n = static_cast<double>(shape.n);
  const auto d = static_cast<double>(inputs);
  const auto real = static_cast<double>(size_of(real_of(precision)));
  return real * (squares * m * m + panels * m * n + 2.0 * d * (m + n)) + 8.0 * grams * n * n;
}

}  // namespace widedeq::bench
