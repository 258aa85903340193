// The words of refusals; see stage_checks.hpp.
#include "kernels/stage_checks.hpp"

#include <algorithm>
#include <functional>

namespace widedeq {

void expect_exact(const std::string& why_not_mixed, Precision precision, Index width) {
  if (precision != Precision::mixed) return;
  if (!why_not_mixed.empty()) throw Unsupported(why_not_mixed + "; use --precision fp32");
  if (width > widest_exact)
    throw Unsupported("int8 products are exact up to width " + std::to_string(widest_exact) +
                      "; use --precision fp32");
}

void expect_bytes(const char* stage, const ConstBlock& block, std::size_t bytes) {
  if (bytes != column_bytes(block) * static_cast<std::size_t>(block.columns))
    throw ShapeError(std::string(stage) + ": " + std::to_string(bytes) +
                     " bytes for a block that is " + shape(block));
}

void check_refresh(const Operand& operand, const WeightView& A) {
  expect_shape("refresh", "base", A.base, operand.width, operand.width);
  if (!A.change.empty()) expect_shape("refresh", "change", A.change, operand.width, operand.width);
  expect_shape("refresh", "right", A.right, A.left.rows, A.left.columns);
  if (operand.precision != Precision::mixed && !A.left.empty())
    throw ShapeError("refresh: dense operands take no factors; here are " + shape(A.left));
}

void check_apply(const WeightView& A, std::span<const double> x, std::span<double> y) {
  const auto m = static_cast<std::size_t>(A.width());
  if (x.size() != m || y.size() != m)
    throw ShapeError("apply: A is " + shape(A.base) + ", x has " + std::to_string(x.size()) +
                     " entries and y " + std::to_string(y.size()));
}

void check_sweep(const char* stage, const SweepState& state, const Sweep& sweep) {
  const Index m = state.P.rows();
  if (sweep.A.width != m)
    throw ShapeError(std::string(stage) + ": A is " + std::to_string(sweep.A.width) + " x " +
                     std::to_string(sweep.A.width) + ", P is " + shape(state.P.block()));
  if (sweep.epilogue == Epilogue::mask) expect_shape(stage, "gate", sweep.gate, m, state.count);
}

void check_predict(const SweepState& state, const Sweep& sweep) {
  check_sweep("predict", state, sweep);
  for (const Gains* gains : {&state.gained, &state.gained_before}) {
    expect_shape("predict", "what P gains", gains->P.block(), state.P.rows(), state.P.columns());
    if (sweep.A.precision == Precision::mixed)
      expect_shape("predict", "what Zhat gains", gains->Z.block(), state.P.rows(),
                   state.P.columns());
  }
  if (sweep.epilogue == Epilogue::none)
    throw ShapeError("predict: a linear iteration makes no increments to guess");
  if (state.open_count != 0) throw ShapeError("predict: columns are still open");
}

void check_settle(const SweepState& state, const Sweep& sweep, const SettledColumns& columns) {
  check_sweep("settle", state, sweep);
  if (state.open_count != 0) throw ShapeError("settle: columns are still open");
  const auto is_there = [&](Index j) { return 0 <= j && j < state.count; };
  const auto listed = static_cast<Index>(columns.order.size());
  if (listed > state.count || !std::ranges::all_of(columns.order, is_there))
    throw ShapeError("settle: " + std::to_string(listed) + " columns are chosen of " +
                     std::to_string(state.count));
  if (listed != columns.size() || !std::ranges::is_sorted(columns.count, std::greater<>()))
    throw ShapeError("settle: " + std::to_string(listed) + " columns are chosen, " +
                     std::to_string(columns.size()) + " have a digit");
}

void expect_entries(const char* stage, std::span<const double> r, const ConstBlock& left) {
  if (static_cast<Index>(r.size()) != left.columns)
    throw ShapeError(std::string(stage) + ": r has " + std::to_string(r.size()) +
                     " entries, left is " + shape(left));
}

bool has_doubles(const WeightView& A) {
  return (!A.change.empty() && A.change.element == Element::float64) ||
         (!A.left.empty() && A.left.element == Element::float64);
}

}  // namespace widedeq
