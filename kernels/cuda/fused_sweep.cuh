// Product and pass of an int8 row panel in one launch, by tensor cores: the m x n product never
// leaves a block's registers and shared memory. Same bits as the library's products and
// panel_pass().
//
//   newer = op(A)_p,<p q_new      older = op(A)_p,>=p q_old      then what finish_tile() does
//
// A block makes 128 rows x `columns` of the panel: a tile of panel_pass.cuh. Columns of A's side
// are rows of op(A), so both factors lie with the summed index in sequence, 64 of it a step:
//
//   step s      128 + columns rows of 64 bytes, copied into one of `stages` buffers while the
//               steps before are multiplied
//   8 warps     each 16 a x 8 b entries by m16n8k32 products, `a` row and `b` column tiles
//   at the end  both sums go through shared memory, so that a warp has a column's 128 rows
//
// New increments are written to a matrix of their own: blocks of the same launch still read the old
// ones of the same rows. The look at the columns puts them in their place.
//
// Rows of 64 bytes would have every second one begin at the same bank. So the 16-byte pieces of row
// r change places, piece p to p ^ (r / 2) % 4: any eight rows' pieces p are in different banks.
//
// No product is written or read, which is a third of the pass's traffic, and the pass hides behind
// other blocks' products. On an H200 the library and a pass of its own are 1.4 to 2.2 times as fast
// even so, for mma.sync has half the rate of Hopper's own instructions (measured_sweeps()); it is
// meant for devices that have no others.
#pragma once

#include "kernels/cuda/panel_pass.cuh"

namespace widedeq::cuda {

inline constexpr int fused_threads = 256;
inline constexpr int fused_warps = fused_threads / warp_lanes;
inline constexpr Index fused_step = 64;  // of the summed index; panels begin at multiples of it

/// A panel for fused_panel().
struct FusedPanel {
  PanelState<float, std::int8_t> state;
  PanelRows rows;
  MatrixView<const std::int8_t> A;        // columns are the panel's rows of op(A); padded to 16
  MatrixView<const std::int8_t> pending;  // the increments of the last sweep
  std::int32_t older = 0;                 // 0: there are none, nothing is pending
};

/// How a block's shared memory is used.
template <int columns>
struct FusedShape {
  static constexpr int stages = 4;
  static constexpr int stage_bytes = (tile_rows + columns) * static_cast<int>(fused_step);
  // Sums: columns of 128 rows and 4 to spare, which puts neighbouring pairs of columns 8 banks
  // apart, as their writers want it.
  static constexpr int sums_stride = tile_rows + 4;
  static constexpr int sums_count = columns * sums_stride;
  static constexpr std::size_t shared_bytes =
      std::max<std::size_t>(stages * stage_bytes, 2 * sums_count * sizeof(std::int32_t));

  // Warps side by side, each 32 columns wide.
  static constexpr int warp_columns = 32;
  static constexpr int warps_across = columns / warp_columns;
  static constexpr int warp_rows = tile_rows / (fused_warps / warps_across);
  static constexpr int row_tiles = warp_rows / 16, column_tiles = warp_columns / 8;
};

/// Whether a block of so wide tiles finds room on a device. 128 columns take 135 KB, which
/// compute capability 8.6 and 8.9 do not have.
template <int columns>
bool has_room(const cudaDeviceProp& device) {
  return FusedShape<columns>::shared_bytes <= device.sharedMemPerBlockOptin;
}

/// The sums of one thread: those of multiply_tiles() for every product tile of its warp.
template <int columns>
struct FusedSums {
  std::int32_t tile[FusedShape<columns>::row_tiles][FusedShape<columns>::column_tiles][4] = {};
};

/// Where piece `piece` of row `row` lies in a buffer.
__device__ constexpr int piece_at(int row, int piece) {
  return row * static_cast<int>(fused_step) + 16 * (piece ^ ((row / 2) % 4));
}

/// A block's way through the steps.
template <int columns>
class FusedProduct {
 public:
  using Shape = FusedShape<columns>;

