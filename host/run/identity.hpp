// What has to be the same for a resumed run to go on with the same bits.
#pragma once

#include <vector>

#include "host/run/record.hpp"

namespace widedeq {

/// The program (XXH3 of its file, version, commit), the processor, the device as its backend
/// describes it, with threads, the libraries, one by one, the number of samples, and the checksums
/// of data and of a weights file. No name but "data" is a setting's.
Json identity(const RunFacts& facts);

/// The entries that differ between two objects.
std::vector<Change> changes_between(const Json& before, const Json& now);

/// "threads (2, now 4), backend": long values are left out.
std::string describe(const std::vector<Change>& changes);

}  // namespace widedeq
