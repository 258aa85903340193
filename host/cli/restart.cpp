// See restart.hpp.
#include "host/cli/restart.hpp"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include "kernels/blas_kernels.hpp"

namespace widedeq {

void restart_with_better_blas(char** arguments) {
  constexpr const char* choice = "OPENBLAS_CORETYPE";
  if (std::getenv(choice) != nullptr) return;
  const std::string better = better_blas_kernels(running_blas_kernels(), vector_units());
  if (better.empty()) return;
  // The name of the file, not /proc/self/exe itself, which would become the name of the process.
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error || ::setenv(choice, better.c_str(), 1) != 0) return;
  ::execv(self.c_str(), arguments);
  ::unsetenv(choice);  // it is for the start only, and there was none
}

}  // namespace widedeq