  __device__ FusedProduct(const FusedPanel& panel, Index first_row, Index first_column,
                          unsigned char* shared)
      : shared_(shared),
        newer_steps_(static_cast<int>(panel.rows.first / fused_step)),
        steps_(panel.older != 0 ? static_cast<int>((panel.A.rows + fused_step - 1) / fused_step)
                                : newer_steps_),
        padded_(static_cast<int>(padded_size(panel.A.rows))) {
    const int thread = static_cast<int>(threadIdx.x);
    piece_ = 16 * (thread % 4);
#pragma unroll
    for (int c = 0; c < A_copies; ++c) {
      const Index row = first_row + thread / 4 + 64 * c;
      A_inside_[c] = row < panel.rows.count;
      A_[c] = panel.A.column(A_inside_[c] ? row : 0) + piece_;
    }
#pragma unroll
    for (int c = 0; c < q_copies; ++c) {
      const Index place = first_column + thread / 4 + 64 * c;
      q_inside_[c] = place < panel.state.progress->places;
      const Index column = q_inside_[c] ? place : 0;
      newer_[c] = panel.state.made.column(column) + piece_;
      older_[c] = panel.pending.column(column) + piece_;
    }
#pragma unroll
    for (int step = 0; step < Shape::stages - 1; ++step)
      start_copies(step);
  }

  /// The products with the increments of this sweep, and with those of the last one. In this order.
  __device__ void multiply_newer(FusedSums<columns>& sums) {
    multiply(sums, 0, newer_steps_);
  }
  __device__ void multiply_older(FusedSums<columns>& sums) {
    multiply(sums, newer_steps_, steps_);
  }

 private:
  static constexpr int A_copies = tile_rows / 64, q_copies = columns / 64;

  /// Starts copying what a step reads; zeros beyond the ends. Every step has a group of its own,
  /// those beyond the last an empty one.
  __device__ void start_copies(int step) {
    if (step < steps_) {
      unsigned char* stage = shared_ + step % Shape::stages * Shape::stage_bytes;
      const int row = static_cast<int>(threadIdx.x) / 4,
                offset = step * static_cast<int>(fused_step);
      const bool inside = offset + piece_ < padded_;
      const int to = piece_at(row, piece_ / 16);
      const Index from = inside ? offset : 0;
#pragma unroll
      for (int c = 0; c < A_copies; ++c)
        copy_async(stage + 64 * c * fused_step + to, A_[c] + from, inside && A_inside_[c]);
#pragma unroll
      for (int c = 0; c < q_copies; ++c)
        copy_async(stage + (tile_rows + 64 * c) * fused_step + to,
                   (step < newer_steps_ ? newer_[c] : older_[c]) + from, inside && q_inside_[c]);
    }
    commit_copies();
  }

  /// sums += the products of steps first ... last - 1.
  __device__ void multiply(FusedSums<columns>& sums, int first, int last) {
    const int warp = static_cast<int>(threadIdx.x) / warp_lanes;
    const int lane = static_cast<int>(threadIdx.x) % warp_lanes;
    const int warp_row = warp / Shape::warps_across * Shape::warp_rows;
    const int warp_column = warp % Shape::warps_across * Shape::warp_columns;
    // Which row of a pair of 8 x 16-byte tiles this lane addresses for load_tiles(), and which of a
    // step's halves' two pieces: rows first for A's tiles, pieces first for q's.
    const int A_row = warp_row + lane % 16, A_piece = lane / 16;
    const int q_row = tile_rows + warp_column + lane % 8 + lane / 16 * 8, q_piece = lane / 8 % 2;
#pragma unroll 1
    for (int step = first; step < last; ++step) {
      wait_for_copies<Shape::stages - 2>();
      __syncthreads();  // everybody's copies have arrived, and the buffer before is free
      start_copies(step + Shape::stages - 1);
      const unsigned char* stage = shared_ + step % Shape::stages * Shape::stage_bytes;
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        std::uint32_t a[Shape::row_tiles][4], q[Shape::column_tiles / 2][4];
#pragma unroll
        for (int i = 0; i < Shape::row_tiles; ++i)
          load_tiles(a[i], stage + piece_at(A_row + 16 * i, 2 * half + A_piece));
#pragma unroll
        for (int j = 0; j < Shape::column_tiles / 2; ++j)
          load_tiles(q[j], stage + piece_at(q_row + 16 * j, 2 * half + q_piece));
#pragma unroll
        for (int i = 0; i < Shape::row_tiles; ++i)
#pragma unroll
          for (int j = 0; j < Shape::column_tiles; ++j) {
            const std::uint32_t b[2] = {q[j / 2][j % 2 * 2], q[j / 2][j % 2 * 2 + 1]};
            multiply_tiles(sums.tile[i][j], a[i], b);
          }
      }
    }
  }

