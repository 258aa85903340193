// The stand-in against the sums that the manual writes down, and what it refuses.
#include "tests/amx_on_host/tiles.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <random>
#include <vector>

namespace amx_on_host {
namespace {

struct Shape {
  int rows, bytes;
};

/// The 64 bytes that configure tiles 0, 1, 2, ... so.
std::array<std::uint8_t, 64> configuration(const std::vector<Shape>& tiles) {
  std::array<std::uint8_t, 64> bytes{1};
  for (std::size_t t = 0; t < tiles.size(); ++t) {
    const auto width = static_cast<std::uint16_t>(tiles[t].bytes);
    std::memcpy(&bytes[16 + 2 * t], &width, sizeof width);
    bytes[48 + t] = static_cast<std::uint8_t>(tiles[t].rows);
  }
  return bytes;
}

TEST(Tiles, MultiplyByTheDefinition) {
  const int rows = 5, columns = 7, depth = 24;  // of sums, of sums, bytes of a row of a
  const auto config = configuration({{rows, 4 * columns}, {rows, depth}, {depth / 4, 4 * columns}});
  std::mt19937 random(1);
  std::uniform_int_distribution<int> byte(0, 255);
  std::vector<std::uint8_t> a(rows * 40), b(depth / 4 * 50);
  for (auto* bytes : {&a, &b})
    for (std::uint8_t& value : *bytes)
      value = static_cast<std::uint8_t>(byte(random));
  const std::int32_t beyond = 0x7FFFFF00;  // sums wrap
  std::vector<std::int32_t> sums(rows * 9, beyond);
  load_config(config.data());
  load(0, sums.data(), 36);
  load(1, a.data(), 40);
  load(2, b.data(), 50);
  multiply_signed_unsigned(0, 1, 2);
  std::vector<std::int32_t> out(rows * 9, -5);
  store(0, out.data(), 36);
  release();
  for (std::size_t m = 0; m < rows; ++m)
    for (std::size_t n = 0; n < 9; ++n) {
      std::int64_t wanted = beyond;
      for (std::size_t k = 0; k < depth; ++k)
        wanted +=
            std::int64_t{static_cast<std::int8_t>(a[m * 40 + k])} * b[k / 4 * 50 + 4 * n + k % 4];
      if (n >= columns) wanted = -5;  // not stored
      EXPECT_EQ(out[m * 9 + n], static_cast<std::int32_t>(wanted)) << m << " " << n;
    }
}

TEST(Tiles, LoadingClearsWhatTheRowsLeave) {
  const auto config = configuration({{16, 64}, {2, 8}});
  load_config(config.data());
  const std::vector<std::uint8_t> ones(64 * 16, 1);
  load(1, ones.data(), 8);
  std::vector<std::uint8_t> out(16, 9);
  store(1, out.data(), 8);
  EXPECT_EQ(out, std::vector<std::uint8_t>(16, 1));
  load_config(config.data());  // clears
  store(1, out.data(), 8);
  EXPECT_EQ(out, std::vector<std::uint8_t>(16, 0));
  release();
}

TEST(TilesDeath, WhatTheInstructionsForbidEndsTheProgram) {
  std::vector<std::uint8_t> memory(1024);
  const auto with = [&](const std::vector<Shape>& tiles) {
    const auto config = configuration(tiles);
    load_config(config.data());
  };
  EXPECT_DEATH(load(0, memory.data(), 64), "no tiles are configured");
  EXPECT_DEATH(with({{17, 64}}), "too large");
  EXPECT_DEATH(with({{16, 65}}), "too large");
  EXPECT_DEATH(with({{16, 0}}), "rows of nothing");
  EXPECT_DEATH(with(std::vector<Shape>(9, {1, 4})), "eight tiles");
  auto config = configuration({{1, 4}});
  config[0] = 0;
  EXPECT_DEATH(load_config(config.data()), "palette");
  config[0] = config[3] = 1;
  EXPECT_DEATH(load_config(config.data()), "reserved");
  with({{16, 64}, {15, 64}, {16, 64}, {16, 60}});
  EXPECT_DEATH(load(4, memory.data(), 64), "no rows");
  EXPECT_DEATH(load(8, memory.data(), 64), "no such tile");
  EXPECT_DEATH(multiply_signed_unsigned(0, 1, 2), "do not fit");
  EXPECT_DEATH(multiply_signed_unsigned(0, 2, 3), "do not fit");
  EXPECT_DEATH(multiply_signed_unsigned(0, 2, 2), "named twice");
  with({{1, 6}, {1, 4}, {1, 6}});
  EXPECT_DEATH(multiply_signed_unsigned(0, 1, 2), "amid four bytes");
  release();
}

}  // namespace
}  // namespace amx_on_host
