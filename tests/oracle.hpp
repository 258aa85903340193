// The truth that tests compare with: the paper's formulas as textbook double loops.
//
// Nothing here is fast and nothing is shared with the kernels: no BLAS, no increments, no chunks.
// The equilibrium is iterated until it stands still, the adjoint is an exact linear solve (Gaussian
// elimination), so the two have no method in common. Meant for widths up to about 200.
//
// Shapes: A m x m, W m x d, X d x n, u and v m, y n; P, Z, L, Phi, B m x n; H and G n x n. One
// sample a column. Source: Gao et al., "A global convergence theory for deep ReLU implicit networks
// via over-parameterization", ICLR 2022, with the gradients written out for a scalar output.
#pragma once

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>
#include <vector>

#include "kernels/host_matrix.hpp"

namespace widedeq::oracle {

using Vector = std::vector<double>;

inline double& at(Vector& x, Index i) {
  return x[static_cast<std::size_t>(i)];
}
inline double at(const Vector& x, Index i) {
  return x[static_cast<std::size_t>(i)];
}
inline Vector zeros(Index length) {
  return Vector(static_cast<std::size_t>(length));
}

/// A network, its inputs and its targets.
struct Network {
  HostMatrix A, W, X;
  Vector u, v, y;
  double gamma = 0.5;
  bool relu_injection = true;
  bool skip = true;

