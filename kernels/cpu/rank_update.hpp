// C += alpha (left diag r) right' and its relatives; see Backend::rank_update,
// copy_factors, follow_rank_update and add_scaled.
#pragma once

#include <span>

#include "kernels/backend.hpp"
#include "kernels/cpu/workspace.hpp"

namespace widedeq::cpu {

double rank_update(Block C, double alpha, ConstBlock left, std::span<const double> r,
                   ConstBlock right, Workspace& workspace);
void follow_rank_update(Block P, double alpha, ConstBlock left, std::span<const double> r,
                        ConstBlock right, Workspace& workspace);
double copy_factors(double alpha, ConstBlock left, std::span<const double> r, ConstBlock right,
                    Block left_factor, Block right_factor, Workspace& workspace);
double add_scaled(Block C, double alpha, ConstBlock G);

}  // namespace widedeq::cpu
