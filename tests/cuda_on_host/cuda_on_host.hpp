// CUDA without a GPU: a stand-in for the toolkit, for tests of kernels/cuda on any machine.
//
// The .cu files are compiled as C++ with include/ before the toolkit's folder. There, names like
// cudaLaunchKernelEx and cublasLtMatmul are declared as NVIDIA declares them, and here is what they
// do:
//
//   block.cpp    runs a kernel: blocks one after another, the threads of a block as fibers that
//                switch at barriers. Whoever may run next is drawn at random, from a fixed seed.
//   stream.cpp   streams are queues: what is enqueued runs when the host waits for it, not before.
//   memory.cpp   device and pinned memory, filled with garbage (NaN) when new and when freed;
//                device_memory.cpp closes the device's to the host's code.
//   graph.cpp    stream capture, conditional nodes.
//   blas.cpp, blas_lt.cpp, solver.cpp   the libraries, by the CPU's; blas_lt.cpp refuses what
//                cuBLASLt has no int8 kernel for.
//   include/kernels/cuda/device.cuh     warp instructions and asynchronous copies, by what they
//                mean.
//
// What it shows: wrong results whatever their cause; a missing or superfluous __syncthreads()
// (other threads' values are not there yet: the order differs from phase to phase); threads that
// wait for others in vain; a missing synchronisation of the host, which then reads what was there
// before; memory that is used before it is written, or beyond its end (with AddressSanitizer);
// addresses of vector loads (with UndefinedBehaviorSanitizer); what capture into a graph forbids;
// what the libraries do not take.
//
// What it cannot show: races between blocks, or within a warp that hardware would run in step; how
// fast anything is; whether PTX says what device.cuh claims; rounding of the libraries and of
// fused multiply-adds; a kernel that follows a pointer into the host's memory, which works here;
// static shared memory that a block finds as the one before left it.
//
// Everything runs under one lock, so two host threads may use it at once.
#pragma once

#include <cstddef>

namespace cuda_on_host {

/// What the machine looks like; changes hold for calls that follow.
struct Settings {
  int devices = 1;
  int driver_version = 13000;  // 0: no driver
  std::size_t memory = std::size_t{8} << 30;
  bool conditional_graphs = true;  // false: calls of graphs return cudaErrorNotSupported
  bool int8_products = true;       // false: cuBLASLt finds no kernel
  int recommendations = 1;         // kernels that it finds; of several, the first does not run
  int major = 9, minor = 0;        // compute capability
  int shared_memory = 227 << 10;   // that a block can have, at most
};
Settings settings();
void set_settings(const Settings& settings);

/// What has been done so far in this process.
struct Counters {
  long synchronizations = 0;  // cudaStreamSynchronize, cudaEventSynchronize
  long launches = 0;          // kernels run, those in graphs each time
  long library_calls = 0;     // products and the like run, those in graphs each time
  long graph_launches = 0;
  long pageable_copies = 0;   // copies from or to memory that is not pinned: the host waits
  std::size_t allocated = 0;  // bytes of device memory in use
  std::size_t most_allocated = 0;
};
Counters counters();

}  // namespace cuda_on_host
