// Where inputs enter and predictions leave; see Backend::inject, readout and backward_injection.
#pragma once

#include <vector>

#include "kernels/backend.hpp"

namespace widedeq::cpu {

void inject(ConstBlock W, ConstBlock X, Injection injection, Sums sums, Block Phi);
std::vector<double> readout(ConstBlock u, ConstBlock Z, ConstBlock v, ConstBlock Phi);
void backward_injection(ConstBlock L, ConstBlock v, ConstBlock Phi, Injection injection, Block B);

}  // namespace widedeq::cpu
