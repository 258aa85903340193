// The compiler's intrinsics with tiles on the host; see ../tiles.hpp.
#pragma GCC system_header  // for #include_next
#include_next <immintrin.h>

#include "tests/amx_on_host/tiles.hpp"

#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbsud
#define _tile_loadconfig(config) ::amx_on_host::load_config(config)
#define _tile_release() ::amx_on_host::release()
#define _tile_loadd(tile, base, stride) ::amx_on_host::load(tile, base, stride)
#define _tile_stored(tile, base, stride) ::amx_on_host::store(tile, base, stride)
#define _tile_dpbsud(sums, a, b) ::amx_on_host::multiply_signed_unsigned(sums, a, b)
