// .npy files: what is accepted can be written and read back, bit for bit.
#include "tests/fuzz/array_checks.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace widedeq;
  const fuzz::AllocationLimit limit(8 * size + fuzz::fixed_allocation);
  const auto array = fuzz::accept(ExitCode::bad_data,
                                  [&] { return parse_npy(fuzz::bytes_of(data, size), "input"); });
  if (!array) return 0;
  fuzz::promise_sound(*array);
  const NpyType type = fuzz::writable_type(*array);
  const auto bytes = format_npy(array->shape, array->values, type);
  fuzz::promise_same(*array, type, parse_npy(bytes, "written"));
  return 0;
}