  Index m() const { return A.rows; }
  Index n() const { return X.columns; }
  Index d() const { return X.rows; }
  double root() const { return std::sqrt(static_cast<double>(m())); }
  double s() const { return gamma / root(); }
};

// ---- norms

inline double norm(const Vector& x) {
  double sum = 0.0;
  for (const double entry : x)
    sum += entry * entry;
  return std::sqrt(sum);
}

inline double column_norm(const HostMatrix& M, Index j) {
  double sum = 0.0;
  for (Index i = 0; i < M.rows; ++i)
    sum += M(i, j) * M(i, j);
  return std::sqrt(sum);
}

// ---- forward

/// left * right
inline HostMatrix multiply(const HostMatrix& left, const HostMatrix& right) {
  HostMatrix product(left.rows, right.columns);
  for (Index j = 0; j < right.columns; ++j)
    for (Index k = 0; k < left.columns; ++k)
      for (Index i = 0; i < left.rows; ++i)
        product(i, j) += left(i, k) * right(k, j);
  return product;
}

inline HostMatrix transpose(const HostMatrix& M) {
  HostMatrix result(M.columns, M.rows);
  for (Index j = 0; j < M.columns; ++j)
    for (Index i = 0; i < M.rows; ++i)
      result(j, i) = M(i, j);
  return result;
}

/// Phi = relu(W X) / sqrt(m), or W X / sqrt(m)
inline HostMatrix injection(const Network& net) {
  HostMatrix Phi = multiply(net.W, net.X);
  for (double& entry : Phi.values) {
    if (net.relu_injection && entry <= 0.0) entry = 0.0;
    entry /= net.root();
  }
  return Phi;
}

/// P = s A Z + Phi
inline HostMatrix pre_activation(const Network& net, const HostMatrix& Phi, const HostMatrix& Z) {
  HostMatrix P = multiply(net.A, Z);
  for (std::size_t i = 0; i < P.values.size(); ++i)
    P.values[i] = net.s() * P.values[i] + Phi.values[i];
  return P;
}

/// max(P, 0), entry by entry
inline HostMatrix relu(HostMatrix P) {
  for (double& entry : P.values)
    if (entry <= 0.0) entry = 0.0;
  return P;
}

/// ||to - from|| / ||from|| for every column; 0 where both vanish, infinite where a square
/// overflows.
inline Vector relative_steps(const HostMatrix& to, const HostMatrix& from) {
  Vector steps = zeros(to.columns);
  for (Index j = 0; j < to.columns; ++j) {
    double difference = 0.0;
    for (Index i = 0; i < to.rows; ++i)
      difference += (to(i, j) - from(i, j)) * (to(i, j) - from(i, j));
    const double whole = column_norm(from, j);
    at(steps, j) = difference == 0.0 ? 0.0
                   : std::isfinite(difference) && std::isfinite(whole)
                       ? std::sqrt(difference) / whole
                       : INFINITY;
  }
  return steps;
}

/// ||f(z) - z|| / ||z|| with f(z) = relu(s A z + phi), one number a sample.
inline Vector forward_residuals(const Network& net, const HostMatrix& Phi, const HostMatrix& Z) {
  return relative_steps(relu(pre_activation(net, Phi, Z)), Z);
}

struct Equilibrium {
  HostMatrix Z, P;
  int iterations = 0;
  bool converged = false;
};

/// Z = relu(s A Z + Phi), by plain iteration from Z = 0 until the relative step is 1e-15
/// everywhere, or below 1e-13 and no longer falling, which is rounding. Not converged after `limit`
/// iterations, or when Z overflows.
inline Equilibrium equilibrium(const Network& net, const HostMatrix& Phi, int limit = 2000) {
  Equilibrium result;
  result.Z = HostMatrix(net.m(), net.n());
  double best = INFINITY;
  int since_best = 0;
  while (result.iterations < limit && !result.converged) {
    HostMatrix next = relu(pre_activation(net, Phi, result.Z));
    double worst = 0.0;
    for (const double step : relative_steps(result.Z, next))
      worst = std::max(worst, step);
    result.Z = std::move(next);
    ++result.iterations;
    since_best = worst < best ? 0 : since_best + 1;
    best = std::min(best, worst);
    result.converged = worst <= 1e-15 || (best < 1e-13 && since_best >= 10);
  }
  result.P = pre_activation(net, Phi, result.Z);
  return result;
}

/// yhat = u'Z + v'Phi (the second term is the skip)
inline Vector predict(const Network& net, const HostMatrix& Z, const HostMatrix& Phi) {
  Vector yhat = zeros(net.n());
  for (Index j = 0; j < net.n(); ++j)
    for (Index i = 0; i < net.m(); ++i) {
      at(yhat, j) += at(net.u, i) * Z(i, j);
      if (net.skip) at(yhat, j) += at(net.v, i) * Phi(i, j);
    }
  return yhat;
}

/// 1/2 sum (yhat - y)^2
inline double loss(const Vector& yhat, const Vector& y) {
  double sum = 0.0;
  for (std::size_t j = 0; j < y.size(); ++j)
    sum += 0.5 * (yhat[j] - y[j]) * (yhat[j] - y[j]);
  return sum;
}

/// The predictions from the weights alone, and the loss: what central differences differentiate.
inline Vector predict(const Network& net) {
  const HostMatrix Phi = injection(net);
  const Equilibrium forward = equilibrium(net, Phi);
  if (!forward.converged) throw std::runtime_error("oracle: no equilibrium");
  return predict(net, forward.Z, Phi);
}

inline double loss(const Network& net) {
  return loss(predict(net), net.y);
}

// ---- adjoint and gradients

/// x with M x = b, by Gaussian elimination with partial pivoting.
inline Vector solve_linear(HostMatrix M, Vector b) {
  const Index n = M.rows;
  for (Index k = 0; k < n; ++k) {
    Index pivot = k;
    for (Index i = k + 1; i < n; ++i)
      if (std::abs(M(i, k)) > std::abs(M(pivot, k))) pivot = i;
    if (M(pivot, k) == 0.0) throw std::runtime_error("oracle: singular matrix");
    for (Index j = k; j < n; ++j)
      std::swap(M(k, j), M(pivot, j));
    std::swap(at(b, k), at(b, pivot));
    for (Index i = k + 1; i < n; ++i)
      M(i, k) /= M(k, k);
    for (Index j = k + 1; j < n; ++j)
      for (Index i = k + 1; i < n; ++i)
        M(i, j) -= M(i, k) * M(k, j);
    for (Index i = k + 1; i < n; ++i)
      at(b, i) -= M(i, k) * at(b, k);
  }
  for (Index k = n - 1; k >= 0; --k) {
    at(b, k) /= M(k, k);
    for (Index i = 0; i < k; ++i)
      at(b, i) -= M(i, k) * at(b, k);
  }
  return b;
}

/// (I - s D A') l = D u for every sample, D = diag 1[P > 0]
inline HostMatrix adjoint(const Network& net, const HostMatrix& P) {
  const Index m = net.m();
  HostMatrix L(m, net.n());
  for (Index j = 0; j < net.n(); ++j) {
    HostMatrix M(m, m);
    Vector b = zeros(m);
    for (Index i = 0; i < m; ++i) {
      const double D = P(i, j) > 0.0 ? 1.0 : 0.0;
      for (Index k = 0; k < m; ++k)
        M(i, k) = (i == k ? 1.0 : 0.0) - net.s() * D * net.A(k, i);
      at(b, i) = D * at(net.u, i);
    }
    const Vector l = solve_linear(std::move(M), std::move(b));
    for (Index i = 0; i < m; ++i)
      L(i, j) = at(l, i);
  }
  return L;
}

/// ||f(l) - l|| / ||l|| with f(l) = D o (u + s A' l), one number a sample.
inline Vector adjoint_residuals(const Network& net, const HostMatrix& P, const HostMatrix& L) {
  HostMatrix f = multiply(transpose(net.A), L);
  for (Index j = 0; j < net.n(); ++j)
    for (Index i = 0; i < net.m(); ++i)
      f(i, j) = P(i, j) > 0.0 ? at(net.u, i) + net.s() * f(i, j) : 0.0;
  return relative_steps(f, L);
}

/// B = Dphi o (L + v 1'), Dphi = 1[W X > 0], or all ones for linear injection
inline HostMatrix backward_injection(const Network& net, const HostMatrix& L,
                                     const HostMatrix& Phi) {
  HostMatrix B(net.m(), net.n());
  for (Index j = 0; j < net.n(); ++j)
    for (Index i = 0; i < net.m(); ++i) {
      const double Dphi = !net.relu_injection || Phi(i, j) > 0.0 ? 1.0 : 0.0;
      B(i, j) = Dphi * (L(i, j) + (net.skip ? at(net.v, i) : 0.0));
    }
  return B;
}

/// alpha (left diag r) right'
inline HostMatrix weighted_outer(double alpha, const HostMatrix& left, const Vector& r,
                                 const HostMatrix& right) {
  HostMatrix sum(left.rows, right.rows);
  for (Index j = 0; j < left.columns; ++j)
    for (Index k = 0; k < right.rows; ++k)
      for (Index i = 0; i < left.rows; ++i)
        sum(i, k) += alpha * left(i, j) * at(r, j) * right(k, j);
  return sum;
}

/// M r
inline Vector weighted_sum(const HostMatrix& M, const Vector& r) {
  Vector sum = zeros(M.rows);
  for (Index j = 0; j < M.columns; ++j)
    for (Index i = 0; i < M.rows; ++i)
      at(sum, i) += M(i, j) * at(r, j);
  return sum;
}

// ---- kernels

/// M'M
inline HostMatrix inner_products(const HostMatrix& M) {
  HostMatrix gram(M.columns, M.columns);
  for (Index j = 0; j < M.columns; ++j)
    for (Index k = 0; k < M.columns; ++k)
      for (Index i = 0; i < M.rows; ++i)
        gram(j, k) += M(i, j) * M(i, k);
  return gram;
}

/// H = s^2 (L'L) o (Z'Z) + (B'B) o (X'X) / m + Z'Z [+ Phi'Phi with the skip]
inline HostMatrix ntk(double s, bool skip, const HostMatrix& L, const HostMatrix& Z,
                      const HostMatrix& B, const HostMatrix& X, const HostMatrix& Phi) {
  const HostMatrix LL = inner_products(L), ZZ = inner_products(Z), BB = inner_products(B),
                   XX = inner_products(X), PP = inner_products(Phi);
  HostMatrix H(Z.columns, Z.columns);
  for (Index j = 0; j < H.columns; ++j)
    for (Index k = 0; k < H.rows; ++k)
      H(k, j) = s * s * LL(k, j) * ZZ(k, j) + BB(k, j) * XX(k, j) / static_cast<double>(Z.rows) +
                ZZ(k, j) + (skip ? PP(k, j) : 0.0);
  return H;
}

// ---- everything at once

struct Solution {
  HostMatrix Phi, Z, P, L, B;
  Vector prediction, r;
  double loss = 0.0;
  HostMatrix dA, dW;
  Vector du, dv;
  HostMatrix H, G;
  int iterations = 0;
  bool converged = false;  // when not, only Phi, Z and P are filled in

