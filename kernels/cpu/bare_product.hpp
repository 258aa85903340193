// The libraries' own products, to measure against; see Backend::bare_product.
#pragma once

#include "kernels/backend.hpp"

namespace widedeq::cpu {

BareProduct bare_product(Backend& backend, Precision precision, Index m, Index n);

}  // namespace widedeq::cpu
