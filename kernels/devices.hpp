// The CUDA devices of this machine, for those who want to know before they use one.
#pragma once

#include <string>
#include <vector>

#include "kernels/backend.hpp"

namespace widedeq {

struct DeviceInfo {
  int index = 0;
  std::string name;
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 0;
  double memory = 0.0, free_memory = 0.0;  // bytes
  std::string why_not;                     // why widedeq cannot use it; empty: it can
};

struct DeviceList {
  std::vector<DeviceInfo> devices;
  std::string toolkit, driver;  // "13.0": what widedeq was built with, and what the driver knows
  std::string why_none;         // one sentence where there is no device to list
};

/// Never throws for want of a device.
DeviceList list_cuda_devices();

inline constexpr const char* no_cuda_driver =
    "there is no NVIDIA driver here; install it, or use --backend cpu";

/// The widest network of n samples whose bytes fit into `memory`, to a tenth or so, and whose int8
/// products are exact (mixed); 0 where none fits. See cuda::bytes_needed.
Index widest_width(double memory, Index n, Precision precision, bool training = true);

}  // namespace widedeq
