// Where training's rank-n updates of A go: into the m x m `change` at once, or into factors that
// are added up later. The one place that decides it; only mixed precision has the choice.
//
//   at once   every epoch passes over A: update, look at the largest entry, make and pack the
//             digits, both ways round. About `fold_bytes` m^2 bytes, whatever n is.
//   factors   an update costs two m x n copies, but each of an epoch's `settlings` multiplies by
//             the k updates kept: 4 m n (k n) operations.
//   folding   k updates at once are a product of 2 m^2 (k n) operations, the same as one by one.
//
// Kept for K epochs, the mean epoch pays fold_bytes m^2 balance / K + settlings 4 m n^2 K / 2, the
// least for K = sqrt(fold_bytes balance / (2 settlings)) sqrt(m) / n. Factors are exact: nothing is
// truncated. Compressing them to a lower rank would cost 16 m n^2 operations and more an epoch, and
// what it would save, the product 2 m^2 n, is not larger before m = 8 n, where the sweeps' own
// products are ten times either.
//
// Tried, and not kept: E, what training has changed, as U V' of 32 columns, chosen anew whenever
// the number of updates has doubled by a step of subspace iteration, and the rest R. E's singular
// values fall fast: for the same move of z, R adds 25 to 150 times less to P than E, so settlings
// are few (4096 x 1000 on a sphere, 24 epochs: 9.6 int8 products an epoch instead of 11.8; 1024 x
// 360, digits: 10.9 instead of 14.8). But the thin products with U and V take the time that this
// saves (0.67 s an epoch for 0.66, 23 ms for 23), and R's own change in an epoch is so large a part
// of it that what is left unsettled cannot wait for long (UnsettledShare::most).
#pragma once

#include <cmath>

#include "kernels/matrix_view.hpp"

namespace widedeq {

/// The number of updates, each of rank n, to keep as factors of an m x m matrix; 0: none, add them
/// at once.
inline Index updates_to_keep(Index m, Index n) {
  constexpr double fold_bytes =
      40.0;                          // read and written an entry: 8, 5, and 9 for each of 3 digits
  constexpr double balance = 8.0;    // operations in the time of a byte; 190 Gflop/s, 25 GB/s
  constexpr double settlings = 4.0;  // an epoch's, forward and adjoint
  const double best = std::sqrt(fold_bytes * balance / (2.0 * settlings)) *
                      std::sqrt(static_cast<double>(m)) / static_cast<double>(n);
  const auto keep = static_cast<Index>(best);
  return keep >= 2 ? keep : 0;
}

}  // namespace widedeq
