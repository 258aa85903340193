// A fixed random vector: where norm estimates start and what samples are projected on, the same in
// every run.
#pragma once

#include <vector>

#include "kernels/random.hpp"

namespace widedeq {

/// N(0,1) draws of Tensor::probe at seed 0.
inline std::vector<double> probe_vector(Index length) {
  std::vector<double> probe(static_cast<std::size_t>(length));
  for (std::size_t i = 0; i < probe.size(); ++i)
    probe[i] = standard_normal(0, Tensor::probe, static_cast<Index>(i), 0);
  return probe;
}

}  // namespace widedeq
