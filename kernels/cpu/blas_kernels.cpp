// See blas_kernels.hpp.
#include "kernels/blas_kernels.hpp"

#include <cblas.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace widedeq {
namespace {

/// OpenBLAS's x86 kernels without AVX2, by its dynamic_arch names.
constexpr std::array<std::string_view, 20> without_avx2{
    "Katmai", "Coppermine",  "Northwood", "Prescott",  "Banias",     "Atom",         "Core2",
    "Penryn", "Dunnington",  "Nehalem",   "Athlon",    "Opteron",    "Opteron_SSE3", "Barcelona",
    "Nano",   "Sandybridge", "Bobcat",    "Bulldozer", "Piledriver", "Steamroller"};

}  // namespace

VectorUnits vector_units() {
  VectorUnits units;
#if defined(__x86_64__)
  units.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  units.avx512 = units.avx2 && __builtin_cpu_supports("avx512f") &&
                 __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512bw") &&
                 __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
  return units;
}

std::string running_blas_kernels() {
  return openblas_get_corename();
}

std::string better_blas_kernels(const std::string& running, const VectorUnits& units) {
  if (std::ranges::find(without_avx2, running) == without_avx2.end()) return "";
  return units.avx512 ? "SkylakeX" : units.avx2 ? "Haswell" : "";
}

}  // namespace widedeq
