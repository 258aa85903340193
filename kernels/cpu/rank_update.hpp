// C += alpha (left diag r) right' and its relatives; see Backend::rank_update,
// copy_factors, follow_rank_update, add_scaled and absorb.
#pragma once

#include <span>

#include "kernels/backend.hpp"
#include "kernels/cpu/workspace.hpp"

namespace widedeq::cpu {

/// Whether an update of a matrix with b columns multiplies digits, on this processor.
bool goes_by_digits(Precision precision, const ConstBlock& left, Index b);

double rank_update(Block C, double alpha, ConstBlock left, std::span<const double> r,
                   ConstBlock right, Precision precision, Workspace& workspace);
void follow_rank_update(Block P, double alpha, ConstBlock left, std::span<const double> r,
                        ConstBlock right, Precision precision, Workspace& workspace);
double copy_factors(double alpha, ConstBlock left, std::span<const double> r, ConstBlock right,
                    Block left_factor, Block right_factor, Workspace& workspace);
double add_scaled(Block C, double alpha, ConstBlock G);
void absorb(Block to, Block change);

}  // namespace widedeq::cpu
