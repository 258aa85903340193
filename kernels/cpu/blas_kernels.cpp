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

/// And those with AVX2 and no more.
constexpr std::array<std::string_view, 3> without_avx512{"Haswell", "Zen", "Excavator"};

bool is_among(std::string_view name, const auto& names) {
  return std::ranges::find(names, name) != names.end();
}

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
  const bool is_old = is_among(running, without_avx2);
  if (units.avx512 && (is_old || is_among(running, without_avx512))) return "SkylakeX";
  return units.avx2 && is_old ? "Haswell" : "";
}

}  // namespace widedeq
