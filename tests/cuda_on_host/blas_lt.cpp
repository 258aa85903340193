// cuBLASLt's int8 product with int32 sums, D = alpha A' B + beta C; see cuda_on_host.hpp.
//
// The library's documentation allows for it: all matrices column-major, A transposed, B not; m, n
// and k multiples of 4; and, for the kernels that use tensor cores, all addresses and all strides
// in bytes multiples of 16. Anything else is refused here.
#include "cublasLt.h"

#include <algorithm>
#include <cstring>

#include "tests/cuda_on_host/machine.hpp"

struct cublasLtContext {};

struct cublasLtMatmulDescOpaque_t {
  cublasComputeType_t compute = CUBLAS_COMPUTE_32I;
  cudaDataType_t scale = CUDA_R_32I;
  cublasOperation_t transpose_A = CUBLAS_OP_N, transpose_B = CUBLAS_OP_N;
  bool plain = true;  // nothing else has been asked for
};

struct cublasLtMatrixLayoutOpaque_t {
  cudaDataType type = CUDA_R_8I;
  std::uint64_t rows = 0, columns = 0;
  std::int64_t stride = 0;
  bool column_major = true;
};

struct cublasLtMatmulPreferenceOpaque_t {
  std::uint64_t workspace = 0;
};

namespace cuda_on_host {
namespace {

using Layout = cublasLtMatrixLayoutOpaque_t;

bool is_fast(const Layout& layout, cudaDataType type) {
  const std::int64_t size = type == CUDA_R_8I ? 1 : 4;
  return layout.type == type && layout.column_major && layout.stride * size % 16 == 0 &&
         layout.stride >= static_cast<std::int64_t>(layout.rows);
}

/// Whether there is a kernel, whatever the addresses.
cublasStatus_t check(const cublasLtMatmulDescOpaque_t& description, const Layout& A,
                     const Layout& B, const Layout& C, const Layout& D) {
  if (A.rows != B.rows || D.rows != A.columns || D.columns != B.columns || C.rows != D.rows ||
      C.columns != D.columns)
    return CUBLAS_STATUS_INVALID_VALUE;
  const bool types = description.compute == CUBLAS_COMPUTE_32I && description.scale == CUDA_R_32I;
  const bool way = description.transpose_A == CUBLAS_OP_T && description.transpose_B == CUBLAS_OP_N;
  const bool layouts = is_fast(A, CUDA_R_8I) && is_fast(B, CUDA_R_8I) && is_fast(C, CUDA_R_32I) &&
                       is_fast(D, CUDA_R_32I);
  const bool sizes = A.rows > 0 && A.columns > 0 && B.columns > 0 && A.rows % 4 == 0 &&
                     A.columns % 4 == 0 && B.columns % 4 == 0;
  const bool supported =
      types && way && layouts && sizes && description.plain && machine().settings.int8_products;
  return supported ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

std::int32_t dot(const std::int8_t* a, const std::int8_t* b, std::int64_t count) {
  std::int32_t sum = 0;
  for (std::int64_t k = 0; k < count; ++k)
    sum += a[k] * b[k];
  return sum;
}

bool is_aligned(const void* address) {
  return reinterpret_cast<std::uintptr_t>(address) % 16 == 0;
}

template <class T>
bool take(T& member, const void* value, std::size_t bytes) {
  if (bytes != sizeof(T)) return false;
  std::memcpy(&member, value, bytes);
  return true;
}

cublasStatus_t status_of(bool taken) {
  return taken ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

}  // namespace
}  // namespace cuda_on_host

using cuda_on_host::Lock;
using cuda_on_host::machine;

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = new cublasLtContext;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* description,
                                        cublasComputeType_t compute, cudaDataType_t scale) {
  *description = new cublasLtMatmulDescOpaque_t{.compute = compute, .scale = scale};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t description) {
  delete description;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t description,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, std::size_t bytes) {
  using cuda_on_host::status_of, cuda_on_host::take;
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return status_of(take(description->transpose_A, value, bytes));
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return status_of(take(description->transpose_B, value, bytes));
    default:
      description->plain = false;
      return CUBLAS_STATUS_SUCCESS;
  }
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type,
                                          std::uint64_t rows, std::uint64_t columns,
                                          std::int64_t stride) {
  *layout = new cublasLtMatrixLayoutOpaque_t{type, rows, columns, stride, true};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete layout;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void* value, std::size_t bytes) {
  using cuda_on_host::status_of, cuda_on_host::take;
  switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_TYPE:
      return status_of(take(layout->type, value, bytes));
    case CUBLASLT_MATRIX_LAYOUT_ROWS:
      return status_of(take(layout->rows, value, bytes));
    case CUBLASLT_MATRIX_LAYOUT_COLS:
      return status_of(take(layout->columns, value, bytes));
    case CUBLASLT_MATRIX_LAYOUT_LD:
      return status_of(take(layout->stride, value, bytes));
    case CUBLASLT_MATRIX_LAYOUT_ORDER: {
      std::int32_t order = 0;
      const bool taken = take(order, value, bytes);
      layout->column_major = order == CUBLASLT_ORDER_COL;
      return status_of(taken);
    }
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = new cublasLtMatmulPreferenceOpaque_t;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete preference;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, std::size_t bytes) {
  if (attribute != CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) return CUBLAS_STATUS_SUCCESS;
  return cuda_on_host::status_of(cuda_on_host::take(preference->workspace, value, bytes));
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t description,
                                              cublasLtMatrixLayout_t A, cublasLtMatrixLayout_t B,
                                              cublasLtMatrixLayout_t C, cublasLtMatrixLayout_t D,
                                              cublasLtMatmulPreference_t, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int* found) {
  const Lock lock(machine().mutex);
  *found = 0;
  const cublasStatus_t status = cuda_on_host::check(*description, *A, *B, *C, *D);
  if (status != CUBLAS_STATUS_SUCCESS || wanted < 1) return status;
  *found = std::min(wanted, machine().settings.recommendations);
  for (int k = 0; k < *found; ++k) {
    results[k] = {
        .algo = {}, .workspaceSize = 0, .state = status, .wavesCount = 1.0F, .reserved = {}};
    auto& data = results[k].algo.data;
    data[0] = D->rows;  // an algorithm is for the shape it was found for
    data[1] = D->columns;
    data[2] = A->rows;
    data[3] = *found > 1 && k == 0 ? 1 : 0;  // does not run
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t description, const void* alpha,
                              const void* A, cublasLtMatrixLayout_t A_layout, const void* B,
                              cublasLtMatrixLayout_t B_layout, const void* beta, const void* C,
                              cublasLtMatrixLayout_t C_layout, void* D,
                              cublasLtMatrixLayout_t D_layout,
                              const cublasLtMatmulAlgo_t* algorithm, void* workspace, std::size_t,
                              cudaStream_t stream) {
  using cuda_on_host::is_aligned;
  const Lock lock(machine().mutex);
  const cublasStatus_t status =
      cuda_on_host::check(*description, *A_layout, *B_layout, *C_layout, *D_layout);
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  if (!is_aligned(A) || !is_aligned(B) || !is_aligned(C) || !is_aligned(D) ||
      !is_aligned(workspace))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  if (algorithm != nullptr &&
      (algorithm->data[0] != D_layout->rows || algorithm->data[1] != D_layout->columns ||
       algorithm->data[2] != A_layout->rows || algorithm->data[3] != 0))
    return CUBLAS_STATUS_NOT_SUPPORTED;

  const auto work = [A = static_cast<const std::int8_t*>(A), B = static_cast<const std::int8_t*>(B),
                     C = static_cast<const std::int32_t*>(C), D = static_cast<std::int32_t*>(D),
                     A_layout = *A_layout, B_layout = *B_layout, C_layout = *C_layout,
                     D_layout = *D_layout, alpha = *static_cast<const std::int32_t*>(alpha),
                     beta = *static_cast<const std::int32_t*>(beta)] {
    ++machine().counters.library_calls;
    const auto inner = static_cast<std::int64_t>(A_layout.rows);
    for (std::int64_t j = 0; j < static_cast<std::int64_t>(D_layout.columns); ++j)
      for (std::int64_t i = 0; i < static_cast<std::int64_t>(D_layout.rows); ++i) {
        std::int32_t sum =
            alpha * cuda_on_host::dot(A + i * A_layout.stride, B + j * B_layout.stride, inner);
        if (beta != 0) sum += beta * C[i + j * C_layout.stride];
        D[i + j * D_layout.stride] = sum;
      }
  };
  const cudaError_t error = enqueue(stream, cuda_on_host::Kind::library, work);
  return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
