// Upper bounds on ||A||_2, rounding included: what makes the well-posedness q < 1 a theorem.
//
// Gaussian  For A(0) drawn m x m, with probability at least 1 - p over the seed,
//
//             ||A(0)||_2 <= 1.0001 (2 sqrt(m) + sqrt(2 ln 1/p)) + 10^-6 m,
//
//           and ||A||_2 <= ||A(0)||_2 + ||A - A(0)||_F. A(0) is drawn again from its seed, so that
//           nothing need be tracked through training, checkpoints or resumed runs, and what counts
//           is how far A is now, not the way it came. The event is about A(0) alone: one p covers
//           every epoch of a run.
//
//           Why. G with entries N(0,1): E ||G|| <= 2 sqrt(m) (Gordon) and ||G|| is 1-Lipschitz, so
//           E exp(l ||G||) <= exp(2 sqrt(m) l + l^2/2). Both laws are functions of uniform words:
//           let G come from the same words with their missing digits drawn at random, and
//           Gbar = E[G | A]. By Jensen's inequality E exp(l ||Gbar||) is below the same bound.
//           Given their magnitudes, entries have independent signs. So if A_ij = theta_ij Gbar_ij
//           with 0 <= theta <= c depending on magnitudes alone, the contraction principle (Ledoux
//           and Talagrand, Probability in Banach Spaces, theorem 4.4) gives
//           E exp(l ||A||) <= E exp(l c ||Gbar||), and Markov's inequality the claim.
//             lattice   cells 1/32 wide: theta <= 1 + 8.2e-5 (their means are closer to zero than
//                       their middles), below 1 for the clipped tails.
//             gaussian  Box and Muller's radius is that of the middle of a cell of 2^-32. Where it
//                       exceeds the cell's mean radius it does so by less than 8.8e-7 (only for
//                       radii below 1, most in the last cell), and rounding adds 10^-14: at most
//                       10^-6 an entry, hence 10^-6 m in the Frobenius norm.
//
// Cholesky  A A' in double, and c I - A A' proved positive semi-definite (verified_cholesky.hpp):
//           whatever A is, with certainty, but at a cost of m^3.
//
// Frobenius ||A||_2 <= ||A||_F, which settles matrices of low rank and costs nothing.
#pragma once

#include <cstdint>
#include <optional>

#include "host/weight_operator.hpp"

namespace widedeq {

struct NormBoundOptions {
  std::optional<Draw> draw = std::nullopt;  // none, as for weights from a file: no Gaussian bound
  double failure_probability = 1e-6;        // p, of the Gaussian bound
  Index cholesky_limit = 4096;              // the largest width that is worth m^3
};

enum class NormBoundKind : std::uint8_t { frobenius, gaussian, cholesky };

struct NormBound {
  double value = 0.0;        // ||A||_2 or more; infinite or NaN for weights that are not finite
  double probability = 1.0;  // that it holds
  NormBoundKind kind = NormBoundKind::frobenius;
};

/// The Gaussian bound on ||A(0)||_2, with probability at least 1 - failure_probability. Throws
/// std::invalid_argument unless 0 < failure_probability < 1.
double drawn_norm_bound(Index width, double failure_probability);

/// The least of the bounds there are. `estimate` is ||A||_2 as estimate_operator_norm() finds it;
/// it steers the search and nothing rests on it. Synchronises.
NormBound bound_operator_norm(Backend& backend, const WeightView& A, double estimate,
                              const NormBoundOptions& options);

}  // namespace widedeq
