// C += alpha (left diag r) right' and its relatives; see Backend::rank_update, copy_factors,
// follow_rank_update, add_scaled and absorb.
#pragma once

#include <span>

#include "kernels/backend.hpp"
#include "kernels/cuda/context.hpp"

namespace widedeq::cuda {

double rank_update(Context& context, Block C, double alpha, ConstBlock left,
                   std::span<const double> r, ConstBlock right, Precision precision);
void follow_rank_update(Context& context, Block P, double alpha, ConstBlock left,
                        std::span<const double> r, ConstBlock right, Precision precision);
double copy_factors(Context& context, double alpha, ConstBlock left, std::span<const double> r,
                    ConstBlock right, Block left_factor, Block right_factor);
double add_scaled(Context& context, Block C, double alpha, ConstBlock G);
void absorb(Context& context, Block to, Block change);

}  // namespace widedeq::cuda
