// The tile instructions that kernels/cpu/strip_kernel_amx.cpp uses, as functions: so its kernel,
// and all that is done on processors with AMX alone, can be tested on one without it.
//
// What this shows: that the tiles are configured, loaded, multiplied and stored as they must be,
// bit for bit, and that what the instruction set forbids is not done: that ends the program with a
// message, as a fault would. (Two things end it that a processor takes, because the kernel has no
// use for them: a configuration of palette 0, and one with a start_row.) What it cannot show: that
// the compiler's own intrinsics do what their names say, that the operating system grants the
// registers, and speed.
//
// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, TILELOADD,
// TILESTORED, TDPBSUD, LDTILECFG, TILERELEASE.
#pragma once

#include <cstdint>

namespace amx_on_host {

/// Takes the 64 bytes of a tile configuration, and clears all tiles.
void load_config(const void* config);
/// Back to no configuration.
void release();

/// Tile `number` = its rows, `stride` bytes apart, from `base` on; what the rows do not fill is
/// zero.
void load(int number, const void* base, std::int64_t stride);
void store(int number, void* base, std::int64_t stride);

/// sums(m, n) += sum over k of a(m, k) b(k, n), modulo 2^32, of three tiles: a's rows are signed
/// bytes, b's rows groups of four k, unsigned: byte 4 n + k mod 4 of row k / 4. sums holds 32-bit
/// integers.
void multiply_signed_unsigned(int sums_number, int a_number, int b_number);

}  // namespace amx_on_host
