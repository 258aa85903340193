// Input injection, readout and the injection's backward pass; see readout.hpp.
//
//   Phi = relu(W X / sqrt(m)) or W X / sqrt(m)     W m x d, X d x n, Phi m x n
//   yhat = u'Z + v'Phi                             summed in double
//   B = Dphi o (L + v 1')                          Dphi = 1[Phi > 0], or ones
#include "kernels/cuda/readout.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/multiply.hpp"
#include "kernels/cuda/vectors.hpp"

namespace widedeq::cuda {
namespace {

template <class Real, int width>
__global__ void relu_kernel(MatrixView<Real> Phi) {
  Real* column = Phi.column(blockIdx.x);
  for_rows<width>(Phi.rows, [&](Index i, auto rows) {
    auto entries = load<rows.value>(column + i);
    for (int k = 0; k < rows.value; ++k)
      entries[k] = relu(entries[k]);
    store<rows.value>(column + i, entries);
  });
}

template <class Real>
void inject_as(Context& context, MatrixView<const Real> W, MatrixView<const Real> X,
               Injection injection, MatrixView<Real> Phi) {
  // relu(x)/sqrt(m) = relu(x/sqrt(m)), so the product carries the factor
  const auto factor = static_cast<Real>(1.0 / std::sqrt(static_cast<double>(W.rows)));
  gemm(context, Transpose::no, Transpose::no, factor, W, X, Real(0), Phi);
  if (injection == Injection::linear) return;
  constexpr int width = pack_width<Real>;
  launch(context, grid_of_columns(Phi.columns),
         can_pack(width, Phi) ? relu_kernel<Real, width> : relu_kernel<Real, 1>, Phi);
}

/// to = from, in double
__global__ void __launch_bounds__(block_threads)
    widen_kernel(MatrixView<const float> from, MatrixView<double> to) {
  const Index j = blockIdx.x;
  for_rows<1>(from.rows, [&](Index i, auto) { to(i, j) = static_cast<double>(from(i, j)); });
}

/// to = from, rounded, and clipped at zero where it is to be
__global__ void __launch_bounds__(block_threads)
    round_kernel(MatrixView<const double> from, bool clips, MatrixView<float> to) {
  const Index j = blockIdx.x;
  for_rows<1>(from.rows, [&](Index i, auto) {
    const auto rounded = static_cast<float>(from(i, j));
    to(i, j) = clips ? relu(rounded) : rounded;
  });
}

/// The same, summed in double and rounded once; so many rows of W at a time.
void inject_in_double(Context& context, MatrixView<const float> W, MatrixView<const float> X,
                      Injection injection, MatrixView<float> Phi) {
  constexpr Index panel = 4096;
  const double factor = 1.0 / std::sqrt(static_cast<double>(W.rows));
  const Index d = W.columns, n = X.columns, most = std::min(panel, W.rows);
  if (most == 0 || n == 0) return;
  const auto matrix = [&](Scratch slot, Index rows, Index columns) {
    const Index stride = padded_rows(rows, sizeof(double));
    return MatrixView<double>(
        context.scratch<double>(slot,
                                static_cast<std::size_t>(stride * std::max<Index>(columns, 1))),
        rows, columns, stride);
  };
  const MatrixView<double> inputs = matrix(Scratch::reals, d, n),
                           weights = matrix(Scratch::product, most, d),
                           sums = matrix(Scratch::second_product, most, n);
  launch(context, grid_of_columns(n), widen_kernel, X, inputs);
  for (Index first = 0; first < W.rows; first += most) {
    const Index count = std::min(most, W.rows - first);
    const auto rows_of = [count](auto whole, Index row) {
      return decltype(whole)(whole.data + row, count, whole.columns, whole.stride);
    };
    launch(context, grid_of_columns(d), widen_kernel, rows_of(W, first), rows_of(weights, 0));
    gemm<double>(context, Transpose::no, Transpose::no, factor, rows_of(weights, 0), inputs, 0.0,
                 rows_of(sums, 0));
    launch(context, grid_of_columns(n), round_kernel, MatrixView<const double>(rows_of(sums, 0)),
           injection == Injection::relu, rows_of(Phi, first));
  }
}

/// This thread's share of a'b.
template <int width, class Real>
__device__ double share_of_dot(const Real* a, const Real* b, Index count) {
  double sum = 0.0;
  for_rows<width>(count, [&](Index i, auto rows) {
    const auto x = load<rows.value>(a + i), y = load<rows.value>(b + i);
    for (int k = 0; k < rows.value; ++k)
      sum += static_cast<double>(x[k]) * static_cast<double>(y[k]);
  });
  return sum;
}

/// yhat[j] = u'Z_j + v'Phi_j; v null: no skip.
template <class Real, int width>
__global__ void readout_kernel(const Real* u, MatrixView<const Real> Z, const Real* v,
                               MatrixView<const Real> Phi, double* predictions) {
  const Index j = blockIdx.x;
  double mine = share_of_dot<width>(u, Z.column(j), Z.rows);
  if (v != nullptr) mine += share_of_dot<width>(v, Phi.column(j), Z.rows);
  const double sum = block_reduce<block_threads>(mine, std::plus<double>());
  if (threadIdx.x == 0) predictions[j] = sum;
}

template <class Real>
std::vector<double> readout_as(Context& context, MatrixView<const Real> u, MatrixView<const Real> Z,
                               MatrixView<const Real> v, MatrixView<const Real> Phi) {
  auto* predictions = context.scratch<double>(Scratch::sums, static_cast<std::size_t>(Z.columns));
  constexpr int width = pack_width<Real>;
  const auto kernel =
      can_pack(width, u, Z, v, Phi) ? readout_kernel<Real, width> : readout_kernel<Real, 1>;
  launch(context, grid_of_columns(Z.columns), kernel, u.data, Z, v.data, Phi, predictions);
  return fetch(context, predictions, Z.columns);
}

/// B(i, j) = Dphi(i, j) (L(i, j) + v(i)); v null: zero.
template <class Real, int width>
__global__ void backward_kernel(MatrixView<const Real> L, const Real* v, MatrixView<const Real> Phi,
                                bool masked, MatrixView<Real> B) {
  const Index j = blockIdx.x;
  for_rows<width>(L.rows, [&](Index i, auto rows) {
    auto sums = load<rows.value>(L.column(j) + i);
    const auto features = load<rows.value>(Phi.column(j) + i);
    if (v != nullptr) {
      const auto terms = load<rows.value>(v + i);
      for (int k = 0; k < rows.value; ++k)
        sums[k] += terms[k];
    }
    for (int k = 0; k < rows.value; ++k)
      sums[k] = masked && !(features[k] > Real(0)) ? Real(0) : sums[k];
    store<rows.value>(B.column(j) + i, sums);
  });
}

template <class Real>
void backward_as(Context& context, MatrixView<const Real> L, MatrixView<const Real> v,
                 MatrixView<const Real> Phi, Injection injection, MatrixView<Real> B) {
  constexpr int width = pack_width<Real>;
  const auto kernel =
      can_pack(width, L, v, Phi, B) ? backward_kernel<Real, width> : backward_kernel<Real, 1>;
  launch(context, grid_of_columns(L.columns), kernel, L, v.data, Phi, injection == Injection::relu,
         B);
}

}  // namespace

void inject(Context& context, ConstBlock W, ConstBlock X, Injection injection, Sums sums,
            Block Phi) {
  expect_shape("inject", "X", X, W.columns, X.columns);
  expect_shape("inject", "Phi", Phi, W.rows, X.columns);
  if (Phi.element == Element::float64) {
    inject_as(context, W.as<const double>(), X.as<const double>(), injection, Phi.as<double>());
  } else if (sums == Sums::native) {
    inject_as(context, W.as<const float>(), X.as<const float>(), injection, Phi.as<float>());
  } else {
    inject_in_double(context, W.as<const float>(), X.as<const float>(), injection, Phi.as<float>());
  }
}

std::vector<double> readout(Context& context, ConstBlock u, ConstBlock Z, ConstBlock v,
                            ConstBlock Phi) {
  expect_shape("readout", "u", u, Z.rows, 1);
  if (!v.empty()) {
    expect_shape("readout", "v", v, Z.rows, 1);
    expect_shape("readout", "Phi", Phi, Z.rows, Z.columns);
  }
  const ConstBlock features = v.empty() ? ConstBlock() : Phi;
  if (Z.element == Element::float64)
    return readout_as(context, u.as<const double>(), Z.as<const double>(), view_or_none<double>(v),
                      view_or_none<double>(features));
  return readout_as(context, u.as<const float>(), Z.as<const float>(), view_or_none<float>(v),
                    view_or_none<float>(features));
}

void backward_injection(Context& context, ConstBlock L, ConstBlock v, ConstBlock Phi,
                        Injection injection, Block B) {
  expect_shape("backward_injection", "Phi", Phi, L.rows, L.columns);
  expect_shape("backward_injection", "B", B, L.rows, L.columns);
  if (!v.empty()) expect_shape("backward_injection", "v", v, L.rows, 1);
  if (L.element == Element::float64) {
    backward_as(context, L.as<const double>(), view_or_none<double>(v), Phi.as<const double>(),
                injection, B.as<double>());
  } else {
    backward_as(context, L.as<const float>(), view_or_none<float>(v), Phi.as<const float>(),
                injection, B.as<float>());
  }
}

}  // namespace widedeq::cuda
