// Making and freeing what a context holds; see context.hpp.
#include "kernels/cuda/context.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <new>
#include <string>

namespace widedeq::cuda {
namespace {

/// What cuBLAS may use in a stream; NVIDIA recommends so much for Hopper. Given to the library
/// once, so that it allocates nothing while a graph is captured.
constexpr std::size_t blas_workspace_bytes = std::size_t{32} << 20;

std::string gibibytes(double bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GiB", bytes / 0x1p30);
  return text;
}

/// Throws the error of an allocation that did not fit: what was asked, what there is, and the
/// width at which it would have fitted, all else being equal.
[[noreturn]] void throw_out_of_memory(const std::string& what, double bytes, Index rows,
                                      Index columns) {
  std::size_t free = 0, total = 0;
  (void)cudaMemGetInfo(&free, &total);
  std::string message = "the GPU's memory is full: " + what + " takes " + gibibytes(bytes) + ", " +
                        gibibytes(static_cast<double>(free)) + " of " +
                        gibibytes(static_cast<double>(total)) + " are free";
  // A square matrix grows with the width's square, any other with the width.
  const double share = static_cast<double>(free) / bytes;
  const double fits = static_cast<double>(rows) * (rows == columns ? std::sqrt(share) : share);
  if (fits >= 1.0 && share < 1.0)
    message += "; it would fit at width " + std::to_string(static_cast<Index>(fits));
  throw OutOfDeviceMemory(message +
                          "; use a smaller --width, --chunk or fewer samples, or --backend cpu");
}

/// Stream-ordered allocation; false when there is not enough memory.
bool try_allocate(void** data, std::size_t bytes, cudaStream_t stream) {
  const cudaError_t status = cudaMallocAsync(data, bytes, stream);
  if (status == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();
    return false;
  }
  check(status, "cudaMallocAsync", __FILE__, __LINE__);
  return true;
}

}  // namespace

namespace {

/// Throws std::bad_alloc: it is the host's memory that there is too little of, not the device's.
void* allocate_pinned(std::size_t bytes) {
  void* memory = nullptr;
  const cudaError_t status = cudaMallocHost(&memory, bytes);
  if (status == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();
    throw std::bad_alloc();
  }
  check(status, "cudaMallocHost", __FILE__, __LINE__);
  return memory;
}

}  // namespace

std::mutex& capture_mutex() {
  static std::mutex mutex;
  return mutex;
}

Context::Context(int device) : device_(device) {
  try {
    make_current();
    WIDEDEQ_CUDA_CHECK(cudaGetDeviceProperties(&properties_, device));
    // Not ordered after the default stream, which nothing here uses.
    WIDEDEQ_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    WIDEDEQ_CUDA_CHECK(cudaEventCreateWithFlags(&reached_, cudaEventDisableTiming));
    WIDEDEQ_CUDA_CHECK(cudaMalloc(&blas_workspace_, blas_workspace_bytes));
    const std::lock_guard lock(capture_mutex());
    WIDEDEQ_CUDA_CHECK(cublasCreate(&blas_));
    set_blas_stream(stream_);
    WIDEDEQ_CUDA_CHECK(cublasLtCreate(&blas_lt_));
  } catch (...) {
    close();
    throw;
  }
}

Context::~Context() {
  close();
}

void Context::close() noexcept {
  // A destructor has nobody to report to; what fails here has failed before, and was reported then.
  (void)cudaSetDevice(device_);
  if (stream_ != nullptr) (void)cudaStreamSynchronize(stream_);
  library_cache_.reset();
  if (solver_ != nullptr) (void)cusolverDnDestroy(solver_);
  if (blas_lt_ != nullptr) (void)cublasLtDestroy(blas_lt_);
  if (blas_ != nullptr) (void)cublasDestroy(blas_);
  for (const Buffer& buffer : scratch_)
    if (buffer.data != nullptr) (void)cudaFree(buffer.data);
  if (pinned_.data != nullptr) (void)cudaFreeHost(pinned_.data);
  if (letter_values_ != nullptr) (void)cudaFreeHost(letter_values_);
  if (blas_workspace_ != nullptr) (void)cudaFree(blas_workspace_);
  if (reached_ != nullptr) (void)cudaEventDestroy(reached_);
  if (stream_ != nullptr) (void)cudaStreamDestroy(stream_);
}

void Context::make_current() const {
  WIDEDEQ_CUDA_CHECK(cudaSetDevice(device_));
}

void Context::set_blas_stream(cudaStream_t stream) {
  WIDEDEQ_CUDA_CHECK(cublasSetStream(blas_, stream));
  WIDEDEQ_CUDA_CHECK(cublasSetWorkspace(blas_, blas_workspace_, blas_workspace_bytes));
}

cusolverDnHandle_t Context::solver() {
  if (solver_ == nullptr) {
    const std::lock_guard lock(capture_mutex());
    WIDEDEQ_CUDA_CHECK(cusolverDnCreate(&solver_));
    WIDEDEQ_CUDA_CHECK(cusolverDnSetStream(solver_, stream_));
  }
  return solver_;
}

Matrix Context::allocate(Element element, Index rows, Index columns) {
  if (rows < 0 || columns < 0)
    throw ShapeError("allocate: " + std::to_string(rows) + " x " + std::to_string(columns));
  // Products of integers go on to whole steps of columns.
  const bool integers = element == Element::int8 || element == Element::int32;
  return allocate(element, rows, columns, padded_rows(rows, static_cast<Index>(size_of(element))),
                  integers ? padded_size(columns) : columns);
}

Matrix Context::allocate_row(Element element, Index columns) {
  return allocate(element, 1, columns, 1, columns);
}

Matrix Context::allocate(Element element, Index rows, Index columns, Index stride, Index stored) {
  // At least one byte, so that an empty matrix has an address too.
  const auto size = static_cast<Index>(size_of(element));
  const auto bytes = static_cast<std::size_t>(std::max<Index>(stride * stored * size, 1));
  void* data = nullptr;
  if (!try_allocate(&data, bytes, stream_))
    throw_out_of_memory("a matrix of " + std::to_string(rows) + " x " + std::to_string(columns) +
                            " " + name_of(element),
                        static_cast<double>(bytes), rows, columns);
  std::shared_ptr<void> memory(data, [stream = stream_](void* pointer) {
    // After everything enqueued so far; the owner sees to it that other streams are done with it.
    (void)cudaFreeAsync(pointer, stream);
  });
  WIDEDEQ_CUDA_CHECK(cudaMemsetAsync(data, 0, bytes, stream_));
  return {std::move(memory), element, rows, columns, stride};
}

void* Context::scratch_bytes(Scratch slot, std::size_t bytes) {
  Buffer& buffer = scratch_[static_cast<std::size_t>(slot)];
  if (bytes <= buffer.bytes) return buffer.data;
  synchronize();  // what is enqueued may still be using the old one
  if (buffer.data != nullptr) WIDEDEQ_CUDA_CHECK(cudaFree(buffer.data));
  buffer = {};
  const cudaError_t status = cudaMalloc(&buffer.data, bytes);
  if (status == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();
    buffer.data = nullptr;
    throw_out_of_memory("scratch memory", static_cast<double>(bytes), 0, 0);
  }
  check(status, "cudaMalloc", __FILE__, __LINE__);
  buffer.bytes = bytes;
  return buffer.data;
}

void* Context::pinned_bytes(std::size_t bytes) {
  if (bytes <= pinned_.bytes) return pinned_.data;
  synchronize();
  if (pinned_.data != nullptr) WIDEDEQ_CUDA_CHECK(cudaFreeHost(pinned_.data));
  pinned_ = {};
  pinned_.data = allocate_pinned(bytes);
  pinned_.bytes = bytes;
  return pinned_.data;
}

void Context::let_follow(const Context& other) const {
  WIDEDEQ_CUDA_CHECK(cudaEventRecord(reached_, stream_));
  WIDEDEQ_CUDA_CHECK(cudaStreamWaitEvent(other.stream_, reached_, 0));
}

void Context::tell(const void* subject, const std::int32_t* from) {
  if (letter_values_ == nullptr) {
    letter_values_ =
        static_cast<std::int32_t*>(allocate_pinned(most_letters * sizeof(std::int32_t)));
  }
  forget(subject);
  const std::size_t place = next_letter_++ % most_letters;
  letters_[place] = {};  // until it is sent
  WIDEDEQ_CUDA_CHECK(
      cudaMemcpyAsync(letter_values_ + place, from, sizeof *from, cudaMemcpyDeviceToHost, stream_));
  letters_[place] = {subject, waits_};
}

std::optional<std::int32_t> Context::told(const void* subject) const {
  for (std::size_t place = 0; place < most_letters; ++place)
    if (letters_[place].subject == subject && letters_[place].sent < waits_)
      return letter_values_[place];
  return std::nullopt;
}

void Context::forget(const void* subject) {
  for (Letter& letter : letters_)
    if (letter.subject == subject) letter = {};
}

void Context::synchronize() {
  WIDEDEQ_CUDA_CHECK(cudaStreamSynchronize(stream_));
  ++waits_;
}

}  // namespace widedeq::cuda
