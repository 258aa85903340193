// See has_amx.hpp.
#include "kernels/cpu/has_amx.hpp"

#if defined(__x86_64__) && defined(__linux__)

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

bool widedeq::cpu::has_amx() {
  constexpr long request_permission = 0x1023;    // ARCH_REQ_XCOMP_PERM
  constexpr long tile_data = 18;                 // XFEATURE_XTILEDATA
  constexpr unsigned tile_and_int8 = 3U << 24U;  // CPUID 7, EDX
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 &&
         (edx & tile_and_int8) == tile_and_int8 &&
         syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

#else

bool widedeq::cpu::has_amx() {
  return false;
}

#endif
