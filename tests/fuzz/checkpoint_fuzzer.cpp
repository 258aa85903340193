// Checkpoints: what is accepted has every byte accounted for, and can be read. Checksums are put
// right after mutations, or none would get past them.
#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "host/run/checkpoint_file.hpp"
#include "tests/fuzz/fuzz_support.hpp"

namespace {

using namespace widedeq;

constexpr std::size_t file_header = 32, chunk_header = 104, checksum = 8;

template <class T>
T get(std::span<const std::uint8_t> input, std::size_t place) {
  T value{};
  std::memcpy(&value, input.data() + place, sizeof value);
  return value;
}

void put_checksum(std::span<std::uint8_t> input, std::size_t first, std::size_t size) {
  const std::uint64_t value = XXH3_64bits(input.data() + first, size);
  std::memcpy(input.data() + first + size, &value, checksum);
}

}  // namespace

void fuzz::repair(std::span<std::uint8_t> input) {
  if (input.size() < file_header) return;
  put_checksum(input, 0, file_header - checksum);
  std::vector<std::uint8_t> sums;
  for (std::size_t place = file_header; place + chunk_header + checksum <= input.size();) {
    put_checksum(input, place, chunk_header - checksum);
    const auto element = static_cast<ChunkElement>(get<std::uint32_t>(input, place + 72));
    const auto rows = get<std::int64_t>(input, place + 80),
               columns = get<std::int64_t>(input, place + 88);
    const std::size_t left = input.size() - place - chunk_header - checksum;
    const auto most = static_cast<std::int64_t>(left);
    if (rows < 0 || columns < 0 || rows > most || columns > most) return;
    const std::size_t bytes =
        static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns) * size_of(element);
    if (bytes > left) return;
    place += chunk_header;
    const bool is_last = std::memcmp(input.data() + place - chunk_header, "end", 4) == 0;
    if (is_last && bytes == checksum) {
      const std::uint64_t all = XXH3_64bits(sums.data(), sums.size());
      std::memcpy(input.data() + place, &all, checksum);
    }
    put_checksum(input, place, bytes);
    place += bytes;
    sums.insert(sums.end(), input.begin() + static_cast<std::ptrdiff_t>(place),
                input.begin() + static_cast<std::ptrdiff_t>(place + checksum));
    place += checksum;
  }
}

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // The reader's own buffer is 1 MB; an entry in its list of arrays takes more than the file's.
  const fuzz::AllocationLimit limit(16 * size + (std::size_t{2} << 20));
  const fuzz::MemoryFile file({data, size});
  const auto reader = fuzz::accept(
      ExitCode::bad_data, [&] { return std::make_unique<CheckpointFileReader>(file.path()); });
  if (!reader) return 0;

  std::size_t accounted = file_header + chunk_header + 2 * checksum;  // with the last chunk
  for (const auto& [name, chunk] : (*reader)->chunks()) {
    fuzz::promise(!name.empty() && name != "end" && name.find('\0') == name.npos,
                  "names are names");
    std::vector<std::byte> bytes(chunk.bytes());
    (*reader)->read(chunk, 0, bytes);
    fuzz::promise(
        bytes.empty() || std::memcmp(bytes.data(), data + chunk.offset, bytes.size()) == 0,
        "what is read is what is there");
    accounted += chunk_header + bytes.size() + checksum;
  }
  fuzz::promise(accounted == size, "every byte belongs to something");
  fuzz::promise(get<std::uint32_t>({data, size}, 12) == 0, "what is reserved is zero");
  return 0;
}
