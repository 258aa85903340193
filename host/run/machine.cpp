// Linux, with harmless answers elsewhere.
#include "host/run/machine.hpp"

#include <fmt/chrono.h>
#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "host/failure.hpp"
#include "host/run/estimate.hpp"

namespace widedeq {
namespace {

/// What /proc/cpuinfo says of the first processor under `name`; "" when it does not.
std::string cpuinfo(const std::string& name) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with(name) && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "";
}

/// The number after `name` at the start of a line of the file; 0 when there is none.
double number_after(const std::string& path, const std::string& name) {
  std::ifstream file(path);
  double number = 0.0;
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name) && std::istringstream(line.substr(name.size())) >> number)
      return number;
  return 0.0;
}

/// Nothing when the file does not begin with a number ("max", for instance).
std::optional<double> first_number(const std::string& path) {
  std::ifstream file(path);
  double number = 0.0;
  return file >> number ? std::optional(number) : std::nullopt;
}

/// A control group that may limit memory. Source: Linux, Documentation/admin-guide, cgroup-v1 and
/// cgroup-v2.
struct ControlGroup {
  std::string directory;
  const char* limit_file;
  const char* usage_file;
  const char* file_pages;  // in memory.stat
};

/// Version 1 writes a number near 2^63 where there is no limit.
constexpr double no_limit = 1e18;

/// Where control groups of that kind are mounted: `type` cgroup2, or cgroup with the controller
/// memory; "" for nowhere.
std::string mount_point(const std::string& root, const std::string& type) {
  std::ifstream file(root + "/proc/self/mounts");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string device, place, kind, options;
    words >> device >> place >> kind >> options;
    options.insert(0, ",").append(",");
    const bool serves = type == "cgroup2" || options.find(",memory,") != options.npos;
    if (kind == type && serves) return place;
  }
  return "";
}

/// This process's groups and all above them: the limit of each counts.
std::vector<ControlGroup> memory_groups(const std::string& root) {
  std::vector<ControlGroup> groups;
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // "4:cpu,memory:/path", "0::/path"
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == line.npos || second == line.npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool is_second = line.starts_with("0::");
    if (!is_second && controllers.find(",memory,") == controllers.npos) continue;
    const std::string place = mount_point(root, is_second ? "cgroup2" : "cgroup");
    if (place.empty()) continue;
    for (std::string path = line.substr(second + 1);; path.resize(path.rfind('/'))) {
      while (path.ends_with('/'))
        path.pop_back();
      std::string directory = root;
      directory.append(place).append(path);
      if (is_second) {
        groups.push_back({directory, "/memory.max", "/memory.current", "inactive_file "});
      } else {
        groups.push_back({directory, "/memory.limit_in_bytes", "/memory.usage_in_bytes",
                          "total_inactive_file "});
      }
      if (path.empty()) break;
    }
  }
  return groups;
}

}  // namespace

std::string processor_model() {
  const std::string model = cpuinfo("model name");
  return model.empty() ? "unknown" : model;
}

std::vector<std::string> processor_features() {
  static constexpr std::array wanted{"avx2",     "fma",         "avx_vnni",
                                     "avx512f",  "avx512_vnni", "avx512_bf16",
                                     "amx_tile", "amx_int8",    "amx_bf16"};
  std::istringstream flags(cpuinfo("flags"));
  std::vector<std::string> features;
  for (std::string flag; flags >> flag;)
    if (std::find(wanted.begin(), wanted.end(), flag) != wanted.end()) features.push_back(flag);
  return features;
}

int allowed_cores() {
  // Asked of OpenMP: where it binds threads (OMP_PROC_BIND), this one has been bound to a single
  // core before main() began, which is all the system would tell of.
  return std::max(1, omp_get_num_procs());
}

int default_threads() {
  const int cores = allowed_cores();
  // The variable may be a list or nonsense; more threads than cores only get in each other's way.
  const char* wanted = std::getenv("OMP_NUM_THREADS");
  const long threads = wanted == nullptr ? 0 : std::strtol(wanted, nullptr, 10);
  return threads > 0 ? static_cast<int>(std::min<long>(threads, cores)) : cores;
}

void release_free_memory() {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

std::optional<MemoryLimit> memory_limit(const std::string& root) {
  std::optional<MemoryLimit> tightest;
  for (const ControlGroup& group : memory_groups(root)) {
    const auto limit = first_number(group.directory + group.limit_file);
    if (!limit || *limit > no_limit) continue;
    const double used = first_number(group.directory + group.usage_file).value_or(0.0) -
                        number_after(group.directory + "/memory.stat", group.file_pages);
    if (!tightest || *limit - used < tightest->limit - tightest->used)
      tightest = {*limit, std::max(0.0, used), group.directory};
  }
  return tightest;
}

std::optional<double> available_memory_bytes() {
  const double kibibytes = number_after("/proc/meminfo", "MemAvailable:");
  if (kibibytes == 0.0) return std::nullopt;
  const double available = 1024.0 * kibibytes;
  const auto limit = memory_limit();
  return limit ? std::clamp(limit->limit - limit->used, 0.0, available) : available;
}

void require_memory(double bytes, const std::string& remedy) {
  constexpr double estimates_error = 1.1;
  const auto available = available_memory_bytes();
  if (available && bytes > estimates_error * *available)
    throw Failure(ExitCode::usage,
                  fmt::format("{} of memory needed, {} available", format_bytes(bytes),
                              format_bytes(*available)),
                  "memory", remedy);
}

double last_cache_bytes() {
#if defined(_SC_LEVEL3_CACHE_SIZE)
  return static_cast<double>(
      std::max(0L, std::max(::sysconf(_SC_LEVEL3_CACHE_SIZE), ::sysconf(_SC_LEVEL2_CACHE_SIZE))));
#else
  return 0.0;
#endif
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

std::string timestamp() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
}

}  // namespace widedeq