  double gradient_norm() const {
    return std::sqrt(std::pow(norm(dA.values), 2) + std::pow(norm(dW.values), 2) +
                     std::pow(norm(du), 2) + std::pow(norm(dv), 2));
  }
};

inline Solution solve(const Network& net) {
  Solution it;
  it.Phi = injection(net);
  Equilibrium forward = equilibrium(net, it.Phi);
  it.Z = std::move(forward.Z);
  it.P = std::move(forward.P);
  it.iterations = forward.iterations;
  it.converged = forward.converged;
  if (!it.converged) return it;

  // r = yhat - y
  it.prediction = predict(net, it.Z, it.Phi);
  it.loss = loss(it.prediction, net.y);
  it.r = it.prediction;
  for (std::size_t j = 0; j < it.r.size(); ++j)
    it.r[j] -= net.y[j];

  it.L = adjoint(net, it.P);
  it.B = backward_injection(net, it.L, it.Phi);

  // dA = s (L diag r) Z'   dW = (B diag r) X' / sqrt(m)   du = Z r   dv = Phi r, 0 without the skip
  it.dA = weighted_outer(net.s(), it.L, it.r, it.Z);
  it.dW = weighted_outer(1.0 / net.root(), it.B, it.r, net.X);
  it.du = weighted_sum(it.Z, it.r);
  it.dv = net.skip ? weighted_sum(it.Phi, it.r) : zeros(net.m());

  it.H = ntk(net.s(), net.skip, it.L, it.Z, it.B, net.X, it.Phi);
  it.G = inner_products(it.Phi);
  return it;
}

/// One step of gradient descent: every parameter -= eta * its gradient. Returns what it saw before.
inline Solution descend(Network& net, double eta) {
  Solution before = solve(net);
  if (!before.converged) throw std::runtime_error("oracle: no equilibrium");
  const auto step = [eta](Vector& parameter, const Vector& gradient) {
    for (std::size_t i = 0; i < parameter.size(); ++i)
      parameter[i] -= eta * gradient[i];
  };
  step(net.A.values, before.dA.values);
  step(net.W.values, before.dW.values);
  step(net.u, before.du);
  if (net.skip) step(net.v, before.dv);
  return before;
}

// ---- central differences

/// d/dp f(net) for every entry p of one parameter, [f(p + h) - f(p - h)] / 2h. `f` returns a
/// vector.
template <class Function>
std::vector<Vector> central_differences(Network net, Vector& (*parameter)(Network&), double h,
                                        const Function& f) {
  std::vector<Vector> derivatives;
  for (std::size_t i = 0; i < parameter(net).size(); ++i) {
    double& entry = parameter(net)[i];
    const double middle = entry;
    entry = middle + h;
    Vector right = f(net);
    entry = middle - h;
    const Vector left = f(net);
    entry = middle;
    for (std::size_t j = 0; j < right.size(); ++j)
      right[j] = (right[j] - left[j]) / (2.0 * h);
    derivatives.push_back(std::move(right));
  }
  return derivatives;
}

inline Vector& parameter_A(Network& net) {
  return net.A.values;
}
inline Vector& parameter_W(Network& net) {
  return net.W.values;
}
inline Vector& parameter_u(Network& net) {
  return net.u;
}
inline Vector& parameter_v(Network& net) {
  return net.v;
}

// ---- spectra

/// The eigenvalues of a symmetric matrix, ascending, by cyclic Jacobi rotations.
/// Source: Golub and Van Loan, Matrix Computations, section 8.5.
inline Vector eigenvalues(HostMatrix M) {
  const Index n = M.rows;
  for (int sweep = 0; sweep < 60; ++sweep) {
    double off = 0.0, whole = 0.0;
    for (Index j = 0; j < n; ++j)
      for (Index i = 0; i < n; ++i) {
        whole += M(i, j) * M(i, j);
        if (i != j) off += M(i, j) * M(i, j);
      }
    if (off <= 1e-32 * whole) break;
    for (Index p = 0; p < n; ++p)
      for (Index q = p + 1; q < n; ++q) {
        if (M(p, q) == 0.0) continue;
        // The rotation that makes M(p, q) vanish: t^2 + 2 tau t - 1 = 0, the smaller root.
        const double tau = (M(q, q) - M(p, p)) / (2.0 * M(p, q));
        const double t = (tau >= 0.0 ? 1.0 : -1.0) / (std::abs(tau) + std::hypot(1.0, tau));
        const double c = 1.0 / std::hypot(1.0, t), sine = t * c;
        for (Index k = 0; k < n; ++k) {
          const double left = M(k, p), right = M(k, q);
          M(k, p) = c * left - sine * right;
          M(k, q) = sine * left + c * right;
        }
        for (Index k = 0; k < n; ++k) {
          const double upper = M(p, k), lower = M(q, k);
          M(p, k) = c * upper - sine * lower;
          M(q, k) = sine * upper + c * lower;
        }
      }
  }
  Vector diagonal = zeros(n);
  for (Index i = 0; i < n; ++i)
    at(diagonal, i) = M(i, i);
  std::sort(diagonal.begin(), diagonal.end());
  return diagonal;
}

/// ||M||_2, the root of the largest eigenvalue of M'M.
inline double operator_norm(const HostMatrix& M) {
  return std::sqrt(eigenvalues(inner_products(M)).back());
}

}  // namespace widedeq::oracle
