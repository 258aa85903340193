// Whether AMX can be used. Apart from its kernel, so that tests can run that without the processor.
#pragma once

namespace widedeq::cpu {

/// Whether this processor has AMX-INT8 and the operating system lets this process use it (Linux
/// grants its large registers on request).
bool has_amx();

}  // namespace widedeq::cpu
