// The device's memory: a range of addresses that nobody may touch while the host's code runs, so
// that a host that follows a device's pointer crashes here as it would there.
#pragma once

#include <cstddef>
#include <map>

namespace cuda_on_host {

class DeviceMemory {
 public:
  DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  /// Memory filled with garbage, on a 256-byte boundary; null when there are no addresses left.
  void* allocate(std::size_t bytes);
  /// Fills it with garbage again, for who still reads it, and takes it back.
  void free(void* data, std::size_t bytes);

  /// While one of these lives, the memory can be touched.
  class Access {
   public:
    explicit Access(DeviceMemory& memory) : memory_(memory) {
      if (memory_.accesses_++ == 0) memory_.protect(false);
    }
    ~Access() {
      if (--memory_.accesses_ == 0) memory_.protect(true);
    }
    Access(const Access&) = delete;
    Access& operator=(const Access&) = delete;

   private:
    DeviceMemory& memory_;
  };

 private:
  void protect(bool closed) const;

  char* begin_ = nullptr;
  char* end_ = nullptr;                // of what has ever been used
  std::map<char*, std::size_t> free_;  // before end_: where, how much; no two are neighbours
  int accesses_ = 0;
};

}  // namespace cuda_on_host
