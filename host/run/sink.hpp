// Where records go: a file of JSON lines. Knows nothing of what they mean.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "host/run/json.hpp"

namespace widedeq {

/// How far a file of records has come: the bytes it holds and their XXH3.
struct SinkMark {
  std::uint64_t bytes = 0;
  std::uint64_t checksum = 0;
};

class Sink {
 public:
  /// Creates the file. Throws Failure (io) when that fails or the file is there already.
  explicit Sink(const std::string& path);
  /// One that is to go on with a file from the mark; paused, and the file as it is, until
  /// restart(). Null when the file does not begin with what it held at the mark. Throws Failure
  /// (io) when it cannot be read.
  static std::unique_ptr<Sink> take_up(const std::string& path, const SinkMark& mark);
  ~Sink();
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  /// Appends the record as one line, handed to the operating system before this returns: a reader
  /// sees whole lines. Throws Failure (io), for instance when the disk is full; the file then ends
  /// with the record before.
  void write(const Json& record);
  /// Where the next record will begin.
  std::uint64_t bytes() const { return bytes_; }
  /// What has been written is on the disk when this returns. Throws Failure (io).
  void flush() const;
  /// The mark at `bytes`, which are on the disk when this returns. Throws Failure (io).
  SinkMark mark(std::uint64_t bytes) const;

  /// From now on nothing is written, until restart() cuts the file back to `bytes` and goes on.
  void pause() { paused_ = true; }
  bool is_paused() const { return paused_; }
  /// Throws Failure (io).
  void restart(std::uint64_t bytes);

 private:
  Sink(const std::string& path, int descriptor);

  std::string path_;
  int descriptor_ = -1;
  std::uint64_t bytes_ = 0;
  bool paused_ = false;
};

}  // namespace widedeq
