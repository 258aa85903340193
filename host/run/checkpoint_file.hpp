// The file format of checkpoints: named arrays, each with a checksum, written in one go.
//
//   header    "\x89WDQCKP\n" | version u32 | 0 u32 | epoch i64 | XXH3 of the 24 bytes before u64
//   chunk     name, 72 bytes padded with zeros | element u32 | 0 u32 | rows i64 | columns i64 |
//             XXH3 of the 96 bytes before u64 | elements, column by column | XXH3 of these u64
//   last      a chunk named "end": one integer, XXH3 of all payload checksums before it in order
//
// Numbers are little-endian. Every byte is under a checksum or compared with what it must be, so a
// file that opens is the file that was written. The writer streams; the reader checks the whole
// file before it hands anything out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/data/atomic_file.hpp"
#include "host/data/byte_source.hpp"
#include "host/data/checksum.hpp"
#include "kernels/matrix_view.hpp"

namespace widedeq {

/// What a chunk's elements are.
enum class ChunkElement : std::uint32_t { float64, float32, int32, int8, int64, text };

std::size_t size_of(ChunkElement element);

class CheckpointFileWriter {
 public:
  /// Throws Failure (io).
  CheckpointFileWriter(const std::string& path, std::int64_t epoch);

  /// Announces an array; its rows x columns elements must follow in any number of write() calls.
  /// Throws Failure (io), std::logic_error for a name that is too long or used twice.
  void begin(std::string_view name, ChunkElement element, Index rows, Index columns);
  void write(std::span<const std::byte> bytes);
  /// Ends the file and puts it in its place. Returns its size. Throws Failure (io).
  std::uint64_t finish();

 private:
  void end_chunk();
  void put(std::span<const std::byte> bytes);

  AtomicFile file_;
  std::uint64_t size_ = 0, left_ = 0;  // bytes written; still to come of this chunk
  bool in_chunk_ = false;
  std::map<std::string, bool, std::less<>> names_;
  Checksum all_;  // of the payload checksums
  std::unique_ptr<Checksum> payload_;
};

class CheckpointFileReader {
 public:
  struct Chunk {
    ChunkElement element = ChunkElement::text;
    Index rows = 0, columns = 0;
    std::uint64_t offset = 0;  // of the elements in the file
    std::uint64_t bytes() const;
  };

  /// Opens the file and checks all of it. Throws Failure: io when it cannot be read, bad_data, with
  /// what is wrong with it, when it is not a whole checkpoint of this version.
  explicit CheckpointFileReader(const std::string& path);

  std::int64_t epoch() const { return epoch_; }
  const std::string& path() const { return path_; }
  const std::map<std::string, Chunk, std::less<>>& chunks() const { return chunks_; }
  /// The chunk of that name; null when there is none.
  const Chunk* find(std::string_view name) const;
  /// Bytes of a chunk from `first` on. Throws Failure (io).
  void read(const Chunk& chunk, std::uint64_t first, std::span<std::byte> bytes);

 private:
  void check_all();
  void get(std::span<std::byte> bytes, const char* what);
  [[noreturn]] void refuse(const std::string& what) const;

  std::string path_;
  InputFile file_;
  std::uint64_t position_ = 0;
  std::int64_t epoch_ = 0;
  std::map<std::string, Chunk, std::less<>> chunks_;
};

}  // namespace widedeq
