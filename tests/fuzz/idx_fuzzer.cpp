// IDX files, plain or in gzip: as many bytes as the sizes say, and the same when written back.
#include "host/data/idx.hpp"

#include <zlib.h>

#include "tests/fuzz/fuzz_support.hpp"

namespace {

using namespace widedeq;

/// The file that holds this array, uncompressed.
std::vector<std::uint8_t> format_idx(const IdxArray& array) {
  std::vector<std::uint8_t> bytes = {0, 0, 8, static_cast<std::uint8_t>(array.shape.size())};
  for (const Index axis : array.shape)
    for (int shift = 24; shift >= 0; shift -= 8)
      bytes.push_back(static_cast<std::uint8_t>(axis >> shift));
  bytes.insert(bytes.end(), array.values.begin(), array.values.end());
  return bytes;
}

}  // namespace

/// A gzip file of one member, with the plain header of ten bytes, ends with CRC and length.
void widedeq::fuzz::repair(std::span<std::uint8_t> input) {
  if (input.size() < 18 || input[0] != 0x1f || input[1] != 0x8b) return;
  z_stream stream{};
  constexpr int raw = -15;
  if (inflateInit2(&stream, raw) != Z_OK) return;
  stream.next_in = input.data() + 10;
  stream.avail_in = static_cast<uInt>(input.size() - 18);
  std::uint64_t sum = 0, length = 0;
  std::vector<std::uint8_t> buffer(65536);
  for (int status = Z_OK; status == Z_OK;) {
    stream.next_out = buffer.data();
    stream.avail_out = static_cast<uInt>(buffer.size());
    status = inflate(&stream, Z_NO_FLUSH);
    const std::size_t count = buffer.size() - stream.avail_out;
    sum = ::crc32(sum, buffer.data(), static_cast<uInt>(count));
    length += count;
  }
  inflateEnd(&stream);
  for (std::size_t i = 0; i < 4; ++i) {
    input[input.size() - 8 + i] = static_cast<std::uint8_t>(sum >> 8 * i);
    input[input.size() - 4 + i] = static_cast<std::uint8_t>(length >> 8 * i);
  }
}

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const bool gzip = size >= 2 && data[0] == 0x1f && data[1] == 0x8b;
  constexpr std::size_t most_inflation = 1032;  // no deflate stream grows by more than that
  const std::size_t most = (gzip ? most_inflation : 1) * size + fuzz::fixed_allocation;
  const auto array = [&] {
    const fuzz::AllocationLimit limit(most);
    return fuzz::accept(ExitCode::bad_data,
                        [&] { return parse_idx(fuzz::bytes_of(data, size), "input"); });
  }();
  if (!array) return 0;
  const std::vector<std::uint8_t> bytes = format_idx(*array);
  if (!gzip)
    fuzz::promise(std::equal(bytes.begin(), bytes.end(), data, data + size), "nothing is lost");
  const IdxArray again = parse_idx(fuzz::bytes_of(bytes.data(), bytes.size()), "written");
  fuzz::promise(again.shape == array->shape && again.values == array->values,
                "the array written is the array read");
  return 0;
}
