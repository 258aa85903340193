// What a training run will need, told before it is started: `train --dry-run`.
//
// Memory and disk follow from the shapes, as the backend and the trainer allocate them. Work is
// counted in products of m x m times m x n, whose number depends on how fast the solves converge;
// time is that work at the speed this machine has just shown. Both are estimates: memory to about a
// tenth, time to a factor of two from a width of 512 on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host/run/config.hpp"

namespace widedeq {

enum class WeightSource : std::uint8_t { lattice, gaussian, file };

/// The numbers that decide. Everything is resolved: no zeros that mean a choice, but for `chunk`.
struct Workload {
  Index width = 0, samples = 0, inputs = 0;
  Index test_samples = 0;  // held out
  int test_every = 1;
  Precision precision = Precision::fp64;
  Index chunk = 0;  // samples at a time; 0: as Trainer chooses
  bool is_flow = false;
  Index batch = 0;  // samples of a batch; 0: all of them
  bool warm_start = true;
  int audit_every = TrainerOptions().audit_every;
  int epochs = 0;
  int gram_every = 0;
  bool automatic_rate = true;  // the first Gram is wanted whatever gram_every says
  int checkpoints = 0;         // on the disk at once, but for a new one; 0: none are written
  WeightSource weights = WeightSource::lattice;
  double gamma = 0.5;
  double tolerance = 1e-6;
  Injection injection = Injection::relu;
};

/// The workload of a resolved configuration whose precision and width are known. `checkpoints` is
/// left at 0.
Workload workload_of(const TrainConfig& config, Index samples, Index inputs);

/// One line of a table: what, and how many bytes.
struct Share {
  std::string name;
  double bytes = 0.0;
};

/// The host's memory, and a device's where matrices are there.
struct MemoryEstimate {
  std::vector<Share> training;         // what is there at once, at the most
  double loading = 0.0, saving = 0.0;  // bytes at most, before and after training
  std::vector<Share> device;           // at once, at the most; empty without one
  double peak() const;                 // bytes of the host's at most, of the whole run
};

double total(const std::vector<Share>& shares);

/// Additions and multiplications. `later` is a mean epoch but for the first. Of a flow it is taken
/// that one step makes an epoch: at `--learning-rate auto` and the default tolerance, as measured,
/// it does. Epochs in batches that look at all samples, for Grams, are told with the Grams.
struct WorkEstimate {
  Operations first, later, all;  // of the solves, the update and the audits
  Operations gram;               // of one Gram and its eigenvalues
  int grams = 0;
  double first_bytes = 0.0, later_bytes = 0.0;  // moved by an epoch beside its products
  double gram_bytes = 0.0;
};

/// What the machine does in a second.
struct Speed {
  double fp64 = 0.0, fp32 = 0.0, int8 = 0.0;  // operations; 0: not measured
  double bytes = 0.0;                         // read and written
};

struct TimeEstimate {
  double first = 0.0, later = 0.0, gram = 0.0;  // seconds, of an epoch and of a Gram
  double all = 0.0;
};

/// The formulas, one by one. No allocation, no measurement; n and m may be as large as they like.
/// `on_device`: matrices are on a device with memory of its own.
MemoryEstimate estimate_memory(const Workload& work, bool on_device = false);
WorkEstimate estimate_work(const Workload& work);
std::vector<Share> estimate_disk(const Workload& work);
TimeEstimate estimate_time(const Workload& work, const WorkEstimate& operations,
                           const Speed& speed);

/// Measures products of a size like the workload's, at most 2048 x 512, and a copy, for about
/// `seconds`. Memory: up to 150 MB for a moment.
Speed measure_speed(Backend& backend, const Workload& work, double seconds = 0.6);

struct Estimate {
  Workload work;
  MemoryEstimate memory;
  WorkEstimate operations;
  std::vector<Share> disk;
  Speed speed;
  TimeEstimate time;
  std::optional<double> memory_available, device_available, disk_available;  // bytes
  std::string unsupported;  // why the backend cannot do it at all; empty when it can
};

/// All of it. `out` is where the run would go: its nearest directory that is there is asked for
/// free space; empty: none is. Nothing is made or written.
Estimate estimate(Backend& backend, const Workload& work, const std::string& out);

/// Whether the run fits the memory and the disk, as far as the system tells, and the backend.
bool fits(const Estimate& estimate);

/// The table, with a sentence for everything that is too small. Ends with a newline.
std::string format_estimate(const Estimate& estimate);

/// "1.23 GB", "45.6 MB", "789 B": decimal units, three digits.
std::string format_bytes(double bytes);

/// "1.23 Gflop", three digits.
std::string format_operations(double count);

/// "1.2 ms", "123 ms", "12.3 s", and minutes beyond as format_duration().
std::string format_seconds(double seconds);

/// Bytes free where `out` is or would be made; nothing where the system does not tell, or for "".
std::optional<double> free_space(const std::string& out);

}  // namespace widedeq
