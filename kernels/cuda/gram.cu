// Gram matrices in float64, from panels of rows converted on the fly, and their eigenvalues.
//
//   H = s^2 (L'L) o (Z'Z) + (B'B) o (X'X)/m + Z'Z + Phi'Phi,   B = Dphi o (L + v 1')
//
// Every factor is a sum of outer products of rows, so each is positive semi-definite to float64
// rounding even where Z and L carry single-precision errors, and so is H (Schur's product theorem).
//
// All n x n matrices stay on the device until they are finished; the host waits once. They pass
// through pinned memory together, 32 n^2 bytes, so that nothing between here and there waits.
#include "kernels/cuda/gram.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>
#include <string>
#include <vector>

#include "kernels/cuda/double_gram.cuh"

namespace widedeq::cuda {
namespace {

/// Device memory of the n x n matrices, one after the other in Scratch::product.
struct Device {
  MatrixView<double> ntk, features, states, adjoints;
};

constexpr Index matrices = 4;

Device device_matrices(Context& context, Index n) {
  auto* data =
      context.scratch<double>(Scratch::product, static_cast<std::size_t>(matrices * n * n));
  const auto matrix = [&](Index k) { return MatrixView<double>(data + k * n * n, n, n); };
  return {.ntk = matrix(0), .features = matrix(1), .states = matrix(2), .adjoints = matrix(3)};
}

/// Rows of B = Dphi o (L + v 1'), added up in double; v null: zero.
template <class Real>
__global__ void rows_of_B_kernel(MatrixView<const Real> L, MatrixView<const Real> Phi,
                                 const Real* v, bool masked, Index first, MatrixView<double> out) {
  const Index j = blockIdx.x;
  const Real* adjoints = L.column(j) + first;
  const Real* features = Phi.column(j) + first;
  double* to = out.column(j);
  for_rows<1>(out.rows, [&](Index i, auto) {
    const double sum =
        static_cast<double>(adjoints[i]) + (v == nullptr ? 0.0 : static_cast<double>(v[first + i]));
    to[i] = masked && !(features[i] > Real(0)) ? 0.0 : sum;
  });
}

/// On the lower triangle: ntk, which holds B'B, becomes s^2 (L'L) o (Z'Z) + Z'Z + (B'B) o (X'X)/m.
/// `features` holds X'X.
__global__ void combine_kernel(Device grams, double s, double m) {
  const Index j = blockIdx.x;
  for_rows<1>(grams.ntk.rows - j, [&](Index k, auto) {
    const Index i = j + k;
    const double zz = grams.states(i, j);
    const double bx = grams.ntk(i, j) * grams.features(i, j) / m;
    grams.ntk(i, j) = s * s * grams.adjoints(i, j) * zz + zz + bx;
  });
}

/// On the lower triangle: into += other.
__global__ void add_lower_kernel(MatrixView<double> into, MatrixView<const double> other) {
  const Index j = blockIdx.x;
  for_rows<1>(into.rows - j, [&](Index k, auto) { into(j + k, j) += other(j + k, j); });
}

/// The upper triangle = the lower one, so that symmetry is exact.
__global__ void mirror_kernel(MatrixView<double> matrix) {
  const Index j = blockIdx.x;
  for_rows<1>(j, [&](Index i, auto) { matrix(i, j) = matrix(j, i); });
}

template <class Real>
void make_grams(Context& context, const GramInput& input, const Device& grams) {
  const auto L = input.L.as<const Real>(), Z = input.Z.as<const Real>(),
             Phi = input.Phi.as<const Real>(), X = input.X.as<const Real>();
  const Real* v = input.v.empty() ? nullptr : input.v.as<const Real>().data;
  const Index m = Z.rows, n = Z.columns;
  const Grid columns = grid_of_columns(n);
  for (const auto& matrix : {grams.ntk, grams.features, grams.states, grams.adjoints})
    clear(context, matrix);

  // H = s^2 (L'L) o (Z'Z) + Z'Z + (B'B) o (X'X) / m
  add_gram(context, grams.adjoints, L);
  add_gram(context, grams.states, Z);
  add_gram(context, grams.ntk, m, [&](Index first, MatrixView<double> out) {
    launch(context, columns, rows_of_B_kernel<Real>, L, Phi, v, input.injection == Injection::relu,
           first, out);
  });
  add_gram(context, grams.features, X);
  launch(context, columns, combine_kernel, grams, input.s, static_cast<double>(m));

  // G = Phi'Phi, and H += G with the skip
  clear(context, grams.features);
  add_gram(context, grams.features, Phi);
  if (v != nullptr)
    launch(context, columns, add_lower_kernel, grams.ntk, MatrixView<const double>(grams.features));

  for (const auto& matrix : {grams.ntk, grams.features, grams.states, grams.adjoints})
    launch(context, columns, mirror_kernel, matrix);
}

/// The eigenvalues of symmetric n x n matrices by cuSOLVER, one after the other.
class Eigenvalues {
 public:
  static constexpr Index most = 2;  // matrices

  Eigenvalues(Context& context, Index n)
      : context_(context),
        n_(n),
        values_(context.scratch<double>(Scratch::sums, static_cast<std::size_t>(most * n))),
        failed_(context.scratch<int>(Scratch::digits, static_cast<std::size_t>(most))) {
    WIDEDEQ_CUDA_CHECK(cusolverDnCreateParams(&parameters_));
  }
  ~Eigenvalues() {
    (void)cudaStreamSynchronize(context_.stream());  // it may still read host_workspaces_
    (void)cusolverDnDestroyParams(parameters_);
  }
  Eigenvalues(const Eigenvalues&) = delete;
  Eigenvalues& operator=(const Eigenvalues&) = delete;

