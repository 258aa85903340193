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

/// The widest network with n samples that trains in `bytes` of device memory, to a tenth or so.
Index widest_width(double bytes, Index samples, Precision precision);

}  // namespace widedeq
