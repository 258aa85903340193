// Filling matrices from counters: four rows a counter, columns in parallel; see generate.hpp.
#include "kernels/cpu/generate.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace widedeq::cpu {
namespace {

/// out(4 q + k, j) = draw(q, j)[k]
template <class T, class Draw>
void generate(MatrixView<T> out, Draw draw) {
#pragma omp parallel for schedule(static)
  for (Index j = 0; j < out.columns; ++j) {
    T* column = out.column(j);
    for (Index row = 0; row < out.rows; row += 4) {
      const auto four = draw(row / 4, j);
      const Index count = std::min<Index>(4, out.rows - row);
      for (Index k = 0; k < count; ++k)
        column[row + k] = static_cast<T>(four[static_cast<std::size_t>(k)]);
    }
  }
}

template <class Real>
Split split_as(MatrixView<Real> change, MatrixView<std::int8_t> base) {
  double largest = 0.0;
  bool finite = true;
#pragma omp parallel for schedule(static) reduction(max : largest) reduction(&& : finite)
  for (Index j = 0; j < change.columns; ++j) {
    for (Index i = 0; i < change.rows; ++i) {
      const double size = std::abs(static_cast<double>(change(i, j)));
      finite = finite && std::isfinite(size);
      largest = std::max(largest, size);
    }
  }
  if (!finite) throw std::domain_error("the weights hold a NaN or an infinity");

  const auto step = static_cast<double>(int8_scale(static_cast<float>(largest)));
  bool exact = true;
#pragma omp parallel for schedule(static) reduction(&& : exact)
  for (Index j = 0; j < change.columns; ++j) {
    for (Index i = 0; i < change.rows; ++i) {
      const Real digit = int8_round(change(i, j), static_cast<Real>(1.0 / step));
      base(i, j) = static_cast<std::int8_t>(digit);
      change(i, j) -=
          static_cast<Real>(step) * digit;  // without error: a multiple of the entry's last bit
      exact = exact && change(i, j) == Real(0);
    }
  }
  return {step, exact};
}

}  // namespace

void generate_lattice(Block out, std::uint64_t seed, Tensor tensor) {
  static const LatticeLaw law;
  generate(out.as<std::int8_t>(), [=](Index quad, Index column) {
    const auto words = philox_words(seed, tensor, quad, column);
    return std::array<std::int8_t, 4>{law(words[0]), law(words[1]), law(words[2]), law(words[3])};
  });
}

void generate_gaussian(Block out, std::uint64_t seed, Tensor tensor) {
  const auto draw = [=](Index quad, Index column) {
    return standard_normals(seed, tensor, quad, column);
  };
  if (out.element == Element::float64) {
    generate(out.as<double>(), draw);
  } else {
    generate(out.as<float>(), draw);
  }
}

Split split(Block change, Block base) {
  expect_shape("split", "base", base, change.rows, change.columns);
  const auto integers = base.as<std::int8_t>();
  if (change.element == Element::float64) return split_as(change.as<double>(), integers);
  return split_as(change.as<float>(), integers);
}

}  // namespace widedeq::cpu
