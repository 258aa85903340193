// The words of refusals; see stage_checks.hpp.
#include "kernels/stage_checks.hpp"

#include <algorithm>
#include <functional>
#include <vector>

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

void check_weights(const char* stage, const WeightView& A, Index m) {
  expect_shape(stage, "base", A.base, m, m);
  if (!A.change.empty()) expect_shape(stage, "change", A.change, m, m);
  if (!A.left.empty()) expect_shape(stage, "left", A.left, m, A.left.columns);
  expect_shape(stage, "right", A.right, A.left.rows, A.left.columns);
}

void check_refresh(const Operand& operand, const WeightView& A) {
  check_weights("refresh", A, operand.width);
  if (operand.precision != Precision::mixed && !A.left.empty())
    throw ShapeError("refresh: dense operands take no factors; here are " + shape(A.left));
}

void check_apply(const WeightView& A, std::span<const double> x, std::span<double> y) {
  const auto m = static_cast<std::size_t>(A.width());
  if (x.size() != m || y.size() != m)
    throw ShapeError("apply: A is " + shape(A.base) + ", x has " + std::to_string(x.size()) +
                     " entries and y " + std::to_string(y.size()));
  check_weights("apply", A, A.width());
}

void check_sweep(const char* stage, const SweepState& state, const Sweep& sweep) {
  const Index m = state.P.rows();
  if (sweep.A.width != m)
    throw ShapeError(std::string(stage) + ": A is " + std::to_string(sweep.A.width) + " x " +
                     std::to_string(sweep.A.width) + ", P is " + shape(state.P.block()));
  if (state.count < 0 || state.count > state.P.columns())
    throw ShapeError(std::string(stage) + ": " + std::to_string(state.count) +
                     " columns are in use, P is " + shape(state.P.block()));
  if (state.P.element() != real_of(sweep.A.precision))
    throw_wrong_element(state.P.element(), real_of(sweep.A.precision));
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
  if (sweep.A.precision != Precision::mixed)
    throw ShapeError("settle: a dense operand has no plane to settle");
  if (state.open_count != 0) throw ShapeError("settle: columns are still open");
  const auto is_there = [&](Index j) { return 0 <= j && j < state.count; };
  const auto listed = static_cast<Index>(columns.order.size());
  if (listed > state.count || !std::ranges::all_of(columns.order, is_there))
    throw ShapeError("settle: " + std::to_string(listed) + " columns are chosen of " +
                     std::to_string(state.count));
  std::vector<bool> chosen(static_cast<std::size_t>(state.count));
  for (const Index j : columns.order) {
    if (chosen[static_cast<std::size_t>(j)])
      throw ShapeError("settle: column " + std::to_string(j) + " is chosen twice");
    chosen[static_cast<std::size_t>(j)] = true;
  }
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
