// See restart.hpp.
#include "host/cli/restart.hpp"

#include <omp.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "kernels/blas_kernels.hpp"

namespace widedeq {

namespace {

/// Lets this thread run wherever the process may: where OpenMP binds threads (OMP_PROC_BIND), it
/// was bound to the first place at the start, which would be all that the program started anew
/// knows of.
void unbind() {
  cpu_set_t all;
  CPU_ZERO(&all);
  const int places = omp_get_num_places();
  for (int place = 0; place < places; ++place) {
    std::vector<int> cores(static_cast<std::size_t>(omp_get_place_num_procs(place)));
    omp_get_place_proc_ids(place, cores.data());
    for (const int core : cores)
      CPU_SET(static_cast<std::size_t>(core), &all);
  }
  if (places > 0) sched_setaffinity(0, sizeof all, &all);
}

}  // namespace

void restart_with_better_blas(char** arguments) {
  constexpr const char* choice = "OPENBLAS_CORETYPE";
  if (std::getenv(choice) != nullptr) return;
  const std::string better = better_blas_kernels(running_blas_kernels(), vector_units());
  if (better.empty()) return;
  // The name of the file, not /proc/self/exe itself, which would become the name of the process.
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error || ::setenv(choice, better.c_str(), 1) != 0) return;
  unbind();
  ::execv(self.c_str(), arguments);
  ::unsetenv(choice);  // it is for the start only, and there was none
}

}  // namespace widedeq
