// The front of a .npy file: what the elements are, in which order, and how many.
//
//   "\x93NUMPY" major minor | header length (2 bytes in version 1, 4 in 2 and 3, little-endian)
//   | {'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), } padded with spaces, newline
//
// Source: numpy.lib.format, "NPY format" (NEP 1), versions 1.0, 2.0 and 3.0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "host/data/byte_source.hpp"
#include "kernels/matrix_view.hpp"

namespace widedeq {

/// The element types that are read and written, all little-endian.
enum class NpyType {
  boolean,
  int8,
  uint8,
  int16,
  uint16,
  int32,
  uint32,
  int64,
  uint64,
  float32,
  float64
};

/// Bytes of one element in a file.
std::size_t size_of(NpyType type);

/// "<f8": a type as a header names it.
std::string descriptor_of(NpyType type);

/// "(3, 4)", "(3,)", "()": a shape as Python writes it, in files and in error messages.
std::string shape_text(const std::vector<Index>& shape);

/// How many elements a shape has: 1 for (), 0 when a size is 0. Nothing when a size is negative or
/// the sizes other than 0 multiply beyond Index.
std::optional<Index> element_count(const std::vector<Index>& shape);

struct NpyHeader {
  NpyType type = NpyType::float64;
  bool fortran_order = false;  ///< first axis fastest
  std::vector<Index> shape;
};

/// Reads from a source of `size` bytes up to the first element. The header is believed only when
/// its elements take just as many bytes as are left. `where` names the source in errors.
/// Throws Failure (bad_data), with a sentence for each kind of array that is not read.
NpyHeader read_npy_header(const ByteSource& source, std::uint64_t size, const std::string& where);

/// A version 1.0 header in C order, as NumPy writes it; its length is a multiple of 64 bytes.
/// Throws std::invalid_argument for more than 64 axes.
std::vector<std::byte> format_npy_header(const std::vector<Index>& shape, NpyType type);

}  // namespace widedeq
