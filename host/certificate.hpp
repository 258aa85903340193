// Certificates: what is proved, rounding included, of the network at its current weights.
//
// The network is the one of exact real arithmetic whose weights and inputs are the numbers that the
// model holds and whose s is the real number gamma/sqrt(m). Z, L are whatever is held; good ones
// make good bounds, bad ones only worse bounds.
//
//   well-posedness   q >= gamma ||A||_2 / sqrt(m)                              (norm_bound.hpp)
//   distance         ||z_j - z*_j|| for every sample from above                (state_bounds.hpp)
//   lambda_min       lambda_min(H) from below, H the NTK of the exact equilibrium:
//
// H = J J' with the n rows of the Jacobian, one block a parameter, orthogonal to each other,
//
//   J_j = (s l_j (x) z_j,  b_j (x) x_j / sqrt(m),  z_j,  phi_j [with the skip])
//
// so with Ht the Gram of the Z, L and B at hand, and dJ = J - Jt,
//
//   sqrt(lambda_min(H)) = sigma_min(J) >= sqrt(lambda_min(Ht)) - ||dJ||_F
//   ||dJ_j||^2 <= s^2 (||dl|| (||z|| + ||dz||) + ||l|| ||dz||)^2 + (||db|| ||x||)^2 / m
//                 + ||dz||^2 + ||dphi||^2
//   ||db|| <= ||dl|| + ||(l + v) where 1[W x > 0] is uncertain||
//
// and lambda_min(Ht) is bounded by verified Cholesky less the rounding of the sums in Ht.
//
// What this is worth hangs on the entries of P and W X so close to zero that their signs are
// uncertain: one of them moves b by an entry. So the Z and L that certificates reckon with start
// as those held and are iterated on in double, by all rows at once, until such entries are rare. It
// also sharpens the distance: ||z_held - z*|| <= ||z_held - z|| + ||z - z*||.
#pragma once

#include <string>

#include "host/norm_bound.hpp"
#include "host/trainer.hpp"

namespace widedeq {

enum class Verdict : std::uint8_t {
  certified,  ///< proved, with the probability stated
  estimated,  ///< a plausible number; `reason` says why it is not proved
  refused,    ///< no meaningful number; `reason` says why
};

/// "certified", "estimated", "refused"
const char* describe(Verdict verdict);

struct Certificate {
  Verdict verdict = Verdict::refused;
  double value = 0.0;        // the bound, or the estimate
  double probability = 0.0;  // of a certified bound, over the drawing of A; 1: with certainty
  std::string reason;        // how it was proved, or why it was not
};

struct Certificates {
  Certificate contraction;        // q from above; refused when even the estimate is not below 1
  Certificate distance;           // the largest over samples of ||z_j - z*_j|| / ||z_j|| from above
  Certificate lambda_min;         // lambda_min(H) from below, positive when certified
  std::vector<double> distances;  // n: ||z_j - z*_j||, certified or estimated as `distance` is
};

struct CertifyOptions {
  NormBoundOptions norm;
  int norm_steps = 60;  // Lanczos steps of the estimate of ||A||_2
  /// Z and L are iterated on until every sample's relative residual is below this, or they fall no
  /// more, in so many steps at most. Each costs a product of A with m x n in double.
  double refine_to = 1e-10;
  int refine_steps = 60;
};

/// All three, for X d x n, Z and L m x n, real. With Z and L empty, q alone; the others are
/// refused. Throws ShapeError for shapes that do not fit.
///
/// Cost: a product of A with m x n in double for every step of refining (some ten for each of Z and
/// L at gamma 0.4 from 1e-6) and two more, a Gram and its eigenvalues, and up to
/// cholesky_limit a product of A with A and Cholesky. Memory: some ten m x n doubles, and for
/// Cholesky four m x m. Synchronises.
Certificates certify(Backend& backend, const Model& model, ConstBlock X, ConstBlock Z, ConstBlock L,
                     const CertifyOptions& options = {});

/// The same for what a trainer has solved: between evaluate() and update(), when Z and L are of the
/// current weights. Several chunks do not hold Z and L of all samples: q alone.
Certificates certify(Backend& backend, const Model& model, const Trainer& trainer,
                     const CertifyOptions& options = {});

}  // namespace widedeq
