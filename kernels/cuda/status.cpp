// From status codes to sentences; see status.hpp.
#include "kernels/cuda/status.hpp"

#include <string>

namespace widedeq::cuda {

void throw_failed(const char* call, const char* reason, const char* file, int line) {
  throw DeviceError(std::string(call) + " failed: " + reason + " (" + file + ":" +
                    std::to_string(line) + ")");
}

void throw_out_of_memory_in(const char* call, const char* file, int line) {
  throw OutOfDeviceMemory(std::string(call) + " failed: the GPU has no memory left for it (" +
                          file + ":" + std::to_string(line) +
                          "); use a smaller --width or --chunk, fewer samples, or --backend cpu");
}

void check(cusolverStatus_t status, const char* call, const char* file, int line) {
  if (status == CUSOLVER_STATUS_SUCCESS) return;
  // cuSOLVER has no function that puts its statuses into words.
  const std::string reason = "cuSOLVER status " + std::to_string(static_cast<int>(status));
  throw_failed(call, reason.c_str(), file, line);
}

}  // namespace widedeq::cuda
