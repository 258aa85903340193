// Linux, with harmless answers elsewhere.
#include "host/run/machine.hpp"

#include <fmt/chrono.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__GLIBC__)
#include <malloc.h>
#endif

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

int default_threads() {
  int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
#if defined(__linux__)
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) cores = std::max(1, CPU_COUNT(&allowed));
#endif
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

std::optional<double> available_memory_bytes() {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    double kibibytes = 0.0;
    if (line.starts_with("MemAvailable:") && std::istringstream(line.substr(13)) >> kibibytes)
      return 1024.0 * kibibytes;
  }
  return std::nullopt;
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
