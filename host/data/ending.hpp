// Ending by a signal without leaving half-written files behind.
//
// Whoever writes a file beside its place registers it; a signal's handler that is to end the
// process calls end_by_signal(), which removes them first. Where a library has a temporary file of
// its own, whose name nobody else knows, the end waits until the library has given up.
#pragma once

#include <string>

namespace widedeq {

/// A file that goes when the process ends by a signal. Names that are longer than a path may be,
/// and files beyond the first few, go without.
class UnfinishedFile {
 public:
  explicit UnfinishedFile(const std::string& path);
  ~UnfinishedFile();
  UnfinishedFile(const UnfinishedFile&) = delete;
  UnfinishedFile& operator=(const UnfinishedFile&) = delete;

 private:
  int place_;  // in the list; -1: in none
};

/// Removes the unfinished files and ends the process by the signal, as without a handler; where
/// somebody holds the end, once he lets go. For handlers.
void end_by_signal(int signal) noexcept;

/// Holds the end while it lives. To be short, or to look at is_ending() now and then.
class HeldEnd {
 public:
  HeldEnd();
  ~HeldEnd();
  HeldEnd(const HeldEnd&) = delete;
  HeldEnd& operator=(const HeldEnd&) = delete;
};

/// Whether the process is about to end.
bool is_ending() noexcept;

}  // namespace widedeq
