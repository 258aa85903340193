// The machine a run happens on, for provenance and `widedeq info`.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace widedeq {

/// "Intel(R) Xeon(R) ...", or "unknown".
std::string processor_model();

/// Those instruction sets this program has a use for that the processor has, as Linux names them.
std::vector<std::string> processor_features();

/// The cores this process may run on, at least 1; those of its places where OpenMP binds threads.
int allowed_cores();

/// The threads to use when nobody says how many: OMP_NUM_THREADS where a batch system sets it, else
/// the cores this process may run on; at least 1. The same count as coreutils' nproc.
int default_threads();

/// Gives memory that was freed back to the operating system, where the C library can: glibc keeps
/// blocks of up to 32 MB, and dozens of those are freed between training and saving.
void release_free_memory();

/// What a batch system or a container lets this process and its kin have of the memory, in bytes.
struct MemoryLimit {
  double limit = 0.0;
  double used = 0.0;   // of it, without files' pages that can be dropped
  std::string source;  // the directory of the control group
};

/// The tightest limit of this process's control groups (version 1 or 2), counted by what is left of
/// it; nothing without one. `root` stands before every path, for tests.
std::optional<MemoryLimit> memory_limit(const std::string& root = "");

/// Memory that can be had without swapping and within memory_limit(), in bytes; nothing where the
/// system does not tell.
std::optional<double> available_memory_bytes();

/// Throws Failure (usage) where memory for so many bytes plainly is not there (estimates are good
/// to a tenth): the system would end the process in the middle of its work instead of refusing.
void require_memory(double bytes, const std::string& remedy);

/// The size of the last cache before the memory, in bytes; 0 where the system does not tell.
double last_cache_bytes();

std::string host_name();

/// UTC now, "2024-05-01T12:00:00Z".
std::string timestamp();

}  // namespace widedeq
