// How far Z and L are from the exact equilibrium and adjoint of the weights as they are, sample by
// sample, rounding included. The solver's own residuals are not asked: everything is evaluated anew
// in double from the masters.
//
//   Phi* = relu(W X)/sqrt(m) or W X/sqrt(m)     Z* = relu(P*), P* = s A Z* + Phi*
//   L* = D* o (u 1' + s A' L*), D* = 1[P* > 0]
//
// With q >= ||s A||_2, q < 1, and z the Z that is held, f(z) - z = (z* - z) - (f(z*) - f(z)):
//
//   ||z* - z|| <= ||f(z) - z|| / (1 - q)
//   |p* - (s A z + phi)|_i <= (rounding) + s ||a_i|| ||z* - z||,  a_i the rows of A
//
// The second says which entries of D* are certain. With x = u + s A' l,
//
//   l* - l = D* s A' (l* - l) + (D* x - l)  hence  ||l* - l|| <= ||D* x - l|| / (1 - q),
//
// where an uncertain entry of D* counts for the worse of |x - l| and |l|.
//
// Every entry of a product is known to within e_i ||z_j|| (MasterProduct), so entries of relu(P)
// that are certainly zero carry no error: a dead sample's distance is exactly 0.
#pragma once

#include <cstdint>
#include <vector>

#include "host/model.hpp"

namespace widedeq {

/// What is known of an indicator 1[x* > 0], x* the exact value.
enum class Sign : std::int8_t { no, yes, uncertain };

/// Phi in double, and how it differs from Phi*.
struct InjectionBounds {
  HostMatrix Phi;            // m x n
  HostMatrix errors;         // m x n: |Phi* - Phi| or more
  std::vector<Sign> active;  // m x n: Dphi = 1[W X > 0]; all yes for linear injection
};

/// X as the model was trained on, d x n real. Synchronises.
InjectionBounds bound_injection(Backend& backend, const Model& model, ConstBlock X);

struct ForwardBounds {
  std::vector<double> residuals;  // n: ||f(z) - z|| or more
  std::vector<double> distances;  // n: ||z* - z|| or more
  std::vector<Sign> active;       // m x n: D*
  HostMatrix next;                // m x n: f(Z) as computed, q times closer
};

/// Z m x n; q >= ||s A||_2. Cost: a product of A with Z in double. Synchronises.
ForwardBounds bound_forward(Backend& backend, const Model& model, const InjectionBounds& injection,
                            const HostMatrix& Z, double q);

struct AdjointBounds {
  std::vector<double> residuals;  // n: ||D* x - l|| or more
  std::vector<double> distances;  // n: ||l* - l|| or more
  HostMatrix next;                // m x n: D o x as computed, D = 1 where D* is not certainly 0
};

/// L m x n, `active` of the forward bounds. Cost: as above.
AdjointBounds bound_adjoint(Backend& backend, const Model& model, const std::vector<Sign>& active,
                            const HostMatrix& L, double q);

}  // namespace widedeq
