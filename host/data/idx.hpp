// IDX files, the format of MNIST, plain or gzip-compressed.
//
//   0 0 type axes | the sizes, `axes` big-endian 32-bit numbers | the elements, last axis fastest
//
// Only type 8 (unsigned bytes) is read. Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST
// database"; gzip is RFC 1952, through zlib.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/matrix_view.hpp"

namespace widedeq {

struct IdxArray {
  std::vector<Index> shape;
  std::vector<std::uint8_t> values;  ///< C order
};

/// Reads an array from memory; gzip is recognised by its first two bytes. `where` names it in
/// errors. Throws Failure (bad_data) for anything but one whole array: wrong type, sizes that do
/// not match the data, a corrupt or truncated gzip stream, bytes after the end.
IdxArray parse_idx(std::span<const std::byte> bytes, const std::string& where);

/// The same from a file. Throws Failure (io) when it cannot be read.
IdxArray read_idx(const std::string& path);

}  // namespace widedeq
