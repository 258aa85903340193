// What a study measures of every cell, in one table.
#pragma once

#include <optional>
#include <span>

#include "host/study/cell_data.hpp"

namespace widedeq {

/// What theory says of the exponent of a quantity in the width.
struct ExpectedExponent {
  double value = 0.0;
  bool at_most = false;  // a bound from above
};

/// One quantity: how it is called, what theory says, and how a cell's run tells it.
struct QuantityKind {
  const char* name;     // "error_state", in files
  const char* label;    // "relative error of Z'Z", for people
  const char* formula;  // "||Z'Z - K||_F / ||K||_F"
  std::optional<ExpectedExponent> expected;
  /// Nothing where the run does not tell it.
  std::optional<double> (*measure)(const CellData&);
  /// At infinite width, for a cell's data; null where nobody knows, nothing where it is not known
  /// of this cell.
  std::optional<double> (*limit)(const CellData&);
};

/// All of them, in the order in which tables show them.
std::span<const QuantityKind> quantity_kinds();

/// The learning rate, for runs whose epochs are steps of gradient descent or of the flow with all
/// samples: where the theory's rates apply. Nothing for others, and where it was halved on the way
/// or the run was resumed with another one.
std::optional<double> constant_rate(const RunData& run);

/// -log of the factor by which theory lets an epoch multiply the loss at least: 2 eta lambda for
/// the flow, -2 log(1 - eta lambda) for descent with eta lambda < 1.
double guaranteed_rate(const RunData& run, double eta, double lambda);

}  // namespace widedeq
