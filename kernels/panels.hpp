// Into how many row panels a sweep divides op(A), and where they begin.
//
// Gauss-Seidel by panels needs fewer sweeps the more panels there are (4096 x 1000, gamma 0.5,
// tolerance 1e-6: 16 with one, 13 with two, 12 with four, 11 with eight), but panels of few rows
// make slow products, and every panel copies the increments once.
#pragma once

#include <algorithm>

#include "kernels/matrix_view.hpp"

namespace widedeq {

inline constexpr Index smallest_panel = 512;  // rows
inline constexpr int most_panels = 4;

/// The number of panels for width m; one means Jacobi: all rows at once.
constexpr int choose_panels(Index m) {
  return static_cast<int>(std::clamp<Index>(m / smallest_panel, 1, most_panels));
}

/// The first row of panel p; panel_start(m, panels, panels) is m. Panels start at multiples of 64
/// where there are rows enough, because that is what the library's kernels like.
constexpr Index panel_start(Index m, int panels, int p) {
  if (p >= panels) return m;
  const Index even = m * p / panels;
  return m >= 64 * panels ? even / 64 * 64 : even;
}

}  // namespace widedeq
