// NumPy's .npy files: one array of numbers, read to doubles and written from them.
//
//   header (npy_header.hpp) | the elements, little-endian, in C or Fortran order
//
// No file makes this code allocate more than eight bytes for each byte it has (and once more while
// a Fortran-order array is brought to C order).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "host/data/byte_source.hpp"
#include "host/data/npy_header.hpp"
#include "kernels/matrix_view.hpp"

namespace widedeq {

/// An array as read. `shape` may be empty (one number) or hold zeros (no number at all).
struct NpyArray {
  std::vector<Index> shape;
  NpyType type = NpyType::float64;  ///< what the file held
  std::vector<double> values;       ///< C order; 64-bit integers beyond 2^53 are rounded to nearest
};

/// Reads an array of `size` bytes, header included, from a source. `where` names it in errors.
/// Throws Failure (bad_data) when the bytes are anything but one whole array of plain numbers.
NpyArray decode_npy(const ByteSource& source, std::uint64_t size, const std::string& where);

/// The same from memory.
NpyArray parse_npy(std::span<const std::byte> bytes, const std::string& where);

/// The same from a file. Throws Failure (io) when it cannot be read.
NpyArray read_npy(const std::string& path);

/// Throws std::invalid_argument, naming the first offender, unless the shape has just as many
/// elements as there are values and each value fits the type: integers exactly, float32 by
/// rounding to nearest (NaN and infinities pass).
void check_npy_values(const std::vector<Index>& shape, std::span<const double> values,
                      NpyType type);

/// Elements in C order as the file has them; they must fit, and bytes.size() must be
/// values.size() * size_of(type).
void encode_npy_values(std::span<const double> values, NpyType type, std::span<std::byte> bytes);

/// A whole .npy file in memory. Throws like check_npy_values.
std::vector<std::byte> format_npy(const std::vector<Index>& shape, std::span<const double> values,
                                  NpyType type = NpyType::float64);

/// Writes the same to a file, whole or not at all, without a copy of the array in memory.
/// Throws like check_npy_values, and Failure (io) when the file cannot be written.
void write_npy(const std::string& path, const std::vector<Index>& shape,
               std::span<const double> values, NpyType type = NpyType::float64);

}  // namespace widedeq
