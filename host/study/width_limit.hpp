// The kernels of the network of infinite width at initialisation.
//
// With S = X'X, k0 = arc_cosine_0 and k1 = |x||x'| arc_cosine_1 of the angle between two samples,
// kappa, D0 and Dh of pair_limit.hpp, all entry by entry:
//
//   K = |x||x'| kappa              limit of Z'Z      the state's Gram
//   Q = D0 / (1 - gamma^2 D0)      limit of L'L/m    the adjoint's: Q = D0 (1 + gamma^2 Q)
//   G = k1 (relu), S (linear)      limit of Phi'Phi  the features'
//
// The NTK of width m, H = s^2 (L'L) o (Z'Z) + (B'B) o (X'X)/m + Z'Z + Phi'Phi, B = Dphi o (L + v
// 1'), goes term by term: L is independent of v and has the limit Q given which units are active,
// so
//
//   B'B/m -> Dh (1 + gamma^2 Q) + k0 (relu),  Q + 1 (linear);  without the skip, without k0 and 1
//
//   H = gamma^2 Q o K + S o (Dh (1 + gamma^2 Q) + k0) + K + G        relu injection, skip
//   H = gamma^2 Q o K + S o Dh (1 + gamma^2 Q) + K                   relu injection
//   H = gamma^2 Q o K + S o (Q + 1) + K + G                          linear injection, skip
//   H = gamma^2 Q o K + S o Q + K                                    linear injection
//
// Finite networks come to it as m^-1/2. Sources: Gao et al., arXiv 2310.10767 (the Gaussian
// process), Feng and Kolter, arXiv 2310.14062 (the kernel); Dh and the skip are worked out here.
#pragma once

#include "kernels/backend.hpp"
#include "kernels/host_matrix.hpp"

namespace widedeq {

struct LimitOptions {
  double gamma = 0.5;
  Injection injection = Injection::relu;
  bool skip = true;
  int threads = 0;  // 0: OpenMP's choice; results do not depend on it
};

/// n x n matrices, exactly symmetric and positive semi-definite to rounding; how they were come by.
/// Errors are of the worst angle there is, not only of those that occur, and relative: of K to the
/// lengths' product times kappa(0), of Q and Dh to their values at the angle 0.
struct WidthLimit {
  HostMatrix K, Q, H, G;
  int newton_steps = 0;              // of the slowest fixed point
  int table_points = 0;              // angles at which the fixed points were solved for
  double fixed_point_error = 0.0;    // the last Newton step of K
  double quadrature_error = 0.0;     // by doubling the nodes of the integrals; 0 without integrals
  double interpolation_error = 0.0;  // by doubling the points of the table
};

/// K, Q, H and G of the samples, one a column of the d x n inputs, which are taken as they are.
/// Work: O(n^2 d), and some milliseconds for the table. Memory: 4 n^2 + n d doubles.
/// Throws Failure (usage) unless 0 <= gamma < sqrt(2), std::domain_error for a column that is zero
/// or not finite. Entries overflow to infinity where squares of the inputs do.
WidthLimit width_limit(const HostMatrix& inputs, const LimitOptions& options);

}  // namespace widedeq
