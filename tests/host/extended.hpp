// The truth that certificates are held against: textbook loops in long double (64 bits of mantissa,
// unit roundoff 5e-20), written apart from the certificates and from the oracle in double.
//
// Shapes and formulas as in tests/oracle.hpp. The weights are the exact numbers a model holds.
#pragma once

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "tests/support.hpp"

namespace widedeq::extended {

using Real = long double;
static_assert(std::numeric_limits<Real>::digits >= 64, "long double is no longer than double here");

struct Matrix {
  Index rows = 0, columns = 0;
  std::vector<Real> values;

  Matrix() = default;
  Matrix(Index rows, Index columns)
      : rows(rows), columns(columns), values(static_cast<std::size_t>(rows * columns)) {}
  explicit Matrix(const HostMatrix& host)
      : rows(host.rows), columns(host.columns), values(host.values.begin(), host.values.end()) {}
  Real& operator()(Index i, Index j) { return values[static_cast<std::size_t>(i + j * rows)]; }
  Real operator()(Index i, Index j) const { return values[static_cast<std::size_t>(i + j * rows)]; }
};

inline Matrix transpose(const Matrix& M) {
  Matrix result(M.columns, M.rows);
  for (Index j = 0; j < M.columns; ++j)
    for (Index i = 0; i < M.rows; ++i)
      result(j, i) = M(i, j);
  return result;
}

inline Matrix multiply(const Matrix& left, const Matrix& right) {
  Matrix product(left.rows, right.columns);
  for (Index j = 0; j < right.columns; ++j)
    for (Index k = 0; k < left.columns; ++k)
      for (Index i = 0; i < left.rows; ++i)
        product(i, j) += left(i, k) * right(k, j);
  return product;
}

inline Real column_norm(const Matrix& M, Index j) {
  Real sum = 0;
  for (Index i = 0; i < M.rows; ++i)
    sum += M(i, j) * M(i, j);
  return std::sqrt(sum);
}

/// Ascending, by cyclic Jacobi rotations.
inline std::vector<Real> eigenvalues(Matrix M) {
  const Index n = M.rows;
  for (int sweep = 0; sweep < 60; ++sweep) {
    Real off = 0, whole = 0;
    for (Index j = 0; j < n; ++j)
      for (Index i = 0; i < n; ++i)
        (i == j ? whole : off) += M(i, j) * M(i, j);
    if (off <= Real(1e-40L) * whole) break;
    for (Index p = 0; p < n; ++p)
      for (Index q = p + 1; q < n; ++q) {
        if (M(p, q) == 0) continue;
        const Real tau = (M(q, q) - M(p, p)) / (2 * M(p, q));
        const Real t = (tau >= 0 ? 1 : -1) / (std::abs(tau) + std::sqrt(1 + tau * tau));
        const Real c = 1 / std::sqrt(1 + t * t), sine = t * c;
        for (Index k = 0; k < n; ++k) {
          const Real left = M(k, p), right = M(k, q);
          M(k, p) = c * left - sine * right;
          M(k, q) = sine * left + c * right;
        }
        for (Index k = 0; k < n; ++k) {
          const Real upper = M(p, k), lower = M(q, k);
          M(p, k) = c * upper - sine * lower;
          M(q, k) = sine * upper + c * lower;
        }
      }
  }
  std::vector<Real> diagonal;
  for (Index i = 0; i < n; ++i)
    diagonal.push_back(M(i, i));
  std::sort(diagonal.begin(), diagonal.end());
  return diagonal;
}

/// ||M||_2
inline Real operator_norm(const Matrix& M) {
  return std::sqrt(eigenvalues(multiply(transpose(M), M)).back());
}

/// A = step base + change + left right' of the masters, in long double.
inline Matrix masters(const WeightView& A) {
  Matrix whole(test::download(A.base));
  for (Real& entry : whole.values)
    entry *= static_cast<Real>(A.step);
  if (!A.change.empty()) {
    const Matrix change(test::download(A.change));
    for (std::size_t i = 0; i < whole.values.size(); ++i)
      whole.values[i] += change.values[i];
  }
  if (!A.left.empty()) {
    const Matrix factors =
        multiply(Matrix(test::download(A.left)), transpose(Matrix(test::download(A.right))));
    for (std::size_t i = 0; i < whole.values.size(); ++i)
      whole.values[i] += factors.values[i];
  }
  return whole;
}

/// x with M x = b, by Gaussian elimination with partial pivoting.
inline std::vector<Real> solve_linear(Matrix M, std::vector<Real> b) {
  const Index n = M.rows;
  const auto at = [&b](Index i) -> Real& { return b[static_cast<std::size_t>(i)]; };
  for (Index k = 0; k < n; ++k) {
    Index pivot = k;
    for (Index i = k + 1; i < n; ++i)
      if (std::abs(M(i, k)) > std::abs(M(pivot, k))) pivot = i;
    for (Index j = k; j < n; ++j)
      std::swap(M(k, j), M(pivot, j));
    std::swap(at(k), at(pivot));
    for (Index i = k + 1; i < n; ++i) {
      const Real factor = M(i, k) / M(k, k);
      for (Index j = k; j < n; ++j)
        M(i, j) -= factor * M(k, j);
      at(i) -= factor * at(k);
    }
  }
  for (Index k = n - 1; k >= 0; --k) {
    for (Index j = k + 1; j < n; ++j)
      at(k) -= M(k, j) * at(j);
    at(k) /= M(k, k);
  }
  return b;
}

struct Truth {
  Real q = 0;           // gamma ||A||_2 / sqrt(m)
  Matrix Z, L;          // m x n, the equilibrium and the adjoint
  Real lambda_min = 0;  // of the NTK there
};

/// Everything from the weights alone, for a model with q < 1.
inline Truth truth_of(const Model& model, const HostMatrix& inputs) {
  const Matrix A = masters(model.A.view());
  const Matrix W(test::download(model.W)), X(inputs), u(test::download(model.u)),
      v(test::download(model.v));
  const Index m = A.rows, n = X.columns;
  const bool relu_injection = model.options.injection == Injection::relu;
  const Real root = std::sqrt(static_cast<Real>(m)), s = model.options.gamma / root;

  Truth truth;
  truth.q = s * operator_norm(A);

  const Matrix WX = multiply(W, X);
  Matrix Phi = WX;
  for (Real& entry : Phi.values)
    entry = (relu_injection && entry <= 0 ? 0 : entry) / root;

  truth.Z = Matrix(m, n);
  Matrix P;
  for (int iteration = 0;; ++iteration) {
    if (iteration == 20000) throw std::runtime_error("extended: no equilibrium");
    P = multiply(A, truth.Z);
    Real moved = 0, size = 0;
    for (std::size_t i = 0; i < P.values.size(); ++i) {
      P.values[i] = s * P.values[i] + Phi.values[i];
      const Real z = P.values[i] > 0 ? P.values[i] : 0;
      moved += (z - truth.Z.values[i]) * (z - truth.Z.values[i]);
      size += z * z;
      truth.Z.values[i] = z;
    }
    if (moved <= Real(1e-36L) * size) break;
  }

  truth.L = Matrix(m, n);
  Matrix& L = truth.L;
  Matrix B(m, n);
  for (Index j = 0; j < n; ++j) {
    Matrix M(m, m);
    std::vector<Real> b;
    for (Index i = 0; i < m; ++i) {
      const Real D = P(i, j) > 0 ? 1 : 0;
      for (Index k = 0; k < m; ++k)
        M(i, k) = (i == k ? 1 : 0) - s * D * A(k, i);
      b.push_back(D * u(i, 0));
    }
    const std::vector<Real> l = solve_linear(M, b);
    for (Index i = 0; i < m; ++i) {
      L(i, j) = l[static_cast<std::size_t>(i)];
      const bool passes = !relu_injection || WX(i, j) > 0;
      B(i, j) = passes ? L(i, j) + (model.options.skip ? v(i, 0) : 0) : 0;
    }
  }

  const auto gram = [](const Matrix& M) { return multiply(transpose(M), M); };
  const Matrix LL = gram(L), ZZ = gram(truth.Z), BB = gram(B), XX = gram(X), FF = gram(Phi);
  Matrix H(n, n);
  for (std::size_t i = 0; i < H.values.size(); ++i)
    H.values[i] = s * s * LL.values[i] * ZZ.values[i] +
                  BB.values[i] * XX.values[i] / static_cast<Real>(m) + ZZ.values[i] +
                  (model.options.skip ? FF.values[i] : 0);
  truth.lambda_min = eigenvalues(H).front();
  return truth;
}

}  // namespace widedeq::extended
