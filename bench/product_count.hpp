// The products that a trial's calls have really made, as the backend counts them.
#pragma once

#include "bench/stage.hpp"

namespace widedeq::bench {

class ProductCount {
 public:
  explicit ProductCount(const Case& c) : backend_(&c.backend), shape_(c.shape) {}

  /// Around a call.
  void begin() { start_ = backend_->operations(); }
  void end() {
    const Operations now = backend_->operations();
    sum_.fp64 += now.fp64 - start_.fp64;
    sum_.fp32 += now.fp32 - start_.fp32;
    sum_.int8 += now.int8 - start_.int8;
    ++calls_;
  }

  /// A call's mean, in operations and in products of m x m times m x n; no bytes.
  Work mean() const {
    Work work;
    work.flops = {sum_.fp64 / calls_, sum_.fp32 / calls_, sum_.int8 / calls_};
    Work one;
    one.add_products(Precision::fp64, 1.0, shape_);
    for (const Precision precision : all_precisions)
      work.products[precision] = work.flops[precision] / one.flops.fp64;
    return work;
  }
  double calls() const { return calls_; }

 private:
  Backend* backend_;
  Shape shape_;
  Operations start_, sum_;
  double calls_ = 0.0;
};

}  // namespace widedeq::bench
