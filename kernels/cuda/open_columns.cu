// The list of open columns and its packing; see open_columns.hpp.
//
// Increments move in two steps, over a second buffer: a column's new place may be another's old one
// that has not been read yet, and blocks run in no order.
#include "kernels/cuda/open_columns.hpp"

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/pack.hpp"

namespace widedeq::cuda {
namespace {

constexpr int list_threads = 1024;

__global__ void list_all(std::int32_t* open, Index count) {
  for (Index k = blockIdx.x * blockDim.x + threadIdx.x; k < count; k += gridDim.x * blockDim.x)
    open[k] = static_cast<std::int32_t>(k);
}

/// Drops stopped columns from the list, one block: places `first` ... at a time. A column moves
/// forward or stays, so what is written has been read.
__global__ void __launch_bounds__(list_threads)
    pack_list(Progress* progress, std::int32_t* open, std::int32_t* from) {
  const std::int32_t places = progress->places;
  if (progress->open == places) {
    if (threadIdx.x == 0) progress->moving = 0;
    return;
  }
  std::int32_t kept = 0;
  for (std::int32_t first = 0; first < places; first += list_threads) {
    const std::int32_t k = first + static_cast<std::int32_t>(threadIdx.x);
    const std::int32_t column = k < places ? open[k] : -1;
    const bool stays = !has_stopped(column);
    int total = 0;
    const int before = block_exclusive_sum<list_threads>(stays ? 1 : 0, total);
    if (stays) {
      open[kept + before] = column;
      from[kept + before] = k;
    }
    kept += total;
  }
  if (threadIdx.x == 0) {
    progress->places = kept;
    progress->moving = kept;
  }
}

/// to(:, k) = increments(:, from[k]), as words; `back` instead to(:, k) = increments(:, k). Both
/// for the columns that change places.
template <bool back, class Word>
__global__ void move_columns(const Progress* progress, const std::int32_t* from,
                             MatrixView<const Word> increments, MatrixView<Word> to) {
  const Index k = blockIdx.x;
  if (k >= progress->moving || from[k] == k) return;
  const Word* source = increments.column(back ? k : from[k]);
  Word* target = to.column(k);
  for (Index i = threadIdx.x; i < to.rows; i += blockDim.x)
    target[i] = source[i];
}

/// The block as columns of words.
template <class Word>
MatrixView<Word> as_words(void* data, const Block& like) {
  const auto per_word = static_cast<Index>(sizeof(Word) / size_of(like.element));
  const Index rows = (like.rows + per_word - 1) / per_word;
  return {static_cast<Word*>(data), rows, like.columns, like.stride / per_word};
}

}  // namespace

std::size_t pending_bytes(const SweepState& state) {
  const ConstBlock pending = state.pending;
  return static_cast<std::size_t>(pending.stride * state.count) * size_of(pending.element);
}

void open_all(cudaStream_t stream, std::int32_t* open, Index count) {
  launch(stream, grid_for(count), list_all, open, count);
}

void pack_open(cudaStream_t stream, const Packing& packing, Index columns) {
  // make_sweep_state() begins columns on 16-byte boundaries and fills the last word up with zeros.
  using Word = Pack<std::uint32_t, 4>;
  launch(stream, {.blocks = dim3(1), .threads = list_threads}, pack_list, packing.progress,
         packing.open, packing.from);
  const auto pending = as_words<Word>(packing.pending.data, packing.pending);
  const auto spare = as_words<Word>(packing.spare, packing.pending);
  const Grid grid{.blocks = dim3(static_cast<unsigned>(columns)), .threads = block_threads};
  launch(stream, grid, move_columns<false, Word>, packing.progress, packing.from, pending, spare);
  launch(stream, grid, move_columns<true, Word>, packing.progress, packing.from, spare, pending);
}

}  // namespace widedeq::cuda