  /// Enqueues those of `matrix`, whose contents are lost, as the k-th ones.
  void find(MatrixView<double> matrix, Index k) {
    double* values = values_ + k * n_;
    std::size_t on_device = 0, on_host = 0;
    const cusolverDnHandle_t solver = context_.solver();
    // The library may load kernels or wait for the device, which another thread's capture forbids.
    const std::lock_guard lock(capture_mutex());
    WIDEDEQ_CUDA_CHECK(cusolverDnXsyevd_bufferSize(
        solver, parameters_, CUSOLVER_EIG_MODE_NOVECTOR, CUBLAS_FILL_MODE_LOWER, n_, CUDA_R_64F,
        matrix.data, matrix.stride, CUDA_R_64F, values, CUDA_R_64F, &on_device, &on_host));
    auto* workspace = context_.scratch<std::byte>(Scratch::library, on_device);
    std::vector<std::byte>& host_workspace = host_workspaces_[static_cast<std::size_t>(k)];
    host_workspace.resize(on_host);
    WIDEDEQ_CUDA_CHECK(cusolverDnXsyevd(solver, parameters_, CUSOLVER_EIG_MODE_NOVECTOR,
                                        CUBLAS_FILL_MODE_LOWER, n_, CUDA_R_64F, matrix.data,
                                        matrix.stride, CUDA_R_64F, values, CUDA_R_64F, workspace,
                                        on_device, host_workspace.data(), on_host, failed_ + k));
  }

  const double* values() const { return values_; }
  const int* failed() const { return failed_; }

 private:
  Context& context_;
  Index n_;
  double* values_;  // n of each matrix, ascending
  int* failed_;     // cuSOLVER's word on each matrix; 0: all found
  cusolverDnParams_t parameters_ = nullptr;
  // The library may still read them when its call has returned.
  std::array<std::vector<std::byte>, most> host_workspaces_;
};

/// to = count of T in device memory, on the stream.
template <class T>
void copy_to_pinned(Context& context, const T* from, Index count, T* to) {
  WIDEDEQ_CUDA_CHECK(cudaMemcpyAsync(to, from, static_cast<std::size_t>(count) * sizeof(T),
                                     cudaMemcpyDeviceToHost, context.stream()));
}

bool is_finite(const HostMatrix& matrix) {
  return std::ranges::all_of(matrix.values, [](double entry) { return std::isfinite(entry); });
}

/// n eigenvalues from pinned memory, if the library has found them.
std::vector<double> checked_eigenvalues(Index n, const double* values, int failed) {
  if (failed != 0)
    throw DeviceError("cusolverDnXsyevd found no eigenvalues (info " + std::to_string(failed) +
                      ")");
  return {values, values + n};
}

}  // namespace

void gram(Context& context, const GramInput& input, Grams& out) {
  const Index m = input.Z.rows;
  const Index n = input.Z.columns;
  expect_shape("gram", "L", input.L, m, n);
  expect_shape("gram", "Phi", input.Phi, m, n);
  expect_shape("gram", "X", input.X, input.X.rows, n);
  if (!input.v.empty()) expect_shape("gram", "v", input.v, m, 1);
  out = Grams();
  if (n == 0) return;

  const Device grams = device_matrices(context, n);
  if (input.Z.element == Element::float64) {
    make_grams<double>(context, input, grams);
  } else {
    make_grams<float>(context, input, grams);
  }

  // Copies first: cuSOLVER destroys what it is given.
  const Index size = n * n;
  auto* pinned = context.pinned<double>(
      static_cast<std::size_t>(matrices * size + (Eigenvalues::most + 1) * n));
  copy_to_pinned(context, grams.ntk.data, matrices * size, pinned);
  context.synchronize();
  const double* from = pinned;
  for (HostMatrix* matrix : {&out.ntk, &out.features, &out.states, &out.adjoints}) {
    *matrix = HostMatrix(n, n);
    std::copy_n(from, size, matrix->values.begin());
    from += size;
  }
  if (!input.wants_eigenvalues) return;

  // A matrix that is not finite has none, and nobody promises that the library ends on one: it is
  // left to whoever asks, as on a backend that finds no eigenvalues.
  double* values = pinned + matrices * size;
  int* failed = reinterpret_cast<int*>(values + Eigenvalues::most * n);
  Eigenvalues eigenvalues(context, n);  // the library may read its workspaces until all is done
  const bool has_ntk = is_finite(out.ntk), has_features = is_finite(out.features);
  if (has_ntk) eigenvalues.find(grams.ntk, 0);
  if (has_features) eigenvalues.find(grams.features, 1);
  copy_to_pinned(context, eigenvalues.values(), Eigenvalues::most * n, values);
  copy_to_pinned(context, eigenvalues.failed(), Eigenvalues::most, failed);
  context.synchronize();
  if (has_ntk) out.eigenvalues = checked_eigenvalues(n, values, failed[0]);
  if (has_features) out.feature_eigenvalues = checked_eigenvalues(n, values + n, failed[1]);
}

}  // namespace widedeq::cuda
