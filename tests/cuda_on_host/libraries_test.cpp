// The libraries: results, and what they refuse.
#include <cmath>
#include <random>

#include "cublasLt.h"
#include "cusolverDn.h"
#include "tests/cuda_on_host/test_support.hpp"

namespace cuda_on_host::test {
namespace {

using LibrariesTest = CudaTest;

// ---- cuBLAS

TEST_F(LibrariesTest, BlasMultipliesOnItsStream) {
  cublasHandle_t blas = nullptr;
  EXPECT_EQ(cublasCreate(&blas), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(cublasSetStream(blas, stream_), CUBLAS_STATUS_SUCCESS);
  const DeviceArray<double> A(stream_, {1, 2, 3, 4}), B(stream_, {5, 6, 7, 8}), C(stream_, 4);
  double alpha = 2.0, beta = 0.0;
  EXPECT_EQ(cublasDgemm(blas, CUBLAS_OP_T, CUBLAS_OP_N, 2, 2, 2, &alpha, A.data(), 2, B.data(), 2,
                        &beta, C.data(), 2),
            CUBLAS_STATUS_SUCCESS);
  alpha = 100.0;  // read already
  EXPECT_EQ(C.values(), (std::vector<double>{34, 78, 46, 106}));
  EXPECT_EQ(cublasDgemm(blas, CUBLAS_OP_T, CUBLAS_OP_N, 2, 2, 2, &alpha, A.data(), 1, B.data(), 2,
                        &beta, C.data(), 2),
            CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(cublasDestroy(blas), CUBLAS_STATUS_SUCCESS);
}

TEST_F(LibrariesTest, BlasIsCapturedWithAWorkspaceOnly) {
  cublasHandle_t blas = nullptr;
  EXPECT_EQ(cublasCreate(&blas), CUBLAS_STATUS_SUCCESS);
  const DeviceArray<double> A(stream_, {1, 2, 3, 4}), workspace(stream_, 64);
  const double one = 1.0;
  EXPECT_EQ(cublasSetWorkspace(blas, workspace.data(), 512), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(cublasSetStream(blas, stream_), CUBLAS_STATUS_SUCCESS);  // takes it away
  EXPECT_OK(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
  EXPECT_DEATH((void)cublasDgemm(blas, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 2, &one, A.data(), 2,
                                 A.data(), 2, &one, A.data(), 2),
               "without a workspace");
  cudaGraph_t graph = nullptr;
  EXPECT_OK(cudaStreamEndCapture(stream_, &graph));
  EXPECT_OK(cudaGraphDestroy(graph));
  EXPECT_EQ(cublasDestroy(blas), CUBLAS_STATUS_SUCCESS);
}

// ---- cuBLASLt

struct Product {
  std::uint64_t m = 8, n = 4, k = 32;
  std::int64_t A_stride = 32, B_stride = 32, D_stride = 8;
  cublasOperation_t transpose_A = CUBLAS_OP_T, transpose_B = CUBLAS_OP_N;
  cudaDataType output = CUDA_R_32I;
  cublasComputeType_t compute = CUBLAS_COMPUTE_32I;
};

cublasStatus_t multiply(const Product& product, cudaStream_t stream, const std::int8_t* A,
                        const std::int8_t* B, std::int32_t* D) {
  cublasLtMatmulDesc_t description = nullptr;
  cublasLtMatrixLayout_t A_layout = nullptr, B_layout = nullptr, D_layout = nullptr;
  cublasLtMatmulDescCreate(&description, product.compute, CUDA_R_32I);
  cublasLtMatmulDescSetAttribute(description, CUBLASLT_MATMUL_DESC_TRANSA, &product.transpose_A,
                                 sizeof product.transpose_A);
  cublasLtMatmulDescSetAttribute(description, CUBLASLT_MATMUL_DESC_TRANSB, &product.transpose_B,
                                 sizeof product.transpose_B);
  cublasLtMatrixLayoutCreate(&A_layout, CUDA_R_8I, product.k, product.m, product.A_stride);
  cublasLtMatrixLayoutCreate(&B_layout, CUDA_R_8I, product.k, product.n, product.B_stride);
  cublasLtMatrixLayoutCreate(&D_layout, product.output, product.m, product.n, product.D_stride);
  const std::int32_t one = 1, zero = 0;
  const cublasStatus_t status =
      cublasLtMatmul(nullptr, description, &one, A, A_layout, B, B_layout, &zero, D, D_layout, D,
                     D_layout, nullptr, nullptr, 0, stream);
  cublasLtMatmulDescDestroy(description);
  for (const cublasLtMatrixLayout_t layout : {A_layout, B_layout, D_layout})
    cublasLtMatrixLayoutDestroy(layout);
  return status;
}

TEST_F(LibrariesTest, IntegerProductsAreExact) {
  std::mt19937 engine(2);
  const Product product;
  std::vector<std::int8_t> a(product.k * product.m), b(product.k * product.n);
  for (auto* values : {&a, &b})
    for (std::int8_t& value : *values)
      value = static_cast<std::int8_t>(engine());
  const DeviceArray<std::int8_t> A(stream_, a), B(stream_, b);
  const DeviceArray<std::int32_t> D(stream_, product.m * product.n);
  EXPECT_EQ(multiply(product, stream_, A.data(), B.data(), D.data()), CUBLAS_STATUS_SUCCESS);
  for (std::size_t j = 0; j < product.n; ++j)
    for (std::size_t i = 0; i < product.m; ++i) {
      std::int32_t expected = 0;
      for (std::size_t k = 0; k < product.k; ++k)
        expected += a[i * product.k + k] * b[j * product.k + k];
      EXPECT_EQ(D.values()[i + j * product.m], expected);
    }
}

TEST_F(LibrariesTest, IntegerProductsAreRefusedWhereTheLibraryHasNone) {
  const DeviceArray<std::int8_t> A(stream_, 4096), B(stream_, 4096);
  const DeviceArray<std::int32_t> D(stream_, 4096);
  const auto status_of = [&](const Product& product, int offset = 0) {
    return multiply(product, stream_, A.data() + offset, B.data(), D.data());
  };
  EXPECT_EQ(status_of({}), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(status_of({}, 8), CUBLAS_STATUS_NOT_SUPPORTED);  // address
  EXPECT_EQ(status_of({.m = 6}), CUBLAS_STATUS_NOT_SUPPORTED);
  EXPECT_EQ(status_of({.n = 3}), CUBLAS_STATUS_NOT_SUPPORTED);
  EXPECT_EQ(status_of({.k = 30}), CUBLAS_STATUS_NOT_SUPPORTED);
  EXPECT_EQ(status_of({.A_stride = 40}), CUBLAS_STATUS_NOT_SUPPORTED);
  EXPECT_EQ(status_of({.D_stride = 10}), CUBLAS_STATUS_NOT_SUPPORTED);
  EXPECT_EQ(status_of({.output = CUDA_R_32F}), CUBLAS_STATUS_NOT_SUPPORTED);
  EXPECT_EQ(status_of({.compute = CUBLAS_COMPUTE_32F}), CUBLAS_STATUS_NOT_SUPPORTED);
  EXPECT_EQ(status_of({.transpose_B = CUBLAS_OP_T}), CUBLAS_STATUS_NOT_SUPPORTED);
  set_settings({.int8_products = false});
  EXPECT_EQ(status_of({}), CUBLAS_STATUS_NOT_SUPPORTED);
}

// ---- cuSOLVER

TEST_F(LibrariesTest, EigenvaluesOfASymmetricMatrix) {
  cusolverDnHandle_t solver = nullptr;
  EXPECT_EQ(cusolverDnCreate(&solver), CUSOLVER_STATUS_SUCCESS);
  EXPECT_EQ(cusolverDnSetStream(solver, stream_), CUSOLVER_STATUS_SUCCESS);
  const DeviceArray<double> A(stream_, {2, 1, 1, 2}), W(stream_, 2);
  const DeviceArray<int> info(stream_, 1);
  int size = 0;
  EXPECT_EQ(cusolverDnDsyevd_bufferSize(solver, CUSOLVER_EIG_MODE_NOVECTOR, CUBLAS_FILL_MODE_LOWER,
                                        2, A.data(), 2, W.data(), &size),
            CUSOLVER_STATUS_SUCCESS);
  const DeviceArray<double> work(stream_, static_cast<std::size_t>(size));
  EXPECT_EQ(cusolverDnDsyevd(solver, CUSOLVER_EIG_MODE_NOVECTOR, CUBLAS_FILL_MODE_LOWER, 2,
                             A.data(), 2, W.data(), work.data(), size, info.data()),
            CUSOLVER_STATUS_SUCCESS);
  EXPECT_NEAR(W.values()[0], 1.0, 1e-14);
  EXPECT_NEAR(W.values()[1], 3.0, 1e-14);
  EXPECT_EQ(info.values().front(), 0);
  EXPECT_EQ(cusolverDnDestroy(solver), CUSOLVER_STATUS_SUCCESS);
}

}  // namespace
}  // namespace cuda_on_host::test
