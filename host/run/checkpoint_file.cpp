// Writing, and reading with mistrust; see checkpoint_file.hpp.
#include "host/run/checkpoint_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <stdexcept>

#include "host/failure.hpp"

namespace widedeq {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is what memory holds");

constexpr std::array<char, 8> magic{'\x89', 'W', 'D', 'Q', 'C', 'K', 'P', '\n'};
constexpr std::uint32_t version = 5;  // 5: two ratios of the plane, the last update's size
constexpr std::string_view last_chunk = "end";
constexpr std::size_t most_name = 72;

struct FileHeader {
  std::array<char, 8> magic;
  std::uint32_t version, reserved;
  std::int64_t epoch;
  std::uint64_t checksum;
};
static_assert(sizeof(FileHeader) == 32);

struct ChunkHeader {
  std::array<char, most_name> name;
  std::uint32_t element, reserved;
  std::int64_t rows, columns;
  std::uint64_t checksum;
};
static_assert(sizeof(ChunkHeader) == 104);

/// Of what stands before the checksum.
template <class Header>
std::uint64_t checksum_of(const Header& header) {
  return XXH3_64bits(&header, offsetof(Header, checksum));
}

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

}  // namespace

std::size_t size_of(ChunkElement element) {
  switch (element) {
    case ChunkElement::float64:
    case ChunkElement::int64:
      return 8;
    case ChunkElement::float32:
    case ChunkElement::int32:
      return 4;
    case ChunkElement::int8:
    case ChunkElement::text:
      return 1;
  }
  return 0;  // not an element
}

// ---- writing

CheckpointFileWriter::CheckpointFileWriter(const std::string& path, std::int64_t epoch)
    : file_(path) {
  FileHeader header{magic, version, 0, epoch, 0};
  header.checksum = checksum_of(header);
  put(bytes_of(header));
}

void CheckpointFileWriter::begin(std::string_view name, ChunkElement element, Index rows,
                                 Index columns) {
  end_chunk();
  if (name.empty() || name.size() >= most_name || !names_.emplace(name, true).second)
    throw std::logic_error("checkpoint: the name " + std::string(name));
  ChunkHeader header{};
  std::ranges::copy(name, header.name.begin());
  header.element = static_cast<std::uint32_t>(element);
  header.rows = rows;
  header.columns = columns;
  header.checksum = checksum_of(header);
  put(bytes_of(header));
  left_ = static_cast<std::uint64_t>(rows) * static_cast<std::uint64_t>(columns) * size_of(element);
  payload_ = std::make_unique<Checksum>();
  in_chunk_ = true;
}

void CheckpointFileWriter::write(std::span<const std::byte> bytes) {
  if (bytes.size() > left_) throw std::logic_error("checkpoint: more elements than announced");
  left_ -= bytes.size();
  payload_->add(bytes);
  put(bytes);
}

void CheckpointFileWriter::end_chunk() {
  if (left_ > 0) throw std::logic_error("checkpoint: fewer elements than announced");
  if (!in_chunk_) return;
  in_chunk_ = false;
  const std::uint64_t checksum = payload_->value();
  put(bytes_of(checksum));
  all_.add(bytes_of(checksum));
}

std::uint64_t CheckpointFileWriter::finish() {
  end_chunk();
  const std::uint64_t all = all_.value();
  begin(last_chunk, ChunkElement::int64, 1, 1);
  write(bytes_of(all));
  end_chunk();
  file_.commit();
  return size_;
}

void CheckpointFileWriter::put(std::span<const std::byte> bytes) {
  file_.write(bytes);
  size_ += bytes.size();
}

// ---- reading

std::uint64_t CheckpointFileReader::Chunk::bytes() const {
  return static_cast<std::uint64_t>(rows) * static_cast<std::uint64_t>(columns) * size_of(element);
}

CheckpointFileReader::CheckpointFileReader(const std::string& path) : path_(path), file_(path) {
  check_all();
}

