// Eight tiles a thread; see tiles.hpp.
#include "tests/amx_on_host/tiles.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "kernels/cpu/has_amx.hpp"

namespace amx_on_host {
namespace {

constexpr int most_tiles = 8, most_rows = 16, most_bytes = 64;

struct Tile {
  int rows = 0, bytes = 0;  // of a row
  std::array<std::array<std::uint8_t, most_bytes>, most_rows> data{};
};

struct Unit {
  bool is_configured = false;
  std::array<Tile, most_tiles> tiles;
};

thread_local Unit unit;

[[noreturn]] void fault(const char* instruction, const char* why) {
  std::fprintf(stderr, "amx_on_host: %s: %s\n", instruction, why);
  std::abort();
}

Tile& tile_at(const char* instruction, int number) {
  if (!unit.is_configured) fault(instruction, "no tiles are configured");
  if (number < 0 || number >= most_tiles) fault(instruction, "there is no such tile");
  Tile& tile = unit.tiles[static_cast<std::size_t>(number)];
  if (tile.rows == 0 || tile.bytes == 0) fault(instruction, "the tile has no rows");
  return tile;
}

}  // namespace

void load_config(const void* config) {
  std::array<std::uint8_t, 64> bytes;
  std::memcpy(bytes.data(), config, bytes.size());
  if (bytes[0] != 1) fault("ldtilecfg", "the palette is not 1");
  unit = Unit();
  for (std::size_t t = 0; t < 16; ++t) {
    std::uint16_t width;
    std::memcpy(&width, &bytes[16 + 2 * t], sizeof width);
    const int rows = bytes[48 + t];
    if (t >= most_tiles) {
      if (width != 0 || rows != 0) fault("ldtilecfg", "there are eight tiles");
      continue;
    }
    if (width > most_bytes || rows > most_rows) fault("ldtilecfg", "a tile is too large");
    if ((width == 0) != (rows == 0)) fault("ldtilecfg", "a tile has rows of nothing");
    unit.tiles[t].rows = rows;
    unit.tiles[t].bytes = width;
  }
  for (std::size_t i = 1; i < 16; ++i)  // start_row, and what is reserved
    if (bytes[i] != 0) fault("ldtilecfg", "reserved bytes are not zero");
  unit.is_configured = true;
}

void release() {
  unit = Unit();
}

void load(int number, const void* base, std::int64_t stride) {
  Tile& tile = tile_at("tileloadd", number);
  const auto* from = static_cast<const std::uint8_t*>(base);
  tile.data = {};
  for (int row = 0; row < tile.rows; ++row)
    std::memcpy(tile.data[static_cast<std::size_t>(row)].data(), from + row * stride,
                static_cast<std::size_t>(tile.bytes));
}

void store(int number, void* base, std::int64_t stride) {
  const Tile& tile = tile_at("tilestored", number);
  auto* to = static_cast<std::uint8_t*>(base);
  for (int row = 0; row < tile.rows; ++row)
    std::memcpy(to + row * stride, tile.data[static_cast<std::size_t>(row)].data(),
                static_cast<std::size_t>(tile.bytes));
}

void multiply_signed_unsigned(int sums_number, int a_number, int b_number) {
  const char* name = "tdpbsud";
  if (sums_number == a_number || sums_number == b_number || a_number == b_number)
    fault(name, "a tile is named twice");
  Tile& sums = tile_at(name, sums_number);
  const Tile& a = tile_at(name, a_number);
  const Tile& b = tile_at(name, b_number);
  if (sums.rows != a.rows || sums.bytes != b.bytes || a.bytes != 4 * b.rows)
    fault(name, "the tiles' sizes do not fit");
  if (sums.bytes % 4 != 0 || a.bytes % 4 != 0) fault(name, "rows end amid four bytes");
  for (std::size_t m = 0; m < static_cast<std::size_t>(sums.rows); ++m) {
    std::array<std::uint32_t, most_bytes / 4> row;
    std::memcpy(row.data(), sums.data[m].data(), most_bytes);
    for (std::size_t k = 0; k < static_cast<std::size_t>(b.rows); ++k)
      for (std::size_t n = 0; n < row.size(); ++n)
        for (std::size_t i = 0; i < 4; ++i) {
          const std::int32_t left = static_cast<std::int8_t>(a.data[m][4 * k + i]);
          row[n] += static_cast<std::uint32_t>(left * std::int32_t{b.data[k][4 * n + i]});
        }
    std::memcpy(sums.data[m].data(), row.data(), static_cast<std::size_t>(sums.bytes));
  }
}

}  // namespace amx_on_host

// Found before the one of the archive widedeq_kernels, because objects come before archives.
bool widedeq::cpu::has_amx() {
  return true;
}
