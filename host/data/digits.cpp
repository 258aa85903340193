// The bundled digits, included by the assembler. WIDEDEQ_DIGITS_DIR is their directory, a string
// literal defined by the build.
#include "host/data/digits.hpp"

#include <cstdint>

// name: the bytes of the file; name_size: how many. Hidden, so that a library does not export them.
asm(R"(
.macro widedeq_include name, path
  .global \name, \name\()_size
  .hidden \name, \name\()_size
  .balign 8
\name:
  .incbin "\path"
0:
  .balign 8
\name\()_size:
  .quad 0b - \name
.endm

.pushsection .rodata
widedeq_include widedeq_digits_images, ")" WIDEDEQ_DIGITS_DIR R"(/images.npy"
widedeq_include widedeq_digits_labels, ")" WIDEDEQ_DIGITS_DIR R"(/labels.npy"
.popsection
)");

extern "C" {
extern const std::byte widedeq_digits_images[];
extern const std::uint64_t widedeq_digits_images_size;
extern const std::byte widedeq_digits_labels[];
extern const std::uint64_t widedeq_digits_labels_size;
}

namespace widedeq {

std::span<const std::byte> digits_images() {
  return {widedeq_digits_images, widedeq_digits_images_size};
}

std::span<const std::byte> digits_labels() {
  return {widedeq_digits_labels, widedeq_digits_labels_size};
}

}  // namespace widedeq