void CheckpointFileReader::refuse(const std::string& what) const {
  throw Failure(ExitCode::bad_data, what, path_, "use another checkpoint");
}

void CheckpointFileReader::get(std::span<std::byte> bytes, const char* what) {
  if (read_fully(file_.source(), bytes) != bytes.size())
    refuse(fmt::format("the file ends amid {}", what));
  position_ += bytes.size();
}

void CheckpointFileReader::check_all() {
  FileHeader header{};
  get(std::as_writable_bytes(std::span(&header, 1)), "its header");
  if (header.magic != magic) refuse("this is not a checkpoint");
  if (header.checksum != checksum_of(header)) refuse("the header's checksum is wrong");
  if (header.version != version)
    refuse(fmt::format("the format is version {}, and this program knows {}", header.version,
                       version));
  if (header.reserved != 0) refuse("the header holds something where nothing belongs");
  epoch_ = header.epoch;

  Checksum all;
  std::vector<std::byte> buffer(std::size_t{1} << 20);
  while (true) {
    ChunkHeader head{};
    get(std::as_writable_bytes(std::span(&head, 1)), "an array's header");
    if (head.checksum != checksum_of(head)) refuse("an array's header has a wrong checksum");
    const auto end_of_name = std::ranges::find(head.name, '\0');
    const std::string name(head.name.begin(), end_of_name);
    const auto is_plain = [](char c) { return c > ' ' && c <= '~'; };  // fit for a message
    if (name.empty() || !std::ranges::all_of(name, is_plain) || end_of_name == head.name.end() ||
        std::ranges::count(end_of_name, head.name.end(), '\0') != head.name.end() - end_of_name)
      refuse("an array's name is none");
    const Chunk chunk{static_cast<ChunkElement>(head.element), head.rows, head.columns, position_};
    const std::uint64_t left_in_file = file_.size() - std::min(position_, file_.size());
    const std::uint64_t size = size_of(chunk.element);
    // The product must not wrap around before it is compared.
    const bool fits = size > 0 && head.rows >= 0 && head.columns >= 0 && head.reserved == 0 &&
                      (head.rows == 0 || head.columns == 0 ||
                       static_cast<std::uint64_t>(head.columns) <=
                           left_in_file / size / static_cast<std::uint64_t>(head.rows));
    if (!fits) refuse(name + " is larger than the file");

    Checksum payload;
    std::uint64_t last_value = 0;
    for (std::uint64_t left = chunk.bytes(); left > 0;) {
      const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(left, buffer.size()));
      get(std::span(buffer).first(count), name.c_str());
      payload.add(std::span(buffer).first(count));
      if (count == sizeof last_value) std::memcpy(&last_value, buffer.data(), count);
      left -= count;
    }
    std::uint64_t checksum = 0;
    get(std::as_writable_bytes(std::span(&checksum, 1)), name.c_str());
    if (checksum != payload.value()) refuse("the checksum of " + name + " is wrong");
    if (name == last_chunk) {
      if (chunk.bytes() != sizeof last_value || last_value != all.value())
        refuse("arrays are missing or exchanged");
      break;
    }
    all.add(bytes_of(checksum));
    if (!chunks_.emplace(name, chunk).second) refuse(name + " is there twice");
  }
  std::byte more{};
  if (read_fully(file_.source(), {&more, 1}) != 0) refuse("there is something after the end");
}

const CheckpointFileReader::Chunk* CheckpointFileReader::find(std::string_view name) const {
  const auto entry = chunks_.find(name);
  return entry == chunks_.end() ? nullptr : &entry->second;
}

void CheckpointFileReader::read(const Chunk& chunk, std::uint64_t first,
                                std::span<std::byte> bytes) {
  file_.seek(chunk.offset + first);
  if (read_fully(file_.source(), bytes) != bytes.size()) refuse("the file has been cut short");
}

}  // namespace widedeq
