// Short vectors of doubles between the host and a device, through the context's pinned memory.
//
// There is one such buffer, and a stage finds it free: whatever stage has used it has waited for
// the stream afterwards.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "kernels/cuda/context.hpp"

namespace widedeq::cuda {

/// to = from, on the stream. The stage must synchronise or fetch() before it ends.
inline void send(Context& context, std::span<const double> from, double* to) {
  if (from.empty()) return;
  auto* pinned = context.pinned<double>(from.size());
  std::ranges::copy(from, pinned);
  WIDEDEQ_CUDA_CHECK(
      cudaMemcpyAsync(to, pinned, from.size_bytes(), cudaMemcpyHostToDevice, context.stream()));
}

/// to = from. Synchronises, even where there is nothing to fetch.
inline void fetch(Context& context, const double* from, std::span<double> to) {
  auto* pinned = context.pinned<double>(to.size());
  if (!to.empty())
    WIDEDEQ_CUDA_CHECK(
        cudaMemcpyAsync(pinned, from, to.size_bytes(), cudaMemcpyDeviceToHost, context.stream()));
  context.synchronize();
  std::copy_n(pinned, to.size(), to.begin());
}

/// The same, as a vector of `count` doubles.
inline std::vector<double> fetch(Context& context, const double* from, Index count) {
  std::vector<double> values(static_cast<std::size_t>(count));
  fetch(context, from, values);
  return values;
}

/// Their sum, in ascending order. Synchronises.
inline double fetch_sum(Context& context, const double* from, Index count) {
  double total = 0.0;
  for (const double value : fetch(context, from, count))
    total += value;
  return total;
}

}  // namespace widedeq::cuda
