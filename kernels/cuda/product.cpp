// The libraries' products; see multiply.hpp.
//
// cuBLASLt wants to know beforehand what it multiplies: a description of the operation and of the
// three matrices, and one of the kernels it recommends for them. Its first recommendation is often
// not the fastest: on an H200, of eight the best is 1.10 times as fast at 16384 x 16384 x 1024, and
// 1.2 to 1.4 times where a panel of rows is multiplied. So they are tried out when a shape is first
// met, and plans are kept, one for each shape there has been. Integer sums are exact, whichever
// kernel makes them.
#include <algorithm>
#include <cmath>
#include <compare>
#include <limits>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <type_traits>

#include "kernels/cuda/blas.hpp"
#include "kernels/cuda/multiply.hpp"
#include "kernels/cuda/pack.hpp"
#include "kernels/cuda/stopwatch.hpp"

namespace widedeq::cuda {
namespace {

// ---- floating point

/// A stride as cuBLAS takes it: not zero, even where there is nothing to step over.
int blas_stride(Index stride) {
  return blas_size(std::max<Index>(stride, 1));
}

constexpr cublasOperation_t blas(Transpose transpose) {
  return transpose == Transpose::yes ? CUBLAS_OP_T : CUBLAS_OP_N;
}

cublasStatus_t call_gemm(cublasHandle_t handle, cublasOperation_t a, cublasOperation_t b, int m,
                         int n, int k, const float* alpha, const float* A, int A_stride,
                         const float* B, int B_stride, const float* beta, float* C, int C_stride) {
  return cublasSgemm(handle, a, b, m, n, k, alpha, A, A_stride, B, B_stride, beta, C, C_stride);
}
cublasStatus_t call_gemm(cublasHandle_t handle, cublasOperation_t a, cublasOperation_t b, int m,
                         int n, int k, const double* alpha, const double* A, int A_stride,
                         const double* B, int B_stride, const double* beta, double* C,
                         int C_stride) {
  return cublasDgemm(handle, a, b, m, n, k, alpha, A, A_stride, B, B_stride, beta, C, C_stride);
}

/// cuBLAS works on another stream while this lives.
class BlasOnStream {
 public:
  BlasOnStream(Context& context, cudaStream_t stream)
      : context_(context), is_other_(stream != context.stream()) {
    if (is_other_) context_.set_blas_stream(stream);
  }
  ~BlasOnStream() {
    // What fails here fails again, and is reported, when the library is next used.
    if (is_other_) try {
        context_.set_blas_stream(context_.stream());
      } catch (const DeviceError&) {
      }
  }
  BlasOnStream(const BlasOnStream&) = delete;
  BlasOnStream& operator=(const BlasOnStream&) = delete;

 private:
  Context& context_;
  bool is_other_;
};

template <class T>
void clear(MatrixView<T> matrix, cudaStream_t stream) {
  WIDEDEQ_CUDA_CHECK(cudaMemset2DAsync(matrix.data,
                                       static_cast<std::size_t>(matrix.stride) * sizeof(T), 0,
                                       static_cast<std::size_t>(matrix.rows) * sizeof(T),
                                       static_cast<std::size_t>(matrix.columns), stream));
}

// ---- integers

/// What cuBLASLt may use; NVIDIA recommends so much for Hopper. Always the same, so that the
/// scratch memory never moves and graphs may keep its address.
constexpr std::size_t workspace_bytes = std::size_t{32} << 20;

constexpr std::size_t integer_alignment = 16;  // bytes, of all three matrices' columns

/// All that a recommendation depends on: the product is a x c, `inner` what is summed over.
struct ProductShape {
  Index a, c, inner;
  Index rows_stride, q_stride, product_stride;

