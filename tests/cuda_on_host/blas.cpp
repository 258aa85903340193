// cuBLAS by the CPU's BLAS; see cuda_on_host.hpp.
#include <cblas.h>

#include <type_traits>

#include "cublas_v2.h"
#include "tests/cuda_on_host/machine.hpp"

struct cublasContext {
  cudaStream_t stream = nullptr;
  bool has_workspace = false;
};

namespace cuda_on_host {
namespace {

CBLAS_TRANSPOSE blas(cublasOperation_t operation) {
  return operation == CUBLAS_OP_N ? CblasNoTrans : CblasTrans;
}
CBLAS_UPLO blas(cublasFillMode_t uplo) {
  return uplo == CUBLAS_FILL_MODE_LOWER ? CblasLower : CblasUpper;
}

/// Enqueues the work of a library.
cublasStatus_t enqueue_call(cublasHandle_t handle, Work work) {
  const Lock lock(machine().mutex);
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  // The library would allocate its workspace by a node of the graph, which loops must not have.
  if (is_stream(handle->stream) && handle->stream->capture != nullptr && !handle->has_workspace)
    fail("cuBLAS is captured without a workspace of its own (cublasSetStream takes it away)");
  const cudaError_t error = enqueue(handle->stream, Kind::library, [work = std::move(work)] {
    ++machine().counters.library_calls;
    work();
  });
  return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

/// BLAS's rule for a matrix of so many stored rows.
template <class Size>
bool is_stride(Size stride, Size rows) {
  return stride >= rows && stride >= 1;
}

template <class Real, class Size>
cublasStatus_t gemm(cublasHandle_t handle, cublasOperation_t a, cublasOperation_t b, Size m, Size n,
                    Size k, const Real* alpha, const Real* A, Size lda, const Real* B, Size ldb,
                    const Real* beta, Real* C, Size ldc) {
  if (m < 0 || n < 0 || k < 0 || !is_stride(lda, a == CUBLAS_OP_N ? m : k) ||
      !is_stride(ldb, b == CUBLAS_OP_N ? k : n) || !is_stride(ldc, m))
    return CUBLAS_STATUS_INVALID_VALUE;
  return enqueue_call(handle, [=, alpha = *alpha, beta = *beta] {
    const auto call = [&](auto function) {
      function(CblasColMajor, blas(a), blas(b), static_cast<blasint>(m), static_cast<blasint>(n),
               static_cast<blasint>(k), alpha, A, static_cast<blasint>(lda), B,
               static_cast<blasint>(ldb), beta, C, static_cast<blasint>(ldc));
    };
    if constexpr (std::is_same_v<Real, double>) {
      call(cblas_dgemm);
    } else {
      call(cblas_sgemm);
    }
  });
}

template <class Real, class Size>
cublasStatus_t syrk(cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t transpose,
                    Size n, Size k, const Real* alpha, const Real* A, Size lda, const Real* beta,
                    Real* C, Size ldc) {
  if (n < 0 || k < 0 || !is_stride(lda, transpose == CUBLAS_OP_N ? n : k) || !is_stride(ldc, n))
    return CUBLAS_STATUS_INVALID_VALUE;
  return enqueue_call(handle, [=, alpha = *alpha, beta = *beta] {
    const auto call = [&](auto function) {
      function(CblasColMajor, blas(uplo), blas(transpose), static_cast<blasint>(n),
               static_cast<blasint>(k), alpha, A, static_cast<blasint>(lda), beta, C,
               static_cast<blasint>(ldc));
    };
    if constexpr (std::is_same_v<Real, double>) {
      call(cblas_dsyrk);
    } else {
      call(cblas_ssyrk);
    }
  });
}

template <class Real, class Size>
cublasStatus_t gemv(cublasHandle_t handle, cublasOperation_t transpose, Size m, Size n,
                    const Real* alpha, const Real* A, Size lda, const Real* x, Size incx,
                    const Real* beta, Real* y, Size incy) {
  if (m < 0 || n < 0 || !is_stride(lda, m) || incx == 0 || incy == 0)
    return CUBLAS_STATUS_INVALID_VALUE;
  return enqueue_call(handle, [=, alpha = *alpha, beta = *beta] {
    const auto call = [&](auto function) {
      function(CblasColMajor, blas(transpose), static_cast<blasint>(m), static_cast<blasint>(n),
               alpha, A, static_cast<blasint>(lda), x, static_cast<blasint>(incx), beta, y,
               static_cast<blasint>(incy));
    };
    if constexpr (std::is_same_v<Real, double>) {
      call(cblas_dgemv);
    } else {
      call(cblas_sgemv);
    }
  });
}

}  // namespace
}  // namespace cuda_on_host

#define CUDA_ON_HOST_BLAS(letter, Real, Size, suffix)                                            \
  cublasStatus_t cublas##letter##gemm##suffix(                                                   \
      cublasHandle_t handle, cublasOperation_t a, cublasOperation_t b, Size m, Size n, Size k,   \
      const Real* alpha, const Real* A, Size lda, const Real* B, Size ldb, const Real* beta,     \
      Real* C, Size ldc) {                                                                       \
    return cuda_on_host::gemm(handle, a, b, m, n, k, alpha, A, lda, B, ldb, beta, C, ldc);       \
  }                                                                                              \
  cublasStatus_t cublas##letter##syrk##suffix(                                                   \
      cublasHandle_t handle, cublasFillMode_t uplo, cublasOperation_t transpose, Size n, Size k, \
      const Real* alpha, const Real* A, Size lda, const Real* beta, Real* C, Size ldc) {         \
    return cuda_on_host::syrk(handle, uplo, transpose, n, k, alpha, A, lda, beta, C, ldc);       \
  }                                                                                              \
  cublasStatus_t cublas##letter##gemv##suffix(                                                   \
      cublasHandle_t handle, cublasOperation_t transpose, Size m, Size n, const Real* alpha,     \
      const Real* A, Size lda, const Real* x, Size incx, const Real* beta, Real* y, Size incy) { \
    return cuda_on_host::gemv(handle, transpose, m, n, alpha, A, lda, x, incx, beta, y, incy);   \
  }
CUDA_ON_HOST_BLAS(S, float, int, )
CUDA_ON_HOST_BLAS(D, double, int, )
CUDA_ON_HOST_BLAS(S, float, std::int64_t, _64)
CUDA_ON_HOST_BLAS(D, double, std::int64_t, _64)

const char* cublasGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_ARCH_MISMATCH:
      return "CUBLAS_STATUS_ARCH_MISMATCH";
    case CUBLAS_STATUS_MAPPING_ERROR:
      return "CUBLAS_STATUS_MAPPING_ERROR";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR:
      return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
  }
  return "an unknown status of cuBLAS";
}

const char* cublasGetStatusString(cublasStatus_t status) {
  return cublasGetStatusName(status);
}

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  *handle = new cublasContext;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

/// The library takes its own workspace again, as it is documented to.
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
  *handle = {.stream = stream, .has_workspace = false};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void* workspace, std::size_t bytes) {
  if (reinterpret_cast<std::uintptr_t>(workspace) % 256 != 0) return CUBLAS_STATUS_INVALID_VALUE;
  handle->has_workspace = workspace != nullptr && bytes > 0;
  return CUBLAS_STATUS_SUCCESS;
}

/// Products are exact to a rounding here in every mode.
cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t) {
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetPointerMode(cublasHandle_t, cublasPointerMode_t mode) {
  if (mode != CUBLAS_POINTER_MODE_HOST) cuda_on_host::fail("scalars in device memory");
  return CUBLAS_STATUS_SUCCESS;
}
