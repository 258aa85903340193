// cuBLAS, as far as widedeq uses it; see cuda_runtime.h beside this. ../blas.cpp stands behind it.
#pragma once

#include <cuda_runtime.h>

enum cublasStatus_t {
  CUBLAS_STATUS_SUCCESS = 0,
  CUBLAS_STATUS_NOT_INITIALIZED = 1,
  CUBLAS_STATUS_ALLOC_FAILED = 3,
  CUBLAS_STATUS_INVALID_VALUE = 7,
  CUBLAS_STATUS_ARCH_MISMATCH = 8,
  CUBLAS_STATUS_MAPPING_ERROR = 11,
  CUBLAS_STATUS_EXECUTION_FAILED = 13,
  CUBLAS_STATUS_INTERNAL_ERROR = 14,
  CUBLAS_STATUS_NOT_SUPPORTED = 15,
};
enum cublasOperation_t { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1, CUBLAS_OP_C = 2 };
enum cublasFillMode_t {
  CUBLAS_FILL_MODE_LOWER = 0,
  CUBLAS_FILL_MODE_UPPER = 1,
  CUBLAS_FILL_MODE_FULL = 2,
};
enum cublasSideMode_t { CUBLAS_SIDE_LEFT = 0, CUBLAS_SIDE_RIGHT = 1 };
enum cublasPointerMode_t { CUBLAS_POINTER_MODE_HOST = 0, CUBLAS_POINTER_MODE_DEVICE = 1 };
enum cublasMath_t {
  CUBLAS_DEFAULT_MATH = 0,
  CUBLAS_PEDANTIC_MATH = 2,
  CUBLAS_TF32_TENSOR_OP_MATH = 3,
};
enum cublasComputeType_t {
  CUBLAS_COMPUTE_32F = 68,
  CUBLAS_COMPUTE_32F_PEDANTIC = 69,
  CUBLAS_COMPUTE_64F = 70,
  CUBLAS_COMPUTE_64F_PEDANTIC = 71,
  CUBLAS_COMPUTE_32I = 72,
  CUBLAS_COMPUTE_32I_PEDANTIC = 73,
};

using cublasHandle_t = struct cublasContext*;

const char* cublasGetStatusName(cublasStatus_t status);
const char* cublasGetStatusString(cublasStatus_t status);
cublasStatus_t cublasCreate(cublasHandle_t* handle);
cublasStatus_t cublasDestroy(cublasHandle_t handle);
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream);
cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void* workspace, std::size_t bytes);
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode);
cublasStatus_t cublasSetPointerMode(cublasHandle_t handle, cublasPointerMode_t mode);

// Each with sizes of 32 and of 64 bits, in float and in double.
#define CUDA_ON_HOST_BLAS(letter, Real, Size, suffix)                                            \
  cublasStatus_t cublas##letter##gemm##suffix(                                                   \
      cublasHandle_t handle, cublasOperation_t a, cublasOperation_t b, Size m, Size n, Size k,   \
      const Real* alpha, const Real* A, Size lda, const Real* B, Size ldb, const Real* beta,     \
      Real* C, Size ldc);                                                                        \
  cublasStatus_t cublas##letter##syrk##suffix(                                                   \
      cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t transpose, Size n, Size k, \
      const Real* alpha, const Real* A, Size lda, const Real* beta, Real* C, Size ldc);          \
  cublasStatus_t cublas##letter##gemv##suffix(                                                   \
      cublasHandle_t handle, cublasOperation_t transpose, Size m, Size n, const Real* alpha,     \
      const Real* A, Size lda, const Real* x, Size incx, const Real* beta, Real* y, Size incy);
CUDA_ON_HOST_BLAS(S, float, int, )
CUDA_ON_HOST_BLAS(D, double, int, )
CUDA_ON_HOST_BLAS(S, float, std::int64_t, _64)
CUDA_ON_HOST_BLAS(D, double, std::int64_t, _64)
#undef CUDA_ON_HOST_BLAS
