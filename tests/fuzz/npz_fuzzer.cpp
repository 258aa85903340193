// .npz archives: what is accepted can be written and read back, bit for bit.
#include "host/data/npz.hpp"

#include <zlib.h>

#include <filesystem>

#include "tests/fuzz/array_checks.hpp"

namespace {

using namespace widedeq;

/// A folder in memory for what NpzWriter writes; removed at exit.
class Folder {
 public:
  Folder() {
    const bool memory = std::filesystem::is_directory("/dev/shm");
    std::string name = memory ? "/dev/shm/widedeq-fuzz-XXXXXX" : "/tmp/widedeq-fuzz-XXXXXX";
    fuzz::promise(::mkdtemp(name.data()) != nullptr, "a folder can be made");
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string file() const { return (path_ / "written.npz").string(); }

 private:
  std::filesystem::path path_;
};

/// A little-endian number in the archive; 0 beyond its end.
std::uint32_t number_at(std::span<const std::uint8_t> bytes, std::size_t place, std::size_t width) {
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < width && place + i < bytes.size(); ++i)
    number |= std::uint32_t{bytes[place + i]} << 8 * i;
  return number;
}

/// The CRC of a member's data: stored, or inflated as far as it goes.
std::uint32_t sum_of(std::span<const std::uint8_t> data, bool deflated) {
  const auto sum = [](std::uint32_t start, std::span<const std::uint8_t> bytes) {
    return static_cast<std::uint32_t>(
        ::crc32(start, bytes.data(), static_cast<uInt>(bytes.size())));
  };
  if (!deflated) return sum(0, data);
  z_stream stream{};
  constexpr int raw = -15;
  if (inflateInit2(&stream, raw) != Z_OK) return 0;
  stream.next_in = const_cast<Bytef*>(data.data());
  stream.avail_in = static_cast<uInt>(data.size());
  std::uint32_t result = 0;
  std::vector<std::uint8_t> buffer(65536);
  for (int status = Z_OK; status == Z_OK;) {
    stream.next_out = buffer.data();
    stream.avail_out = static_cast<uInt>(buffer.size());
    status = inflate(&stream, Z_NO_FLUSH);
    result = sum(result, std::span(buffer).first(buffer.size() - stream.avail_out));
  }
  inflateEnd(&stream);
  return result;
}

}  // namespace

/// Central directory entries, "PK\1\2": method at 10, CRC at 16, sizes at 20 and 24, offset of the
/// local header at 42; local headers, "PK\3\4": CRC at 14, lengths of name and extra field at 26
/// and 28, the data from 30 on behind both.
void widedeq::fuzz::repair(std::span<std::uint8_t> input) {
  constexpr std::uint32_t central = 0x02014b50, local = 0x04034b50;
  for (std::size_t entry = 0; entry + 46 <= input.size(); ++entry) {
    if (number_at(input, entry, 4) != central) continue;
    const std::size_t header = number_at(input, entry + 42, 4);
    if (header + 30 > input.size() || number_at(input, header, 4) != local) continue;
    const std::size_t start =
        header + 30 + number_at(input, header + 26, 2) + number_at(input, header + 28, 2);
    const std::size_t size = number_at(input, entry + 20, 4);
    if (start > input.size() || size > input.size() - start) continue;
    const bool deflated = number_at(input, entry + 10, 2) == 8;
    const std::uint32_t sum = sum_of(input.subspan(start, size), deflated);
    for (std::size_t i = 0; i < 4; ++i)
      input[entry + 16 + i] = input[header + 14 + i] = static_cast<std::uint8_t>(sum >> 8 * i);
  }
}

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Folder folder;
  constexpr std::size_t most_inflation = 1032;  // no deflate stream grows by more than that
  // libzip makes room for as many members as the end record says, a 16-bit number, and then looks.
  constexpr std::size_t directory = 65535 * 32;
  const fuzz::AllocationLimit limit(8 * most_inflation * size + directory + fuzz::fixed_allocation);
  const fuzz::MemoryFile file({data, size});
  const auto arrays = fuzz::accept(ExitCode::bad_data, [&] { return read_npz(file.path()); });
  if (!arrays || arrays->empty()) return 0;

  // Names are numbers here: not all that a reader takes can be written (none at all, for one).
  NpzWriter writer(folder.file());
  std::map<std::string, std::pair<const NpyArray*, NpyType>> written;
  for (const auto& [name, array] : *arrays) {
    fuzz::promise_sound(array);
    const NpyType type = fuzz::writable_type(array);
    const std::string number = std::to_string(written.size());
    written[number] = {&array, type};
    writer.add(number, array.shape, array.values, type);
  }
  writer.finish();
  const auto again = read_npz(folder.file());
  fuzz::promise(again.size() == written.size(), "as many arrays as written");
  for (const auto& [number, array] : written)
    fuzz::promise_same(*array.first, array.second, again.at(number));
  return 0;
}
