// A device and what work on it needs: a stream, the libraries' handles, scratch memory.
//
// Two contexts live side by side on one device: training's, and the Gram's, whose stages run on
// another thread. A context is used by one thread at a time.
#pragma once

#include <cublasLt.h>
#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <cusolverDn.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "kernels/cuda/status.hpp"
#include "kernels/matrix.hpp"

namespace widedeq::cuda {

/// Columns begin at multiples of so many bytes, in every matrix that a backend allocates: kernels
/// access 16 bytes at once, and int8 products want strides that are multiples of 16.
inline constexpr Index column_alignment = 16;

/// `rows` rounded up so that a column of them ends at such a multiple.
constexpr Index padded_rows(Index rows, Index element_size) {
  const Index per_step = column_alignment / element_size;
  return (rows + per_step - 1) / per_step * per_step;
}

/// Rows, columns and inner dimensions of int8 products come in steps of so many.
inline constexpr Index product_step = 16;

constexpr Index padded_size(Index size) {
  return (size + product_step - 1) / product_step * product_step;
}

/// What the host has been told of a state's columns when it last waited for a solve, so that it
/// need not wait once more to ask. `of` is the state's row of residuals; null: nothing.
struct ColumnsSeen {
  const double* of = nullptr;
  std::vector<double> residuals, sizes;
  std::vector<double> extra;  // ColumnRows::extra
};

/// Scratch buffers that a stage may hold at the same time.
enum class Scratch : std::uint8_t {
  product,
  second_product,
  reals,
  digits,
  sums,
  settlings,
  library
};

/// Held while a graph is captured, and while libraries make their handles or cuSOLVER enqueues a
/// Gram's eigenvalues: they may wait for the device, which nobody may do during a capture. An epoch
/// waits for a Gram here only where it builds a new graph meanwhile.
std::mutex& capture_mutex();

class Context {
 public:
  /// Makes the device current for the calling thread. Throws DeviceError.
  explicit Context(int device);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  /// Makes the device current for a thread that did not make the context.
  void make_current() const;

  int device() const { return device_; }
  const cudaDeviceProp& properties() const { return properties_; }
  cudaStream_t stream() const { return stream_; }
  cublasHandle_t blas() const { return blas_; }
  cublasLtHandle_t blas_lt() const { return blas_lt_; }
  cusolverDnHandle_t solver();  // made when first asked for

  /// Sends cuBLAS's work to `stream`, with the context's workspace, which a change of stream takes
  /// away from the library.
  void set_blas_stream(cudaStream_t stream);

  /// What the products know of the library (product.cpp), kept from call to call.
  std::shared_ptr<void>& library_cache() { return library_cache_; }

  ColumnsSeen& columns_seen() { return columns_seen_; }

  /// A zeroed matrix with aligned columns. Its memory goes back when the stream has come so far.
  /// Throws OutOfDeviceMemory, with what was asked, what is free and the width that would fit.
  Matrix allocate(Element element, Index rows, Index columns);

  /// The same, 1 x columns without gaps: kernels index it as an array.
  Matrix allocate_row(Element element, Index columns);

  /// At least `count` of T in device memory, contents undefined. Valid until the slot is asked for
  /// more. Growing one waits for the stream.
  template <class T>
  T* scratch(Scratch slot, std::size_t count) {
    return static_cast<T*>(scratch_bytes(slot, count * sizeof(T)));
  }
  /// The same in pinned host memory; one buffer, so one transfer at a time.
  template <class T>
  T* pinned(std::size_t count) {
    return static_cast<T*>(pinned_bytes(count * sizeof(T)));
  }

  /// What `other` is given from now on waits for what this stream has been given until now.
  void let_follow(const Context& other) const;

  /// Sends *from, device memory, to the host, which has it when it next waits for anything.
  /// `subject`: what it tells of.
  void tell(const void* subject, const std::int32_t* from);
  /// What was last told of the subject, where the host has waited since.
  std::optional<std::int32_t> told(const void* subject) const;
  /// What was told of the subject holds no longer.
  void forget(const void* subject);

  /// Returns when everything enqueued so far is done.
  void synchronize();

 private:
  struct Buffer {
    void* data = nullptr;
    std::size_t bytes = 0;
  };
  /// Something told, or on its way.
  struct Letter {
    const void* subject = nullptr;  // null: nothing
    std::uint64_t sent = 0;         // after so many waits
  };
  static constexpr std::size_t most_letters = 16;

  void* scratch_bytes(Scratch slot, std::size_t bytes);
  void* pinned_bytes(std::size_t bytes);
  Matrix allocate(Element element, Index rows, Index columns, Index stride, Index stored);
  void close() noexcept;

  int device_;
  cudaDeviceProp properties_{};
  cudaStream_t stream_ = nullptr;
  cudaEvent_t reached_ = nullptr;  // of let_follow
  cublasHandle_t blas_ = nullptr;
  cublasLtHandle_t blas_lt_ = nullptr;
  cusolverDnHandle_t solver_ = nullptr;
  std::array<Buffer, 7> scratch_{};
  Buffer pinned_{};
  void* blas_workspace_ = nullptr;
  std::int32_t* letter_values_ = nullptr;  // pinned; made when something is first told
  std::array<Letter, most_letters> letters_{};
  std::size_t next_letter_ = 0;
  std::uint64_t waits_ = 0;
  std::shared_ptr<void> library_cache_;
  ColumnsSeen columns_seen_;
};

}  // namespace widedeq::cuda
