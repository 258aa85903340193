// From bounds to verdicts; see certificate.hpp.
#include "host/certificate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "host/finite.hpp"
#include "host/master_product.hpp"
#include "host/operator_norm.hpp"
#include "host/probe.hpp"
#include "host/rounding.hpp"
#include "host/spectrum.hpp"
#include "host/state_bounds.hpp"
#include "host/verified_cholesky.hpp"

namespace widedeq {
namespace {

using rounding::above;

std::size_t at(Index i) {
  return static_cast<std::size_t>(i);
}

Certificate refuse(std::string reason) {
  return {Verdict::refused, NAN, 0.0, std::move(reason)};
}

std::string method(const NormBound& bound) {
  switch (bound.kind) {
    case NormBoundKind::frobenius:
      return "Frobenius norm of A";
    case NormBoundKind::gaussian:
      return "Gaussian bound on A(0) and the distance of A from it";
    case NormBoundKind::cholesky:
      return "verified Cholesky of c I - A A'";
  }
  return "";
}

Certificate certify_contraction(Backend& backend, const Model& model,
                                const CertifyOptions& options) {
  std::vector<double> start = probe_vector(model.width());
  std::vector<double> image(start.size());
  backend.apply(model.A.view(), Transpose::no, start, image);
  if (!all_finite(image)) return refuse("the recurrent weights are not finite");
  const double norm = estimate_operator_norm(backend, model.A.view(), start, options.norm_steps);
  const double estimate = model.s() * norm;
  if (!(estimate < 1.0)) {
    Certificate refused = refuse(fmt::format(
        "gamma ||A||/sqrt(m) is about {:.6g} or more, not below 1: lower gamma", estimate));
    refused.value = estimate;
    return refused;
  }
  const NormBound bound = bound_operator_norm(backend, model.A.view(), norm, options.norm);
  const double q = above(model.s() * bound.value);
  if (q < 1.0) return {Verdict::certified, q, bound.probability, method(bound)};
  return {Verdict::estimated, estimate, 0.0,
          fmt::format("the best bound is {:.6g} (by the {}), not below 1", q, method(bound))};
}

/// The largest of lengths_j / ||z_j|| or more; 0 / 0 is 0. NaN when one is.
double worst_relative(const std::vector<double>& lengths, const HostMatrix& Z) {
  double worst = 0.0;
  for (Index j = 0; j < Z.columns; ++j) {
    const double length = lengths[at(j)];
    if (length == 0.0) continue;
    const double relative = above(length / rounding::norm_below(rounding::column(Z, j)));
    if (std::isnan(relative)) return relative;
    worst = std::max(worst, relative);
  }
  return worst;
}

/// A state and what is known of it.
template <class Bounds>
struct Refined {
  HostMatrix state;
  Bounds bounds;
};

double sum(const std::vector<double>& terms) {
  return std::accumulate(terms.begin(), terms.end(), 0.0);
}

/// Iterates state <- next until the worst relative residual is small enough or the residuals hardly
/// fall any more, be it for rounding or for entries whose gate stays uncertain.
/// `bound(state)` evaluates the equation.
template <class Bound>
auto refine(HostMatrix state, const CertifyOptions& options, const Bound& bound) {
  auto bounds = bound(state);
  Refined<decltype(bounds)> best{std::move(state), std::move(bounds)};
  for (int step = 0; step < options.refine_steps; ++step) {
    if (worst_relative(best.bounds.residuals, best.state) <= options.refine_to) break;
    HostMatrix next = best.bounds.next;
    bounds = bound(next);
    if (!(sum(bounds.residuals) < 0.99 * sum(best.bounds.residuals))) break;
    best = {std::move(next), std::move(bounds)};
  }
  return best;
}

/// ||z_held - z*|| for every sample from above, from z and what is known of ||z - z*||.
std::vector<double> distances_of(const HostMatrix& held, const Refined<ForwardBounds>& refined) {
  HostMatrix difference = refined.state;
  std::ranges::transform(difference.values, held.values, difference.values.begin(), std::minus<>());
  std::vector<double> distances = rounding::column_norms_above(difference);
  std::ranges::transform(distances, refined.bounds.distances, distances.begin(),
                         [](double moved, double rest) { return above(moved + rest); });
  return distances;
}

Certificate certify_distance(double worst, const Certificate& contraction) {
  if (!std::isfinite(worst))
    return refuse("a sample's Z is zero or not finite, but its equilibrium need not be");
  if (contraction.verdict == Verdict::certified)
    return {Verdict::certified, worst, contraction.probability,
            "residuals evaluated anew in double, over 1 - q"};
  return {Verdict::estimated, worst, 0.0, "with q as estimated: " + contraction.reason};
}

/// The Gram of what is at hand, and what is needed to bound the difference from the exact one.
struct Kernel {
  HostMatrix H;
  double rounding = 0.0;  // ||H - exact Gram of the same Z, L, Phi and B||_2 or more
  double distance = 0.0;  // ||J* - J||_F or more
};

/// ||(l + v) where 1[W x > 0] is uncertain|| from above, for sample j.
double uncertain_backward(const InjectionBounds& injection, const HostMatrix& L,
                          const HostMatrix& v, Index j) {
  std::vector<double> entries(at(L.rows));
  for (Index i = 0; i < L.rows; ++i)
    if (injection.active[at(i + j * L.rows)] == Sign::uncertain)
      entries[at(i)] = above(std::abs(L(i, j)) + std::abs(v.rows > 0 ? v(i, 0) : 0.0));
  return rounding::norm_above(entries);
}

/// What kernel_of() puts together.
struct Held {
  const HostMatrix& X;
  const HostMatrix& Z;
  const HostMatrix& L;
  const InjectionBounds& injection;
  const std::vector<double>& Z_distances;
  const std::vector<double>& L_distances;
};

Kernel kernel_of(Backend& backend, const Model& model, const Held& held) {
  const Index m = model.width(), n = held.Z.columns;
  const bool skip = model.options.skip;
  const HostMatrix v = skip ? download(backend, model.v) : HostMatrix();

  Kernel kernel;
  const Matrix X = upload_double(backend, held.X), Z = upload_double(backend, held.Z),
               L = upload_double(backend, held.L), Phi = upload_double(backend, held.injection.Phi),
               v_double = skip ? upload_double(backend, v) : Matrix();
  Grams grams;
  backend.gram({.Z = Z,
                .L = L,
                .Phi = Phi,
                .v = std::as_const(v_double).block(),
                .X = X,
                .s = model.s(),
                .injection = model.options.injection},
               grams);
  kernel.H = std::move(grams.ntk);

  const double s = model.s();
  const double root = std::sqrt(static_cast<double>(m));
  double trace = 0.0, squares = 0.0;
  for (Index j = 0; j < n; ++j) {
    const double x = rounding::norm_above(rounding::column(held.X, j));
    const double z = rounding::norm_above(rounding::column(held.Z, j));
    const double l = rounding::norm_above(rounding::column(held.L, j));
    const double phi = rounding::norm_above(rounding::column(held.injection.Phi, j));
    const double b = l + (skip ? rounding::norm_above(v.values) : 0.0);  // ||b_j|| or more
    const double dz = held.Z_distances[at(j)], dl = held.L_distances[at(j)];
    const double db = dl + uncertain_backward(held.injection, held.L, v, j);
    const double dphi =
        skip ? rounding::norm_above(rounding::column(held.injection.errors, j)) : 0.0;

    const double recurrent = s * (dl * (z + dz) + l * dz);
    const double inputs = db * x / root;
    squares += recurrent * recurrent + inputs * inputs + dz * dz + dphi * dphi;
    trace += (s * l * z) * (s * l * z) + (b * x / root) * (b * x / root) + z * z +
             (skip ? phi * phi : 0.0);
  }
  kernel.distance = above(std::sqrt(squares), static_cast<double>(n) + 32.0);
  // Each entry of H is a few products of sums over m or d. Its error is at most
  // gamma sum over blocks of ||J_i's block|| ||J_j's block||: matrices of rank one, whose norms
  // are their traces. B's own sum l + v counts as one rounding more.
  kernel.rounding = above(rounding::gamma(2 * std::max(m, model.inputs()) + 32) * trace,
                          static_cast<double>(n) + 32.0);
  return kernel;
}

Certificate certify_lambda_min(const Kernel& kernel, const Certificate& contraction) {
  if (!all_finite(kernel.H.values) || !std::isfinite(kernel.distance))
    return refuse("the kernel or what is known of Z and L is not finite");
  if (contraction.verdict == Verdict::certified) {
    const std::optional<double> below = smallest_eigenvalue_below(kernel.H);
    const double at_hand = below ? *below - kernel.rounding : 0.0;
    // sqrt(lambda_min(H)) >= sqrt(lambda_min(Ht)) - ||dJ||_F
    const double sigma = at_hand > 0.0 ? std::sqrt(at_hand) * (1.0 - rounding::gamma(8.0)) : 0.0;
    if (sigma > kernel.distance) {
      const double difference = sigma - kernel.distance;
      return {Verdict::certified, difference * difference * (1.0 - rounding::gamma(8.0)),
              contraction.probability,
              "verified Cholesky of the Gram, less how far Z and L may be from exact"};
    }
  }
  const double estimate = symmetric_eigenvalues(kernel.H).front();
  if (contraction.verdict != Verdict::certified)
    return {Verdict::estimated, estimate, 0.0, contraction.reason};
  return {Verdict::estimated, estimate, 0.0,
          fmt::format("Z and L, or rounding, may have moved the Jacobian by {:.3g}, which is not "
                      "less than its smallest singular value",
                      std::sqrt(kernel.distance * kernel.distance + kernel.rounding))};
}

}  // namespace

const char* describe(Verdict verdict) {
  switch (verdict) {
    case Verdict::certified:
      return "certified";
    case Verdict::estimated:
      return "estimated";
    case Verdict::refused:
      return "refused";
  }
  return "?";
}

Certificates certify(Backend& backend, const Model& model, ConstBlock X, ConstBlock Z, ConstBlock L,
                     const CertifyOptions& options) {
  Certificates result;
  result.contraction = certify_contraction(backend, model, options);
  if (result.contraction.verdict == Verdict::refused) {
    result.distance = refuse(result.contraction.reason);
    result.lambda_min = refuse(result.contraction.reason);
    return result;
  }
  if (Z.empty() && L.empty()) {
    result.distance = refuse("Z and L of all samples are not at hand together");
    result.lambda_min = result.distance;
    return result;
  }
  expect_shape("certificate", "Z", Z, model.width(), X.columns);
  expect_shape("certificate", "L", L, model.width(), X.columns);

  const double q = result.contraction.value;
  const InjectionBounds injection = bound_injection(backend, model, X);
  const HostMatrix Z_held = download(backend, Z);
  const auto forward = refine(Z_held, options, [&](const HostMatrix& state) {
    return bound_forward(backend, model, injection, state, q);
  });
  result.distances = distances_of(Z_held, forward);
  result.distance = certify_distance(worst_relative(result.distances, Z_held), result.contraction);

  const auto adjoint = refine(download(backend, L), options, [&](const HostMatrix& state) {
    return bound_adjoint(backend, model, forward.bounds.active, state, q);
  });
  const HostMatrix X_held = download(backend, X);
  const Kernel kernel = kernel_of(backend, model,
                                  {X_held, forward.state, adjoint.state, injection,
                                   forward.bounds.distances, adjoint.bounds.distances});
  result.lambda_min = certify_lambda_min(kernel, result.contraction);
  return result;
}

Certificates certify(Backend& backend, const Model& model, const Trainer& trainer,
                     const CertifyOptions& options) {
  if (trainer.chunk() < trainer.samples())
    return certify(backend, model, trainer.X(), ConstBlock(), ConstBlock(), options);
  return certify(backend, model, trainer.X(), trainer.Z(), trainer.L(), options);
}

}  // namespace widedeq
