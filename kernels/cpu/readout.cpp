// Input injection, readout and the injection's backward pass; see readout.hpp.
#include "kernels/cpu/readout.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/blas.hpp"

namespace widedeq::cpu {
namespace {

template <class Real>
void inject_as(MatrixView<const Real> W, MatrixView<const Real> X, Injection injection,
               MatrixView<Real> Phi) {
  // relu(x)/sqrt(m) = relu(x/sqrt(m)), so the product carries the factor
  const auto factor = static_cast<Real>(1.0 / std::sqrt(static_cast<double>(W.rows)));
  gemm(Transpose::no, Transpose::no, factor, W, X, Real(0), Phi);
  if (injection == Injection::linear) return;
#pragma omp parallel for schedule(static)
  for (Index j = 0; j < Phi.columns; ++j) {
    Real* column = Phi.column(j);
#pragma omp simd
    for (Index i = 0; i < Phi.rows; ++i)
      column[i] = relu(column[i]);
  }
}

/// The same, summed in double and rounded once; so many rows of W at a time.
void inject_in_double(MatrixView<const float> W, MatrixView<const float> X, Injection injection,
                      MatrixView<float> Phi) {
  constexpr Index panel = 512;
  const double factor = 1.0 / std::sqrt(static_cast<double>(W.rows));
  const Index d = W.columns, n = X.columns, most = std::min(panel, W.rows);
  std::vector<double> inputs(static_cast<std::size_t>(d * n));
  std::vector<double> weights(static_cast<std::size_t>(most * d));
  std::vector<double> products(static_cast<std::size_t>(most * n));
  const auto widen = [](MatrixView<const float> from, MatrixView<double> to) {
#pragma omp parallel for schedule(static)
    for (Index j = 0; j < from.columns; ++j)
      std::copy_n(from.column(j), from.rows, to.column(j));
  };
  widen(X, {inputs.data(), d, n});
  for (Index first = 0; first < W.rows; first += most) {
    const Index count = std::min(most, W.rows - first);
    const MatrixView<double> rows(weights.data(), count, d), sums(products.data(), count, n);
    widen({W.data + first, count, d, W.stride}, rows);
    gemm<double>(Transpose::no, Transpose::no, factor, rows, {inputs.data(), d, n}, 0.0, sums);
#pragma omp parallel for schedule(static)
    for (Index j = 0; j < n; ++j) {
      const double* from = sums.column(j);
      float* to = Phi.column(j) + first;
      for (Index i = 0; i < count; ++i) {
        const auto rounded = static_cast<float>(from[i]);
        to[i] = injection == Injection::linear ? rounded : relu(rounded);
      }
    }
  }
}

template <class Real>
double dot(const Real* a, const Real* b, Index count) {
  double sum = 0.0;
#pragma omp simd reduction(+ : sum)
  for (Index i = 0; i < count; ++i)
    sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

template <class Real>
void readout_as(const Real* u, MatrixView<const Real> Z, const Real* v, ConstBlock features,
                std::vector<double>& predictions) {
  const MatrixView<const Real> Phi =
      v == nullptr ? MatrixView<const Real>() : features.as<const Real>();
#pragma omp parallel for schedule(static)
  for (Index j = 0; j < Z.columns; ++j)
    predictions[static_cast<std::size_t>(j)] =
        dot(u, Z.column(j), Z.rows) + (v == nullptr ? 0.0 : dot(v, Phi.column(j), Z.rows));
}

template <class Real>
void backward_as(MatrixView<const Real> L, const Real* v, MatrixView<const Real> Phi,
                 Injection injection, MatrixView<Real> B) {
  const bool masked = injection == Injection::relu;
#pragma omp parallel for schedule(static)
  for (Index j = 0; j < L.columns; ++j) {
    const Real* adjoint = L.column(j);
    const Real* features = Phi.column(j);
    Real* out = B.column(j);
    for (Index i = 0; i < L.rows; ++i)
      out[i] = adjoint[i] + (v == nullptr ? Real(0) : v[i]);
    if (!masked) continue;
#pragma omp simd
    for (Index i = 0; i < L.rows; ++i)
      out[i] = features[i] > Real(0) ? out[i] : Real(0);
  }
}

template <class Real>
const Real* data_or_null(ConstBlock block) {
  return block.empty() ? nullptr : block.as<const Real>().data;
}

}  // namespace

void inject(ConstBlock W, ConstBlock X, Injection injection, Sums sums, Block Phi) {
  expect_shape("inject", "X", X, W.columns, X.columns);
  expect_shape("inject", "Phi", Phi, W.rows, X.columns);
  if (Phi.element == Element::float64) {
    inject_as(W.as<const double>(), X.as<const double>(), injection, Phi.as<double>());
  } else if (sums == Sums::native) {
    inject_as(W.as<const float>(), X.as<const float>(), injection, Phi.as<float>());
  } else {
    inject_in_double(W.as<const float>(), X.as<const float>(), injection, Phi.as<float>());
  }
}

std::vector<double> readout(ConstBlock u, ConstBlock Z, ConstBlock v, ConstBlock Phi) {
  expect_shape("readout", "u", u, Z.rows, 1);
  if (!v.empty()) {
    expect_shape("readout", "v", v, Z.rows, 1);
    expect_shape("readout", "Phi", Phi, Z.rows, Z.columns);
  }
  std::vector<double> predictions(static_cast<std::size_t>(Z.columns));
  if (Z.element == Element::float64) {
    readout_as(u.as<const double>().data, Z.as<const double>(), data_or_null<double>(v), Phi,
               predictions);
  } else {
    readout_as(u.as<const float>().data, Z.as<const float>(), data_or_null<float>(v), Phi,
               predictions);
  }
  return predictions;
}

void backward_injection(ConstBlock L, ConstBlock v, ConstBlock Phi, Injection injection, Block B) {
  expect_shape("backward_injection", "Phi", Phi, L.rows, L.columns);
  expect_shape("backward_injection", "B", B, L.rows, L.columns);
  if (!v.empty()) expect_shape("backward_injection", "v", v, L.rows, 1);
  if (L.element == Element::float64) {
    backward_as(L.as<const double>(), data_or_null<double>(v), Phi.as<const double>(), injection,
                B.as<double>());
  } else {
    backward_as(L.as<const float>(), data_or_null<float>(v), Phi.as<const float>(), injection,
                B.as<float>());
  }
}

}  // namespace widedeq::cpu
