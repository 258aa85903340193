// Scratch memory that stages share: grown on demand, never shrunk, owned by the backend.
#pragma once

#include <cstddef>
#include <memory>

namespace widedeq::cpu {

/// At least `bytes` of zeroed memory on a 64-byte boundary (2 MiB and huge pages when it is large).
/// Throws std::bad_alloc.
std::shared_ptr<void> allocate_zeroed(std::size_t bytes);

/// One growing buffer. get() invalidates what it returned before.
class Workspace {
 public:
  template <class T>
  T* get(std::size_t count) {
    const std::size_t bytes = count * sizeof(T);
    if (bytes > size_) {
      memory_.reset();  // first, so that the old and the new buffer never live side by side
      size_ = 0;        // so it stays when there is no memory
      memory_ = allocate_zeroed(bytes);
      size_ = bytes;
    }
    return static_cast<T*>(memory_.get());
  }

 private:
  std::shared_ptr<void> memory_;
  std::size_t size_ = 0;
};

}  // namespace widedeq::cpu
