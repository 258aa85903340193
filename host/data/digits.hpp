// The digits that come with the program: 1,797 images of 8 x 8 pixels and their labels.
//
// The two .npy files of host/data/digits/ are part of the binary, so they are found wherever it
// runs. Source and licence: host/data/digits/SOURCE.md.
#pragma once

#include <cstddef>
#include <span>

namespace widedeq {

/// A .npy file, uint8, shape (1797, 64): grey values 0 to 16, one image a row.
std::span<const std::byte> digits_images();

/// A .npy file, uint8, shape (1797): the classes, 0 to 9.
std::span<const std::byte> digits_labels();

}  // namespace widedeq
