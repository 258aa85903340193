// Where records go: a file of JSON lines. Knows nothing of what they mean.
#pragma once

#include <string>

#include "host/run/record.hpp"

namespace widedeq {

class Sink {
 public:
  /// Creates the file. Throws Failure (io) when that fails or the file is there already.
  explicit Sink(const std::string& path);
  ~Sink();
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  /// Appends the record as one line, handed to the operating system before this returns: a reader
  /// sees whole lines. Throws Failure (io), for instance when the disk is full; the file then ends
  /// with the record before.
  void write(const Json& record);

 private:
  std::string path_;
  int descriptor_ = -1;
};

}  // namespace widedeq