  unsigned char* shared_;
  int newer_steps_, steps_, padded_;
  int piece_;  // the bytes of a row that this thread copies begin here
  const std::int8_t* A_[A_copies];
  const std::int8_t* newer_[q_copies];
  const std::int8_t* older_[q_copies];
  bool A_inside_[A_copies], q_inside_[q_copies];
};

/// A thread's sums to their places in a 128 x columns matrix in shared memory.
template <int columns>
__device__ void spread_sums(const FusedSums<columns>& sums, std::int32_t* to) {
  using Shape = FusedShape<columns>;
  const int warp = static_cast<int>(threadIdx.x) / warp_lanes;
  const int lane = static_cast<int>(threadIdx.x) % warp_lanes;
  const int row = warp / Shape::warps_across * Shape::warp_rows + lane / 4;
  const int column = warp % Shape::warps_across * Shape::warp_columns + lane % 4 * 2;
#pragma unroll
  for (int i = 0; i < Shape::row_tiles; ++i)
#pragma unroll
    for (int j = 0; j < Shape::column_tiles; ++j)
#pragma unroll
      for (int e = 0; e < 4; ++e)
        to[(column + 8 * j + e % 2) * Shape::sums_stride + row + 16 * i + e / 2 * 8] =
            sums.tile[i][j][e];
}

/// One block: 128 rows of the panel, places first_column ... of the packed order. Blocks go through
/// a column of tiles first.
template <Epilogue epilogue, int columns>
__global__ __launch_bounds__(fused_threads,
                             columns == 64 ? 2 : 1) void fused_panel(FusedPanel panel) {
  using Shape = FusedShape<columns>;
  const PanelState<float, std::int8_t>& state = panel.state;
  if (state.progress->running == 0) return;
  const Index row_tiles = tiles_of(panel.rows.count);
  const Index tile = blockIdx.x % row_tiles;
  const Index first_column = blockIdx.x / row_tiles * columns;
  const Index places = state.progress->places;
  if (first_column >= places) return;

  unsigned char* shared = dynamic_shared();
  const bool has_newer = panel.rows.first > 0, has_older = panel.older != 0;
  auto* newer = reinterpret_cast<std::int32_t*>(shared);
  std::int32_t* older = newer + Shape::sums_count;
  {
    FusedSums<columns> newer_sums, older_sums;
    FusedProduct<columns> product(panel, tile * tile_rows, first_column, shared);
    product.multiply_newer(newer_sums);
    product.multiply_older(older_sums);
    wait_for_copies<0>();
    __syncthreads();  // the buffers have been read
    if (has_newer) spread_sums(newer_sums, newer);
    if (has_older) spread_sums(older_sums, older);
  }
  __syncthreads();

  // A warp goes through every eighth column, some at a time so that their loads are under way
  // together.
  constexpr int at_once = 4;
  const int warp = static_cast<int>(threadIdx.x) / warp_lanes;
  const int lane_row = static_cast<int>(threadIdx.x) % warp_lanes * rows_a_thread;
  const Index offset = tile * tile_rows + lane_row;
  const Index row = panel.rows.first + offset, count = panel.rows.count - offset;
#pragma unroll 1
  for (int first = warp; first < columns; first += fused_warps * at_once) {
    ColumnTerms<float> terms[at_once];
    Entries<float> entries[at_once];
#pragma unroll
    for (int c = 0; c < at_once; ++c) {
      const Index place = first_column + first + c * fused_warps;
      if (place < places) terms[c] = terms_of(state, place);
      if (terms[c].column >= 0)
        entries[c] = load_entries<epilogue, true>(state, terms[c], row, count);
    }
#pragma unroll
    for (int c = 0; c < at_once; ++c) {
      if (terms[c].column < 0) continue;
      const int column = first + c * fused_warps;
      const int at = column * Shape::sums_stride + lane_row;
      const auto product = [&](bool is_there, std::int32_t* from) {
        return is_there ? load_rows(from + at, rows_a_thread, true) : Rows4<std::int32_t>();
      };
      add_products<true>(entries[c], terms[c], product(has_newer, newer),
                         product(has_older, older));
      finish_tile<epilogue, true>(state, terms[c], entries[c], first_column + column,
                                  panel.rows.tile + tile, row, count);
    }
  }
}

/// Enqueues the panel's tiles of 64 or 128 columns for the first `columns` places.
void enqueue_fused(cudaStream_t stream, Epilogue epilogue, const FusedPanel& panel, Index columns,
                   int tile_columns);

}  // namespace widedeq::cuda
