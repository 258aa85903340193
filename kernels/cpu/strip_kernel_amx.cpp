// 32 rows by 32 columns in four tiles of sums, twice for the 64 rows of a strip.
//
// tdpbsud wants 16 columns of q, 64 k each, as the rows of one tile: there they lie, `stride`
// apart; and 16 groups of four k, 16 rows of the strip each, as the rows of the other: there they
// lie, 256 bytes apart. The tile of sums has a column of q to a row, so it is stored as it is.
//
// Expected: at the rate of the multiplications, four tiles being loaded (8 cycles each) beside four
// products (16 each). Written on a machine without AMX and tested there on functions in place of
// the instructions (tests/amx_on_host); its tests have since passed on a processor that has it. How
// fast it is there has been measured as part of an epoch only.
#include "kernels/cpu/strip_kernel_amx.hpp"

#if defined(__x86_64__) && defined(__linux__)

#include <immintrin.h>

#include <algorithm>

namespace widedeq::cpu {
namespace {

constexpr Index tile_columns = 16;             // of q
constexpr Index tile_rows = 16;                // of the strip
constexpr Index group_bytes = 4 * strip_rows;  // four k of a strip

/// What ldtilecfg reads.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t bytes_a_row[16] = {};
  std::uint8_t rows[16] = {};
};

/// Tiles 0 to 3: sums, 2 x 2. 4 and 5: columns of q. 6 and 7: rows of the strip. With up to 16
/// columns, the second ones of q have no rows that count, but a tile must have one.
TileConfig configure(Index columns) {
  TileConfig config;
  std::fill_n(config.bytes_a_row, 8, std::uint16_t{64});
  const auto first = static_cast<std::uint8_t>(std::min(columns, tile_columns));
  const auto second = static_cast<std::uint8_t>(std::max<Index>(columns - tile_columns, 1));
  const std::uint8_t rows[8] = {first, first, second, second, first, second, 16, 16};
  std::copy_n(rows, 8, config.rows);
  return config;
}

__attribute__((target("amx-tile,amx-int8"))) void multiply(const std::uint8_t* strip, Index from,
                                                           Index to, const std::int8_t* q,
                                                           Index stride, Index columns,
                                                           const std::int32_t* start,
                                                           std::int32_t* sums) {
  const TileConfig config = configure(columns);
  for (Index c = 0; c < columns; ++c)
    std::fill_n(sums + c * strip_rows, strip_rows, start[c]);
  // GCC's intrinsics do not say that they read all of the configuration, nor of the sums.
  asm volatile("" ::: "memory");
  _tile_loadconfig(&config);
  const bool two = columns > tile_columns;
  constexpr Index sums_stride = sizeof(std::int32_t) * strip_rows;
  const std::int8_t* q_second = q + tile_columns * stride;
  for (Index row = 0; row < strip_rows; row += 2 * tile_rows) {
    std::int32_t* first = sums + row;
    std::int32_t* second = first + tile_columns * strip_rows;
    _tile_loadd(0, first, sums_stride);
    _tile_loadd(1, first + tile_rows, sums_stride);
    if (two) {
      _tile_loadd(2, second, sums_stride);
      _tile_loadd(3, second + tile_rows, sums_stride);
    }
    for (Index k = from; k < to; k += strip_depth) {
      const std::uint8_t* rows = strip + k * strip_rows + 4 * row;
      _tile_loadd(6, rows, group_bytes);
      _tile_loadd(7, rows + 4 * tile_rows, group_bytes);
      _tile_loadd(4, q + k, stride);
      _tile_dpbsud(0, 4, 6);
      _tile_dpbsud(1, 4, 7);
      if (two) {
        _tile_loadd(5, q_second + k, stride);
        _tile_dpbsud(2, 5, 6);
        _tile_dpbsud(3, 5, 7);
      }
    }
    asm volatile("" ::: "memory");
    _tile_stored(0, first, sums_stride);
    _tile_stored(1, first + tile_rows, sums_stride);
    if (two) {
      _tile_stored(2, second, sums_stride);
      _tile_stored(3, second + tile_rows, sums_stride);
    }
  }
  _tile_release();
}

}  // namespace

const StripKernel amx_kernel{"AMX", 2 * tile_columns, true, multiply};

}  // namespace widedeq::cpu

#else

namespace widedeq::cpu {

const StripKernel amx_kernel{"AMX", 0, false, nullptr};

}  // namespace widedeq::cpu

#endif
