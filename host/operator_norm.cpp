// Golub-Kahan-Lanczos bidiagonalisation; see operator_norm.hpp.
#include "host/operator_norm.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "host/probe.hpp"
#include "host/spectrum.hpp"

namespace widedeq {
namespace {

constexpr int most_steps = 40;
/// Later ones end when so many have added no more than this to the estimate, relatively.
constexpr int settled_steps = 4;
constexpr double settled_change = 1e-7;

/// How much of another vector a later start has: what has come to the top of the spectrum since may
/// be orthogonal to what was there. (Measured, m = 64 to 100, after large updates: from the old
/// vector alone, by 8 steps, the norm came out by up to 7e-4 too small.)
constexpr double fresh_share = 0.3;

double norm(const std::vector<double>& x) {
  double sum = 0.0;
  for (const double entry : x)
    sum += entry * entry;
  return std::sqrt(sum);
}

double dot(const std::vector<double>& x, const std::vector<double>& y) {
  double sum = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i)
    sum += x[i] * y[i];
  return sum;
}

/// y -= Q Q'y, twice, which is as good as exact (Kahan, Parlett).
void orthogonalise(std::vector<double>& y, const std::vector<std::vector<double>>& Q) {
  for (int pass = 0; pass < 2; ++pass) {
    for (const auto& q : Q) {
      const double overlap = dot(q, y);
      for (std::size_t i = 0; i < y.size(); ++i)
        y[i] -= overlap * q[i];
    }
  }
}

/// Divides by the norm and returns it; leaves a zero vector alone.
double normalise(std::vector<double>& y) {
  const double length = norm(y);
  if (length > 0.0)
    for (double& entry : y)
      entry /= length;
  return length;
}

/// B'B of the upper bidiagonal B, alpha on its diagonal and beta above it.
HostMatrix square_of(const std::vector<double>& alpha, const std::vector<double>& beta) {
  const auto k = static_cast<Index>(alpha.size());
  HostMatrix BtB(k, k);
  for (Index i = 0; i < k; ++i) {
    const auto row = static_cast<std::size_t>(i);
    BtB(i, i) = alpha[row] * alpha[row] + (i > 0 ? beta[row - 1] * beta[row - 1] : 0.0);
    if (i + 1 < k) BtB(i, i + 1) = BtB(i + 1, i) = alpha[row] * beta[row];
  }
  return BtB;
}

/// Whether the last of these estimates has hardly changed for some steps.
bool has_settled(const std::vector<double>& estimates, double change) {
  if (change == 0.0 || estimates.size() <= static_cast<std::size_t>(settled_steps)) return false;
  const double before = estimates[estimates.size() - 1 - settled_steps];
  return estimates.back() - before <= change * estimates.back();
}

}  // namespace

double estimate_operator_norm(Backend& backend, const WeightView& A, std::vector<double>& start,
                              int steps, double change) {
  const auto m = static_cast<std::size_t>(A.width());
  steps = std::min(steps, static_cast<int>(std::min<Index>(A.width(), 1000)));
  if (start.size() != m || normalise(start) == 0.0)
    throw ShapeError("estimate_operator_norm: the start has " + std::to_string(start.size()) +
                     " entries or is zero, A is " + shape(A.base));

  // A V = U B with B upper bidiagonal: alpha on the diagonal, beta above it.
  std::vector<std::vector<double>> V{start};
  std::vector<std::vector<double>> U;
  std::vector<double> alpha, beta, estimates;
  while (true) {
    std::vector<double> u(m);
    backend.apply(A, Transpose::no, V.back(), u);
    orthogonalise(u, U);
    alpha.push_back(normalise(u));
    U.push_back(std::move(u));
    if (static_cast<int>(U.size()) == steps || alpha.back() == 0.0) break;
    if (change > 0.0) estimates.push_back(largest_eigenpair(square_of(alpha, beta)).value);
    if (has_settled(estimates, 2.0 * change)) break;  // of the norm's square
    std::vector<double> v(m);
    backend.apply(A, Transpose::yes, U.back(), v);
    orthogonalise(v, V);
    beta.push_back(normalise(v));
    if (beta.back() <= 1e-14 * alpha.front()) break;  // the space is invariant
    V.push_back(std::move(v));
  }

  // The top eigenpair of B'B: its root bounds ||A|| from below, its vector is the next start.
  const Eigenpair top = largest_eigenpair(square_of(alpha, beta));
  std::ranges::fill(start, 0.0);
  for (std::size_t j = 0; j < alpha.size(); ++j)
    for (std::size_t i = 0; i < m; ++i)
      start[i] += top.vector[j] * V[j][i];
  return std::sqrt(std::max(0.0, top.value));
}

double OperatorNorm::estimate(Backend& backend, const WeightView& A) {
  std::vector<double> fresh = probe_vector(A.width());
  normalise(fresh);
  if (start_.empty()) {
    start_ = std::move(fresh);
    return estimate_operator_norm(backend, A, start_, most_steps);
  }
  for (std::size_t i = 0; i < start_.size(); ++i)
    start_[i] += fresh_share * fresh[i];
  return estimate_operator_norm(backend, A, start_, most_steps, settled_change);
}

void OperatorNorm::transfer(Archive& archive) {
  archive.numbers("start", start_);
}

}  // namespace widedeq
