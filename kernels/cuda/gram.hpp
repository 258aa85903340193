// The empirical NTK and the feature Gram on a device; see Backend::gram.
#pragma once

#include "kernels/backend.hpp"
#include "kernels/cuda/context.hpp"

namespace widedeq::cuda {

void gram(Context& context, const GramInput& input, Grams& out);

}  // namespace widedeq::cuda
