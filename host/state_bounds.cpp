// One evaluation of each equation in double, with the error of every entry; see state_bounds.hpp.
#include "host/state_bounds.hpp"

#include <algorithm>
#include <cmath>

#include "host/master_product.hpp"
#include "host/rounding.hpp"

namespace widedeq {
namespace {

using rounding::above;
using rounding::gamma;

std::size_t at(Index i) {
  return static_cast<std::size_t>(i);
}

/// The sign of an x* that lies within `error` of x. An x* of exactly zero counts as no.
Sign sign_of(double x, double error) {
  if (x > error) return Sign::yes;
  return x + error <= 0.0 ? Sign::no : Sign::uncertain;
}

}  // namespace

InjectionBounds bound_injection(Backend& backend, const Model& model, ConstBlock X) {
  const Index m = model.width(), d = model.inputs(), n = X.columns;
  expect_shape("certificate", "X", X, d, n);
  const HostMatrix W = download(backend, model.W);
  const HostMatrix inputs = download(backend, X);
  Matrix product = backend.allocate(Element::float64, m, n);
  backend.rank_update(product, 1.0, upload_double(backend, W), std::vector<double>(at(d), 1.0),
                      upload_double(backend, transposed(inputs)), Precision::fp64);
  const std::vector<double> row_norms = rounding::column_norms_above(transposed(W));
  const std::vector<double> norms = rounding::column_norms_above(inputs);

  InjectionBounds bounds{download(backend, product), HostMatrix(m, n),
                         std::vector<Sign>(at(m * n), Sign::yes)};
  const bool is_relu = model.options.injection == Injection::relu;
  const double root = std::sqrt(static_cast<double>(m));
  for (Index j = 0; j < n; ++j) {
    for (Index i = 0; i < m; ++i) {
      // |W X as summed - W X| <= gamma ||w_i|| ||x_j||, and the division by a rounded root is
      // wrong by two roundings
      double& value = bounds.Phi(i, j);
      const double error = above(gamma(d + 2) * row_norms[at(i)] * norms[at(j)]);
      if (is_relu) {
        const Sign sign = sign_of(value, error);
        bounds.active[at(i + j * m)] = sign;
        if (sign == Sign::no || value <= 0.0) value = 0.0;
        if (sign == Sign::no) continue;
      }
      bounds.errors(i, j) = above((error + gamma(4.0) * std::abs(value)) / root);
      value /= root;
    }
  }
  return bounds;
}

ForwardBounds bound_forward(Backend& backend, const Model& model, const InjectionBounds& injection,
                            const HostMatrix& Z, double q) {
  const Index m = model.width(), n = injection.Phi.columns;
  expect_shape("certificate", "Z", MatrixView<const double>(Z.view()), m, n);
  const MasterProduct AZ = multiply_masters(backend, model.A.view(), Transpose::no, Z);
  const std::vector<double> norms = rounding::column_norms_above(Z);
  const double s = model.s();
  const double gap = rounding::reciprocal_gap(q);

  ForwardBounds bounds{std::vector<double>(at(n)), std::vector<double>(at(n)),
                       std::vector<Sign>(at(m * n)), HostMatrix(m, n)};
  std::vector<double> p(at(m)), errors(at(m)), residual(at(m));
  for (Index j = 0; j < n; ++j) {
    for (Index i = 0; i < m; ++i) {
      // p = s (A z)_i + phi, s itself rounded twice
      const double phi = injection.Phi(i, j);
      p[at(i)] = s * AZ.value(i, j) + phi;
      errors[at(i)] =
          above(s * (AZ.errors[at(i)] + gamma(8.0) * AZ.row_norms[at(i)]) * norms[at(j)] +
                injection.errors(i, j) + gamma(4.0) * std::abs(phi));
      bounds.next(i, j) = std::max(p[at(i)], 0.0);
      const bool is_zero = p[at(i)] + errors[at(i)] <= 0.0;
      residual[at(i)] = is_zero ? std::abs(Z(i, j))
                                : above(std::abs(bounds.next(i, j) - Z(i, j)) + errors[at(i)]);
    }
    bounds.residuals[at(j)] = rounding::norm_above(residual);
    const double distance = above(bounds.residuals[at(j)] * gap);
    bounds.distances[at(j)] = distance;
    for (Index i = 0; i < m; ++i)
      bounds.active[at(i + j * m)] =
          sign_of(p[at(i)], above(errors[at(i)] + above(s) * AZ.row_norms[at(i)] * distance));
  }
  return bounds;
}

AdjointBounds bound_adjoint(Backend& backend, const Model& model, const std::vector<Sign>& active,
                            const HostMatrix& L, double q) {
  const Index m = model.width(), n = L.columns;
  const MasterProduct AtL = multiply_masters(backend, model.A.view(), Transpose::yes, L);
  const HostMatrix u = download(backend, model.u);
  const std::vector<double> norms = rounding::column_norms_above(L);
  const double s = model.s();

  AdjointBounds bounds{std::vector<double>(at(n)), std::vector<double>(at(n)), HostMatrix(m, n)};
  std::vector<double> residual(at(m));
  for (Index j = 0; j < n; ++j) {
    for (Index i = 0; i < m; ++i) {
      // x = u_i + s (A' l)_i, and D* x - l with what is known of D*
      const double size = std::abs(L(i, j));
      const Sign sign = active[at(i + j * m)];
      residual[at(i)] = size;
      if (sign == Sign::no) continue;
      const double x = u(i, 0) + s * AtL.value(i, j);
      bounds.next(i, j) = x;
      const double error =
          s * (AtL.errors[at(i)] + gamma(8.0) * AtL.row_norms[at(i)]) * norms[at(j)] +
          gamma(4.0) * std::abs(u(i, 0));
      const double difference = above(std::abs(x - L(i, j)) + error);
      residual[at(i)] = sign == Sign::yes ? difference : std::max(difference, size);
    }
    bounds.residuals[at(j)] = rounding::norm_above(residual);
    bounds.distances[at(j)] = above(bounds.residuals[at(j)] * rounding::reciprocal_gap(q));
  }
  return bounds;
}

}  // namespace widedeq
