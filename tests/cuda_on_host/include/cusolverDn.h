// cuSOLVER, as far as widedeq uses it: eigenvalues of a symmetric matrix. ../solver.cpp stands
// behind it.
#pragma once

#include <cublas_v2.h>

enum cusolverStatus_t {
  CUSOLVER_STATUS_SUCCESS = 0,
  CUSOLVER_STATUS_NOT_INITIALIZED = 1,
  CUSOLVER_STATUS_ALLOC_FAILED = 2,
  CUSOLVER_STATUS_INVALID_VALUE = 3,
  CUSOLVER_STATUS_INTERNAL_ERROR = 7,
  CUSOLVER_STATUS_NOT_SUPPORTED = 9,
};
enum cusolverEigMode_t { CUSOLVER_EIG_MODE_NOVECTOR = 0, CUSOLVER_EIG_MODE_VECTOR = 1 };

using cusolverDnHandle_t = struct cusolverDnContext*;
using cusolverDnParams_t = struct cusolverDnParams*;

cusolverStatus_t cusolverDnCreate(cusolverDnHandle_t* handle);
cusolverStatus_t cusolverDnDestroy(cusolverDnHandle_t handle);
cusolverStatus_t cusolverDnSetStream(cusolverDnHandle_t handle, cudaStream_t stream);
cusolverStatus_t cusolverDnCreateParams(cusolverDnParams_t* parameters);
cusolverStatus_t cusolverDnDestroyParams(cusolverDnParams_t parameters);

cusolverStatus_t cusolverDnXsyevd_bufferSize(cusolverDnHandle_t handle,
                                             cusolverDnParams_t parameters, cusolverEigMode_t mode,
                                             cublasFillMode_t uplo, std::int64_t n,
                                             cudaDataType A_type, const void* A, std::int64_t lda,
                                             cudaDataType W_type, const void* W,
                                             cudaDataType compute, std::size_t* device_bytes,
                                             std::size_t* host_bytes);
cusolverStatus_t cusolverDnXsyevd(cusolverDnHandle_t handle, cusolverDnParams_t parameters,
                                  cusolverEigMode_t mode, cublasFillMode_t uplo, std::int64_t n,
                                  cudaDataType A_type, void* A, std::int64_t lda,
                                  cudaDataType W_type, void* W, cudaDataType compute,
                                  void* device_buffer, std::size_t device_bytes, void* host_buffer,
                                  std::size_t host_bytes, int* info);
cusolverStatus_t cusolverDnDsyevd_bufferSize(cusolverDnHandle_t handle, cusolverEigMode_t mode,
                                             cublasFillMode_t uplo, int n, const double* A, int lda,
                                             const double* W, int* size);
cusolverStatus_t cusolverDnDsyevd(cusolverDnHandle_t handle, cusolverEigMode_t mode,
                                  cublasFillMode_t uplo, int n, double* A, int lda, double* W,
                                  double* work, int size, int* info);
