// Where inputs enter and predictions leave; see Backend::inject, readout and backward_injection.
#pragma once

#include <vector>

#include "kernels/backend.hpp"
#include "kernels/cuda/context.hpp"

namespace widedeq::cuda {

void inject(Context& context, ConstBlock W, ConstBlock X, Injection injection, Sums sums,
            Block Phi);
std::vector<double> readout(Context& context, ConstBlock u, ConstBlock Z, ConstBlock v,
                            ConstBlock Phi);
void backward_injection(Context& context, ConstBlock L, ConstBlock v, ConstBlock Phi,
                        Injection injection, Block B);

}  // namespace widedeq::cuda
