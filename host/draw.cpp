// The law of A once more, column by column on the host; see draw.hpp.
#include "host/draw.hpp"

#include <algorithm>

#include "kernels/random.hpp"

namespace widedeq {

void draw_column(const Draw& draw, Index column, std::span<double> out) {
  static const LatticeLaw law;
  for (std::size_t row = 0; row < out.size(); row += 4) {
    const auto quad = static_cast<Index>(row / 4);
    std::array<double, 4> four{};
    if (draw.law == WeightLaw::gaussian) {
      four = standard_normals(draw.seed, Tensor::A, quad, column);
    } else {
      const auto words = philox_words(draw.seed, Tensor::A, quad, column);
      std::ranges::transform(words, four.begin(),
                             [](std::uint32_t word) { return LatticeLaw::step * law(word); });
    }
    std::copy_n(four.begin(), std::min<std::size_t>(4, out.size() - row),
                out.begin() + static_cast<std::ptrdiff_t>(row));
  }
}

}  // namespace widedeq
