// C += alpha (left diag r) right' and its relatives; see Backend::rank_update,
// copy_factors, follow_rank_update, add_scaled and absorb.
#pragma once

#include <span>

#include "kernels/backend.hpp"
#include "kernels/cpu/workspace.hpp"

namespace widedeq::cpu {

/// Whether these stages multiply digits, on this processor and in these shapes.
bool updates_by_digits(Precision precision, const ConstBlock& left, const ConstBlock& right);
bool follows_by_digits(Precision precision, const ConstBlock& left);

double rank_update(Block C, double alpha, ConstBlock left, std::span<const double> r,
                   ConstBlock right, Precision precision, Workspace& workspace);
void follow_rank_update(Block P, double alpha, ConstBlock left, std::span<const double> r,
                        ConstBlock right, Precision precision, Workspace& workspace);
double copy_factors(double alpha, ConstBlock left, std::span<const double> r, ConstBlock right,
                    Block left_factor, Block right_factor, Workspace& workspace);
double add_scaled(Block C, double alpha, ConstBlock G);
void absorb(Block to, Block change);

}  // namespace widedeq::cpu
