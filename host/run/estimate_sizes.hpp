// A workload's sizes as the formulas of the estimates want them; see estimate.hpp.
#pragma once

#include "host/run/estimate.hpp"

namespace widedeq {

/// The workload in doubles, and what follows from it at once.
struct Sizes {
  explicit Sizes(const Workload& work);

  double m, n, d, c = 0.0, real;
  bool is_mixed, is_chunked = false, is_warm = false;
  bool has_change = false;   // A has a summand `change`
  bool has_factors = false;  // updates are kept as factors
  double kept = 0.0;         // that many
  double factors = 0.0;      // columns of the factors
  double steps = 1.0;        // updates an epoch
  int audit_every = 1;       // epochs from one audit to the next
  bool is_flow = false;
  int grams = 0;
};

/// Bytes of base (int8), change, factors, W, u, v. (host/weight_operator.cpp, host/model.cpp)
double masters(const Sizes& z);

/// Of products in fp32 and fp64. (host/run/prepare.cpp)
int panels_of(const Workload& work, const Sizes& z);

}  // namespace widedeq
