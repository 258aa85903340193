// What has to be the same for a resumed run to go on with the same bits.
#pragma once

#include <vector>

#include "host/run/record.hpp"

namespace widedeq {

/// The program (XXH3 of its file, version, commit), the processor, the backend with its libraries
/// and threads, the C library, and the data's checksum.
Json identity(const RunFacts& facts);

/// The entries that differ between two objects.
std::vector<Change> changes_between(const Json& before, const Json& now);

/// "threads (2, now 4), backend": long values are left out.
std::string describe(const std::vector<Change>& changes);

}  // namespace widedeq
