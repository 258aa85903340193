// IDX files, plain or gzip-compressed. Format: see idx.hpp.
#include "host/data/idx.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <new>

#include "host/data/byte_source.hpp"
#include "host/failure.hpp"

namespace widedeq {
namespace {

constexpr std::uint64_t most_inflation = 1032;  // no deflate stream grows by more than that
constexpr int unsigned_bytes = 8;

[[noreturn]] void refuse(const std::string& what, const std::string& where,
                         const std::string& remedy = "copy or download the file again") {
  throw Failure(ExitCode::bad_data, what, where, remedy);
}

bool is_gzip(std::span<const std::byte> bytes) {
  return bytes.size() >= 2 && bytes[0] == std::byte{0x1f} && bytes[1] == std::byte{0x8b};
}

/// Inflates one gzip member after the other; their sums and lengths are checked by zlib.
class GzipReader {
 public:
  GzipReader(std::span<const std::byte> bytes, const std::string& where)
      : rest_(bytes), where_(where) {
    constexpr int gzip_only = 15 + 16;
    if (inflateInit2(&stream_, gzip_only) != Z_OK) throw std::bad_alloc();
  }
  ~GzipReader() { inflateEnd(&stream_); }
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;

  std::size_t read(std::span<std::byte> buffer) {
    constexpr std::size_t largest_step = 1U << 30;  // zlib counts in 32 bits
    while (!rest_.empty() || !between_members_) {
      const std::size_t room = std::min(buffer.size(), largest_step);
      const std::size_t given = std::min(rest_.size(), largest_step);
      // zlib's interface predates const; it does not write to its input.
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(rest_.data()));
      stream_.avail_in = static_cast<uInt>(given);
      stream_.next_out = reinterpret_cast<Bytef*>(buffer.data());
      stream_.avail_out = static_cast<uInt>(room);
      const int status = inflate(&stream_, Z_NO_FLUSH);
      rest_ = rest_.subspan(given - stream_.avail_in);
      if (status == Z_MEM_ERROR) throw std::bad_alloc();
      if (status == Z_BUF_ERROR) refuse("the gzip stream is cut short", where_);
      if (status != Z_OK && status != Z_STREAM_END)
        refuse(std::string("the gzip stream is corrupt, ") +
                   (stream_.msg ? stream_.msg : "or needs a dictionary"),
               where_);
      between_members_ = status == Z_STREAM_END;
      if (between_members_) inflateReset(&stream_);
      if (stream_.avail_out < room) return room - stream_.avail_out;
    }
    return 0;
  }

 private:
  std::span<const std::byte> rest_;
  const std::string& where_;
  z_stream stream_{};
  bool between_members_ = false;
};

/// `size` bytes at most come from the source.
IdxArray decode_idx(const ByteSource& source, std::uint64_t size, const std::string& where) {
  std::array<std::uint8_t, 4> bytes{};
  const auto read_four = [&] {
    if (read_fully(source, std::as_writable_bytes(std::span(bytes))) != bytes.size())
      refuse("the IDX header is cut short", where);
  };

  read_four();
  if (bytes[0] != 0 || bytes[1] != 0)
    refuse("this is not an IDX file", where, "give a file as MNIST distributes it");
  if (bytes[2] != unsigned_bytes)
    refuse("the IDX file does not hold unsigned bytes", where, "give 8-bit images and labels");
  IdxArray array;
  array.shape.resize(bytes[3]);
  std::uint64_t count = 1;
  for (Index& axis : array.shape) {
    read_four();
    const std::uint32_t length = std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 |
                                 std::uint32_t{bytes[2]} << 8 | std::uint32_t{bytes[3]};
    axis = length;
    // Saturate: once beyond `size` there is no way back but a zero.
    if (__builtin_mul_overflow(count, length, &count)) count = UINT64_MAX;
  }
  if (count > size) refuse("the IDX array is cut short, its sizes ask for more bytes", where);
  array.values.resize(static_cast<std::size_t>(count));
  if (read_fully(source, std::as_writable_bytes(std::span(array.values))) != count)
    refuse("the IDX array is cut short, its sizes ask for more bytes", where);
  std::byte beyond{};
  if (source({&beyond, 1}) != 0) refuse("there are bytes after the IDX array", where);
  return array;
}

}  // namespace

IdxArray parse_idx(std::span<const std::byte> bytes, const std::string& where) {
  if (!is_gzip(bytes)) return decode_idx(bytes_from_memory(bytes), bytes.size(), where);
  GzipReader reader(bytes, where);
  return decode_idx([&](std::span<std::byte> buffer) { return reader.read(buffer); },
                    bytes.size() * most_inflation, where);
}

IdxArray read_idx(const std::string& path) {
  InputFile file(path);
  std::vector<std::byte> bytes(static_cast<std::size_t>(file.size()));
  bytes.resize(read_fully(file.source(), bytes));
  return parse_idx(bytes, path);
}

}  // namespace widedeq
