// CUDA, cuBLAS and cuSOLVER report failures by status; here every status becomes an exception that
// names the call, the file and the line.
//
//   WIDEDEQ_CUDA_CHECK(cudaMemcpyAsync(...));
#pragma once

#include <cublasLt.h>
#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <cusolverDn.h>

#include "kernels/error.hpp"

namespace widedeq::cuda {

/// Throws DeviceError "CALL failed: REASON (FILE:LINE)".
[[noreturn]] void throw_failed(const char* call, const char* reason, const char* file, int line);

/// Throws OutOfDeviceMemory, likewise.
[[noreturn]] void throw_out_of_memory_in(const char* call, const char* file, int line);

inline void check(cudaError_t status, const char* call, const char* file, int line) {
  if (status == cudaSuccess) return;
  (void)cudaGetLastError();  // what was reported here need not be reported again by the next call
  if (status == cudaErrorMemoryAllocation) throw_out_of_memory_in(call, file, line);
  throw_failed(call, cudaGetErrorString(status), file, line);
}

inline void check(cublasStatus_t status, const char* call, const char* file, int line) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw_failed(call, cublasGetStatusString(status), file, line);
}

void check(cusolverStatus_t status, const char* call, const char* file, int line);

}  // namespace widedeq::cuda

/// Calls once and throws unless the status says success.
#define WIDEDEQ_CUDA_CHECK(call) ::widedeq::cuda::check((call), #call, __FILE__, __LINE__)