  auto operator<=>(const ProductShape&) const = default;
};

template <class Handle, auto destroy>
struct Destroy {
  void operator()(Handle handle) const { (void)destroy(handle); }
};
template <class Handle, auto destroy>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, Destroy<Handle, destroy>>;

using Operation = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

/// product = rows' q
Operation describe_operation() {
  cublasLtMatmulDesc_t made = nullptr;
  WIDEDEQ_CUDA_CHECK(cublasLtMatmulDescCreate(&made, CUBLAS_COMPUTE_32I, CUDA_R_32I));
  Operation operation(made);
  const cublasOperation_t transposed = CUBLAS_OP_T, straight = CUBLAS_OP_N;
  WIDEDEQ_CUDA_CHECK(cublasLtMatmulDescSetAttribute(made, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                                    sizeof transposed));
  WIDEDEQ_CUDA_CHECK(cublasLtMatmulDescSetAttribute(made, CUBLASLT_MATMUL_DESC_TRANSB, &straight,
                                                    sizeof straight));
  return operation;
}

Layout describe_matrix(cudaDataType_t type, Index rows, Index columns, Index stride) {
  cublasLtMatrixLayout_t made = nullptr;
  WIDEDEQ_CUDA_CHECK(cublasLtMatrixLayoutCreate(&made, type, static_cast<std::uint64_t>(rows),
                                                static_cast<std::uint64_t>(columns), stride));
  return Layout(made);
}

Preference describe_preference() {
  cublasLtMatmulPreference_t made = nullptr;
  WIDEDEQ_CUDA_CHECK(cublasLtMatmulPreferenceCreate(&made));
  Preference preference(made);
  WIDEDEQ_CUDA_CHECK(cublasLtMatmulPreferenceSetAttribute(
      made, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_bytes, sizeof workspace_bytes));
  // Unless told, the library counts on 256.
  const auto alignment = static_cast<std::uint32_t>(integer_alignment);
  for (const auto attribute :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    WIDEDEQ_CUDA_CHECK(
        cublasLtMatmulPreferenceSetAttribute(made, attribute, &alignment, sizeof alignment));
  return preference;
}

double operations(const ProductShape& shape) {
  return 2.0 * static_cast<double>(shape.a) * static_cast<double>(shape.c) *
         static_cast<double>(shape.inner);
}

/// Below these all kernels take as long as any, a few microseconds, and the first one will do.
constexpr double fewest_operations = 1e8;

/// The matrices of a product, and where it runs.
struct Operands {
  const std::int8_t* rows;
  const std::int8_t* q;
  std::int32_t* product;
  void* workspace;
  cudaStream_t stream;
};

/// How cuBLASLt multiplies matrices of one shape.
class Plan {
 public:
  /// Tries out what the library recommends, on the operands: the product is overwritten, and the
  /// host waits for the stream. Small ones are not tried out.
  Plan(cublasLtHandle_t handle, const ProductShape& shape, const Operands& operands)
      : operation_(describe_operation()),
        rows_(describe_matrix(CUDA_R_8I, shape.inner, shape.a, shape.rows_stride)),
        q_(describe_matrix(CUDA_R_8I, shape.inner, shape.c, shape.q_stride)),
        product_(describe_matrix(CUDA_R_32I, shape.a, shape.c, shape.product_stride)) {
    const Preference preference = describe_preference();
    constexpr int most = 8;
    cublasLtMatmulHeuristicResult_t recommended[most]{};
    int found = 0;
    WIDEDEQ_CUDA_CHECK(cublasLtMatmulAlgoGetHeuristic(handle, operation_.get(), rows_.get(),
                                                      q_.get(), product_.get(), product_.get(),
                                                      preference.get(), most, recommended, &found));
    const bool tries = found > 1 && operations(shape) >= fewest_operations;
    cublasStatus_t refusal = CUBLAS_STATUS_NOT_SUPPORTED;
    double least = std::numeric_limits<double>::infinity();
    for (const auto& candidate : std::span(recommended, static_cast<std::size_t>(found))) {
      if (candidate.state != CUBLAS_STATUS_SUCCESS) continue;
      const double seconds = tries ? time(handle, candidate.algo, operands, least, refusal) : 0.0;
      if (!(seconds < least)) continue;
      least = seconds;
      algorithm_ = candidate.algo;
    }
    if (std::isinf(least))
      throw DeviceError("cuBLASLt knows no way to multiply int8 matrices, " +
                        std::to_string(shape.a) + " x " + std::to_string(shape.inner) + " times " +
                        std::to_string(shape.inner) + " x " + std::to_string(shape.c) + " (" +
                        cublasGetStatusString(refusal) + ")");
  }

  void run(cublasLtHandle_t handle, const Operands& operands) const {
    WIDEDEQ_CUDA_CHECK(multiply(handle, algorithm_, operands));
  }

 private:
  cublasStatus_t multiply(cublasLtHandle_t handle, const cublasLtMatmulAlgo_t& algorithm,
                          const Operands& operands) const {
    const std::int32_t one = 1, zero = 0;
    return cublasLtMatmul(handle, operation_.get(), &one, operands.rows, rows_.get(), operands.q,
                          q_.get(), &zero, operands.product, product_.get(), operands.product,
                          product_.get(), &algorithm, operands.workspace, workspace_bytes,
                          operands.stream);
  }

  /// Seconds of a product, the first left out, for that may load the kernel: the least of a few,
  /// for something else may run on the device, or of one that is long or no match for `best`.
  /// Infinite where the library refuses.
  double time(cublasLtHandle_t handle, const cublasLtMatmulAlgo_t& algorithm,
              const Operands& operands, double best, cublasStatus_t& refusal) const {
    constexpr int most = 3;
    constexpr double long_enough = 1e-3, no_match = 1.2;
    double least = std::numeric_limits<double>::infinity();
    Stopwatch stopwatch;
    for (int i = 0; i <= most; ++i) {
      stopwatch.start(operands.stream);
      if (const cublasStatus_t status = multiply(handle, algorithm, operands);
          status != CUBLAS_STATUS_SUCCESS) {
        refusal = status;
        (void)cudaGetLastError();
        return std::numeric_limits<double>::infinity();
      }
      stopwatch.stop(operands.stream);
      if (i == 0) continue;
      least = std::min(least, stopwatch.seconds());
      if (least > long_enough || least > no_match * best) break;
    }
    return least;
  }

  Operation operation_;
  Layout rows_, q_, product_;
  cublasLtMatmulAlgo_t algorithm_{};
};

/// A context's plans: few, for columns come in classes.
using Plans = std::map<ProductShape, Plan>;

const Plan& plan_for(Context& context, const ProductShape& shape, const Operands& operands) {
  std::shared_ptr<void>& cache = context.library_cache();
  if (!cache) cache = std::make_shared<Plans>();
  Plans& plans = *static_cast<Plans*>(cache.get());
  const auto known = plans.find(shape);
  if (known != plans.end()) return known->second;
  return plans.try_emplace(shape, context.blas_lt(), shape, operands).first->second;
}

void* workspace_of(Context& context) {
  return context.scratch<std::byte>(Scratch::library, workspace_bytes);
}

/// The sizes the library is asked for. Throws ShapeError where the views do not fit each other, or
/// their columns do not lie where its kernels want them.
ProductShape shape_of(MatrixView<const std::int8_t> rows, MatrixView<const std::int8_t> q,
                      MatrixView<std::int32_t> product) {
  // The product's rows end with its stride, a multiple of 4 as the library demands.
  const ProductShape sizes{.a = std::min(padded_size(rows.columns), product.stride),
                           .c = padded_size(q.columns),
                           .inner = padded_size(rows.rows),
                           .rows_stride = rows.stride,
                           .q_stride = q.stride,
                           .product_stride = product.stride};
  const auto views = [&] {
    return "rows are " + shape(rows) + ", q is " + shape(q) + ", the product " + shape(product);
  };
  if (padded_size(q.rows) != sizes.inner ||
      padded_size(product.rows) != padded_size(rows.columns) ||
      padded_size(product.columns) != sizes.c)
    throw ShapeError("multiply_integers: " + views());
  if (product.empty() || sizes.inner == 0) return sizes;
  if (!is_aligned(rows, integer_alignment) || !is_aligned(q, integer_alignment) ||
      !is_aligned(product, integer_alignment) || std::min(rows.stride, q.stride) < sizes.inner ||
      product.stride < rows.columns)
    throw ShapeError("multiply_integers: columns must lie on 16-byte boundaries; " + views() +
                     ", strides are " + std::to_string(rows.stride) + ", " +
                     std::to_string(q.stride) + ", " + std::to_string(product.stride));
  return sizes;
}

}  // namespace

template <class Real>
void gemm(Context& context, Transpose transpose_A, Transpose transpose_B, Real alpha,
          MatrixView<const Real> A, MatrixView<const Real> B, Real beta, MatrixView<Real> C,
          cudaStream_t stream) {
  const bool turn_A = transpose_A == Transpose::yes, turn_B = transpose_B == Transpose::yes;
  const Index inner = turn_A ? A.rows : A.columns;
  if ((turn_A ? A.columns : A.rows) != C.rows || (turn_B ? B.columns : B.rows) != inner ||
      (turn_B ? B.rows : B.columns) != C.columns)
    throw ShapeError("gemm: A is " + shape(A) + (turn_A ? " transposed" : "") + ", B is " +
                     shape(B) + (turn_B ? " transposed" : "") + ", C is " + shape(C));
  if (C.empty()) return;
  if (stream == nullptr) stream = context.stream();
  if (inner == 0 && beta == Real(0)) return clear(C, stream);
  const BlasOnStream guard(context, stream);
  WIDEDEQ_CUDA_CHECK(call_gemm(context.blas(), blas(transpose_A), blas(transpose_B),
                               blas_size(C.rows), blas_size(C.columns), blas_size(inner), &alpha,
                               A.data, blas_stride(A.stride), B.data, blas_stride(B.stride), &beta,
                               C.data, blas_stride(C.stride)));
}

template void gemm(Context&, Transpose, Transpose, float, MatrixView<const float>,
                   MatrixView<const float>, float, MatrixView<float>, cudaStream_t);
template void gemm(Context&, Transpose, Transpose, double, MatrixView<const double>,
                   MatrixView<const double>, double, MatrixView<double>, cudaStream_t);

void prepare_multiply_integers(Context& context, MatrixView<const std::int8_t> rows,
                               MatrixView<const std::int8_t> q, MatrixView<std::int32_t> product) {
  const ProductShape sizes = shape_of(rows, q, product);
  const Operands operands{rows.data, q.data, product.data, workspace_of(context), context.stream()};
  if (!product.empty() && sizes.inner > 0) (void)plan_for(context, sizes, operands);
}

void multiply_integers(Context& context, MatrixView<const std::int8_t> rows,
                       MatrixView<const std::int8_t> q, MatrixView<std::int32_t> product,
                       cudaStream_t stream) {
  const ProductShape sizes = shape_of(rows, q, product);
  if (product.empty()) return;
  if (stream == nullptr) stream = context.stream();
  if (sizes.inner == 0) return clear(product, stream);
  const Operands operands{rows.data, q.data, product.data, workspace_of(context), stream};
  plan_for(context, sizes, operands).run(context.blas_lt(), operands);
}

}  // namespace widedeq::cuda
