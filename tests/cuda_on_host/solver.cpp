// cuSOLVER's symmetric eigenvalues by the CPU's LAPACK; see cuda_on_host.hpp.
#include <lapacke.h>

#include "cusolverDn.h"
#include "tests/cuda_on_host/machine.hpp"

struct cusolverDnContext {
  cudaStream_t stream = nullptr;
};

struct cusolverDnParams {};

namespace cuda_on_host {
namespace {

/// What the workspaces must hold. The real ones are of other sizes; that there is one is checked.
constexpr std::size_t workspace_bytes = 1024;

/// The stored triangle of an n x n matrix becomes eigenvectors where they are wanted, W the
/// eigenvalues. *info, in device memory, is 0 or what LAPACK says.
cusolverStatus_t eigenvalues(cusolverDnHandle_t handle, cusolverEigMode_t mode,
                             cublasFillMode_t uplo, std::int64_t n, double* A, std::int64_t lda,
                             double* W, int* info) {
  if (n < 0 || lda < n || lda < 1) return CUSOLVER_STATUS_INVALID_VALUE;
  const Lock lock(machine().mutex);
  const cudaError_t error = enqueue(handle->stream, Kind::library, [=] {
    ++machine().counters.library_calls;
    *info = n == 0 ? 0
                   : LAPACKE_dsyevd(LAPACK_COL_MAJOR, mode == CUSOLVER_EIG_MODE_VECTOR ? 'V' : 'N',
                                    uplo == CUBLAS_FILL_MODE_LOWER ? 'L' : 'U',
                                    static_cast<lapack_int>(n), A, static_cast<lapack_int>(lda), W);
  });
  return error == cudaSuccess ? CUSOLVER_STATUS_SUCCESS : CUSOLVER_STATUS_INTERNAL_ERROR;
}

}  // namespace
}  // namespace cuda_on_host

cusolverStatus_t cusolverDnCreate(cusolverDnHandle_t* handle) {
  *handle = new cusolverDnContext;
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnDestroy(cusolverDnHandle_t handle) {
  delete handle;
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnSetStream(cusolverDnHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnCreateParams(cusolverDnParams_t* parameters) {
  *parameters = new struct cusolverDnParams;
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnDestroyParams(cusolverDnParams_t parameters) {
  delete parameters;
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnXsyevd_bufferSize(cusolverDnHandle_t, cusolverDnParams_t,
                                             cusolverEigMode_t, cublasFillMode_t, std::int64_t,
                                             cudaDataType, const void*, std::int64_t, cudaDataType,
                                             const void*, cudaDataType, std::size_t* device_bytes,
                                             std::size_t* host_bytes) {
  *device_bytes = *host_bytes = cuda_on_host::workspace_bytes;
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnXsyevd(cusolverDnHandle_t handle, cusolverDnParams_t,
                                  cusolverEigMode_t mode, cublasFillMode_t uplo, std::int64_t n,
                                  cudaDataType A_type, void* A, std::int64_t lda,
                                  cudaDataType W_type, void* W, cudaDataType compute,
                                  void* device_buffer, std::size_t device_bytes, void* host_buffer,
                                  std::size_t host_bytes, int* info) {
  if (A_type != CUDA_R_64F || W_type != CUDA_R_64F || compute != CUDA_R_64F)
    return CUSOLVER_STATUS_NOT_SUPPORTED;
  if (device_buffer == nullptr || device_bytes < cuda_on_host::workspace_bytes ||
      host_buffer == nullptr || host_bytes < cuda_on_host::workspace_bytes)
    return CUSOLVER_STATUS_INVALID_VALUE;
  return cuda_on_host::eigenvalues(handle, mode, uplo, n, static_cast<double*>(A), lda,
                                   static_cast<double*>(W), info);
}

cusolverStatus_t cusolverDnDsyevd_bufferSize(cusolverDnHandle_t, cusolverEigMode_t,
                                             cublasFillMode_t, int, const double*, int,
                                             const double*, int* size) {
  *size = static_cast<int>(cuda_on_host::workspace_bytes / sizeof(double));
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnDsyevd(cusolverDnHandle_t handle, cusolverEigMode_t mode,
                                  cublasFillMode_t uplo, int n, double* A, int lda, double* W,
                                  double* work, int size, int* info) {
  if (work == nullptr || size < static_cast<int>(cuda_on_host::workspace_bytes / sizeof(double)))
    return CUSOLVER_STATUS_INVALID_VALUE;
  return cuda_on_host::eigenvalues(handle, mode, uplo, n, A, lda, W, info);
}
