// The shapes to measure: "1024x256,4096x1000", "1024:8192x1000", "1024:4096:1024x256".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernels/matrix_view.hpp"

namespace widedeq::bench {

/// Width m and samples n.
struct Shape {
  Index m = 0, n = 0;

  bool operator==(const Shape&) const = default;
};

/// "1024x256"
std::string to_text(Shape shape);

/// A list of MxN separated by commas, in the order given. M and N are numbers or ranges, both ends
/// included: FIRST:LAST doubles from FIRST as long as LAST is not exceeded, FIRST:LAST:STEP adds
/// STEP. Two ranges give every pair, M outermost. Throws Failure (usage) for anything else, and for
/// more than 1000 shapes.
std::vector<Shape> parse_shapes(std::string_view text);

/// The words between commas. Throws Failure (usage) for empty ones; `option` is named in it.
std::vector<std::string> split_list(std::string_view text, const std::string& option);

}  // namespace widedeq::bench
