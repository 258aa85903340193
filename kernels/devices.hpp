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

/// Bytes of a device's memory by what takes them, at the most; see cuda/algorithm.cpp for the
/// count.
struct DeviceMemory {
  double weights = 0.0;  // A as it is kept and as products read it, and the factors of its change
  double states = 0.0;   // of both solves, and what else is m x n
  double grams = 0.0;    // what they are made of, too
  double scratch = 0.0;
  double libraries = 0.0;  // and the driver's

  double total() const { return weights + states + grams + scratch + libraries; }
};

/// What training on n samples at once takes, or, where A stays as it is drawn from the lattice,
/// solving. Rises with m and with n.
DeviceMemory device_memory(Precision precision, Index m, Index n, bool training = true);

/// The widest network of n samples whose device_memory() fits into `memory`, to a tenth or so, and
/// whose int8 products are exact (mixed); 0 where none fits.
Index widest_width(double memory, Index n, Precision precision, bool training = true);

}  // namespace widedeq
