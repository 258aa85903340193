// What stages ask of their arguments, whatever the backend: each throws before anything is written,
// and names both shapes. Only those of more than a line; a stage makes the others itself.
#pragma once

#include <span>
#include <string>

#include "kernels/backend.hpp"

namespace widedeq {

/// Throws Unsupported where int8 products would not be exact: `why_not_mixed` is the backend's.
void expect_exact(const std::string& why_not_mixed, Precision precision, Index width);

/// Throws unless the block takes so many bytes without gaps.
void expect_bytes(const char* stage, const ConstBlock& block, std::size_t bytes);

/// Throws unless base, change and factors are A's, m x m.
void check_weights(const char* stage, const WeightView& A, Index m);

/// Throws unless the operand's width is A's, and its precision takes A's factors, if there are any.
void check_refresh(const Operand& operand, const WeightView& A);

/// Throws unless x and y have A's width.
void check_apply(const WeightView& A, std::span<const double> x, std::span<double> y);

/// Throws unless A, P and the gate fit each other, P's elements A's precision, and the columns in
/// use P's.
void check_sweep(const char* stage, const SweepState& state, const Sweep& sweep);

/// The same, and unless there is something to guess at: gains are noted, no column is open, and the
/// epilogue is not none.
void check_predict(const SweepState& state, const Sweep& sweep);

/// check_sweep(); and throws unless the precision is mixed, no column is open, and those to be
/// settled are there, each once, as many as have a digit.
void check_settle(const SweepState& state, const Sweep& sweep, const SettledColumns& columns);

/// Throws unless r has an entry for each column of `left`.
void expect_entries(const char* stage, std::span<const double> r, const ConstBlock& left);

/// Whether A's masters are doubles; they are floats otherwise. A bare lattice has neither.
bool has_doubles(const WeightView& A);

}  // namespace widedeq
