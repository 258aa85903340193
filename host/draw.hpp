// How the recurrent weights of a new network are drawn, and how to draw them once more.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/matrix_view.hpp"

namespace widedeq {

/// How the entries of A are drawn.
enum class WeightLaw : std::uint8_t {
  lattice,   ///< round(32 N(0,1)) clipped to +-127, over 32: exact in int8 (LatticeLaw)
  gaussian,  ///< N(0,1)
};

/// A(0) was drawn by `law` from (seed, Tensor::A).
struct Draw {
  WeightLaw law = WeightLaw::lattice;
  std::uint64_t seed = 0;
};

/// Column `column` of A(0), out.size() = m rows, in double: before a backend rounds it to its
/// element type.
void draw_column(const Draw& draw, Index column, std::span<double> out);

}  // namespace widedeq
