// Copies and conversions; see transfer.hpp.
//
// The host's doubles are converted on the host, a chunk of columns at a time, in pinned memory that
// the device copies from and to. A block's columns lie `stride` elements apart; what is between
// them is never touched.
#include "kernels/cuda/transfer.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/cuda/columns.cuh"
#include "kernels/stage_checks.hpp"

namespace widedeq::cuda {
namespace {

/// Pinned memory of a transfer. The host converts while the device waits and the other way round:
/// stages transfer at the start and the end of a run, where that does not matter.
constexpr std::size_t chunk_bytes = std::size_t{16} << 20;

std::size_t stride_bytes(const ConstBlock& block) {
  return static_cast<std::size_t>(block.stride) * size_of(block.element);
}

/// use(first, count, pinned) for one chunk of columns after another; `pinned` holds such columns
/// without gaps.
template <class T, class Use>
void for_chunks(Context& context, Index rows, Index columns, Use use) {
  if (rows == 0 || columns == 0) return;
  const auto column = static_cast<Index>(static_cast<std::size_t>(rows) * sizeof(T));
  const Index most = std::clamp<Index>(static_cast<Index>(chunk_bytes) / column, 1, columns);
  auto* pinned = context.pinned<T>(static_cast<std::size_t>(most * rows));
  for (Index first = 0; first < columns; first += most)
    use(first, std::min(most, columns - first), pinned);
}

/// Columns without gaps at `pinned` into a block of the device's, or back.
void copy_to_device(Context& context, const void* pinned, Block to) {
  const std::size_t bytes = column_bytes(to);
  WIDEDEQ_CUDA_CHECK(cudaMemcpy2DAsync(to.data, stride_bytes(to), pinned, bytes, bytes,
                                       static_cast<std::size_t>(to.columns), cudaMemcpyHostToDevice,
                                       context.stream()));
  context.synchronize();
}

void copy_to_host(Context& context, ConstBlock from, void* pinned) {
  const std::size_t bytes = column_bytes(from);
  WIDEDEQ_CUDA_CHECK(cudaMemcpy2DAsync(pinned, bytes, from.data, stride_bytes(from), bytes,
                                       static_cast<std::size_t>(from.columns),
                                       cudaMemcpyDeviceToHost, context.stream()));
  context.synchronize();
}

template <class Real>
void upload_as(Context& context, MatrixView<const double> host, MatrixView<Real> to) {
  for_chunks<Real>(context, to.rows, to.columns, [&](Index first, Index count, Real* pinned) {
    for (Index j = 0; j < count; ++j)
      for (Index i = 0; i < to.rows; ++i)
        pinned[i + j * to.rows] = static_cast<Real>(host(i, first + j));
    copy_to_device(context, pinned, to.middle_columns(first, count));
  });
}

template <class T>
void download_as(Context& context, MatrixView<const T> from, MatrixView<double> host) {
  for_chunks<T>(context, from.rows, from.columns, [&](Index first, Index count, T* pinned) {
    copy_to_host(context, from.middle_columns(first, count), pinned);
    for (Index j = 0; j < count; ++j)
      for (Index i = 0; i < from.rows; ++i)
        host(i, first + j) = static_cast<double>(pinned[i + j * from.rows]);
  });
}

/// to(i, j) = value
template <class T, int width>
__global__ void fill_kernel(MatrixView<T> to, T value) {
  T* column = to.column(blockIdx.x);
  for_rows<width>(to.rows, [&](Index i, auto rows) {
    Pack<T, rows.value> pack;
    for (int k = 0; k < rows.value; ++k)
      pack[k] = value;
    store<rows.value>(column + i, pack);
  });
}

/// to(i, j) = from(i)
template <class T, int width>
__global__ void broadcast_kernel(const T* __restrict__ from, MatrixView<T> to) {
  T* column = to.column(blockIdx.x);
  for_rows<width>(to.rows, [&](Index i, auto rows) {
    store<rows.value>(column + i, load<rows.value>(from + i));
  });
}

/// to(i, j) += alpha from(i)
template <class Real, int width>
__global__ void add_column_kernel(MatrixView<Real> to, Real alpha, const Real* __restrict__ from) {
  Real* column = to.column(blockIdx.x);
  for_rows<width>(to.rows, [&](Index i, auto rows) {
    auto sums = load<rows.value>(column + i);
    const auto terms = load<rows.value>(from + i);
    for (int k = 0; k < rows.value; ++k)
      sums[k] += alpha * terms[k];
    store<rows.value>(column + i, sums);
  });
}

template <class Real>
void add_column_as(Context& context, MatrixView<Real> to, double alpha,
                   MatrixView<const Real> column) {
  constexpr int width = pack_width<Real>;
  const auto kernel =
      can_pack(width, to, column) ? add_column_kernel<Real, width> : add_column_kernel<Real, 1>;
  launch(context, grid_of_columns(to.columns), kernel, to, static_cast<Real>(alpha), column.data);
}

}  // namespace

void upload(Context& context, MatrixView<const double> host, Block to) {
  expect_shape("upload", "the host's matrix", host, to.rows, to.columns);
  if (to.element == Element::float64) return upload_as(context, host, to.as<double>());
  upload_as(context, host, to.as<float>());
}

void download(Context& context, ConstBlock from, MatrixView<double> host) {
  expect_shape("download", "the host's matrix", ConstBlock(MatrixView<const double>(host)),
               from.rows, from.columns);
  with_elements(from, [&](auto view) { download_as(context, view, host); });
}

void copy(Context& context, ConstBlock from, Block to) {
  expect_shape("copy", "the source", from, to.rows, to.columns);
  if (from.element != to.element) throw_wrong_element(from.element, to.element);
  if (to.empty()) return;
  WIDEDEQ_CUDA_CHECK(cudaMemcpy2DAsync(to.data, stride_bytes(to), from.data, stride_bytes(from),
                                       column_bytes(to), static_cast<std::size_t>(to.columns),
                                       cudaMemcpyDeviceToDevice, context.stream()));
}

void save(Context& context, ConstBlock from, std::span<std::byte> to) {
  expect_bytes("save", from, to.size());
  const std::size_t bytes = column_bytes(from);
  for_chunks<std::byte>(context, static_cast<Index>(bytes), from.columns,
                        [&](Index first, Index count, std::byte* pinned) {
                          copy_to_host(context, from.middle_columns(first, count), pinned);
                          std::memcpy(to.data() + static_cast<std::size_t>(first) * bytes, pinned,
                                      static_cast<std::size_t>(count) * bytes);
                        });
}

void restore(Context& context, std::span<const std::byte> from, Block to) {
  expect_bytes("restore", to, from.size());
  const std::size_t bytes = column_bytes(to);
  for_chunks<std::byte>(context, static_cast<Index>(bytes), to.columns,
                        [&](Index first, Index count, std::byte* pinned) {
                          std::memcpy(pinned, from.data() + static_cast<std::size_t>(first) * bytes,
                                      static_cast<std::size_t>(count) * bytes);
                          copy_to_device(context, pinned, to.middle_columns(first, count));
                        });
}

void fill(Context& context, Block to, double value) {
  with_elements(to, [&](auto view) {
    using T = std::remove_reference_t<decltype(view(0, 0))>;
    constexpr int width = pack_width<T>;
    const auto kernel = can_pack(width, view) ? fill_kernel<T, width> : fill_kernel<T, 1>;
    launch(context, grid_of_columns(view.columns), kernel, view, static_cast<T>(value));
  });
}

void broadcast(Context& context, ConstBlock column, Block to) {
  expect_shape("broadcast", "the column", column, to.rows, 1);
  if (column.element != to.element) throw_wrong_element(column.element, to.element);
  with_elements(to, [&](auto view) {
    using T = std::remove_reference_t<decltype(view(0, 0))>;
    constexpr int width = pack_width<T>;
    const auto from = column.as<const T>();
    const auto kernel =
        can_pack(width, view, from) ? broadcast_kernel<T, width> : broadcast_kernel<T, 1>;
    launch(context, grid_of_columns(view.columns), kernel, from.data, view);
  });
}

void add_column(Context& context, Block to, double alpha, ConstBlock column) {
  expect_shape("add_column", "the column", column, to.rows, 1);
  if (to.element == Element::float64)
    return add_column_as(context, to.as<double>(), alpha, column.as<const double>());
  add_column_as(context, to.as<float>(), alpha, column.as<const float>());
}

}  // namespace widedeq::cuda
