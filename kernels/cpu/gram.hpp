// The empirical NTK and the feature Gram; see Backend::gram.
#pragma once

#include "kernels/backend.hpp"

namespace widedeq::cpu {

void gram(const GramInput& input, Grams& out);

}  // namespace widedeq::cpu
