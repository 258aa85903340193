// libFuzzer's own mutations, after most of which a target's checksums are made right again.
#include "tests/fuzz/fuzz_support.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned seed) {
  const std::size_t length = LLVMFuzzerMutate(data, size, most);
  if (widedeq::fuzz::repair && seed % 8 != 0) widedeq::fuzz::repair({data, length});
  return length;
}
