// The libraries' own products, to measure against; see Backend::bare_product.
#pragma once

#include "kernels/backend.hpp"
#include "kernels/cuda/context.hpp"

namespace widedeq::cuda {

BareProduct bare_product(Backend& backend, Context& context, Precision precision, Index m, Index n);

}  // namespace widedeq::cuda
