// Filling matrices from counters, four rows a counter, and splitting given ones; see generate.hpp.
//
// The lattice law's integers are the CPU's bit for bit: a draw is compared with the same 254 words.
// Normal draws are made by the CPU's formula in double, and may differ from the CPU's by what the
// two libraries' logarithms and cosines differ in their last bits.
#include "kernels/cuda/generate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/vectors.hpp"

namespace widedeq::cuda {
namespace {

/// What LatticeLaw draws by, handed to a kernel as an argument.
struct LatticeLimits {
  static constexpr int count = 2 * LatticeLaw::largest;
  std::uint32_t upper[count];  // upper[k + 127]: the smallest word that yields more than k
};

LatticeLimits limits_of(const LatticeLaw& law) {
  LatticeLimits limits;
  std::ranges::copy(law.upper_limits(), limits.upper);
  return limits;
}

/// -127 plus the number of limits that are not above the word, found by bisection.
__device__ int lattice_draw(const std::uint32_t* upper, std::uint32_t word) {
  int below = 0, above = LatticeLimits::count;  // all before `below` are not above the word
  while (below < above) {
    const int middle = (below + above) / 2;
    if (upper[middle] <= word) {
      below = middle + 1;
    } else {
      above = middle;
    }
  }
  return below - LatticeLaw::largest;
}

/// column[4 quad ...] = four values, or as many as there are rows.
template <int width, class T, class Value>
__device__ void store_quad(T* column, Index quad, Index rows, const Value (&four)[4]) {
  const Index row = 4 * quad;
  if (row + 4 <= rows) {
    for (int first = 0; first < 4; first += width) {
      Pack<T, width> pack;
      for (int k = 0; k < width; ++k)
        pack[k] = static_cast<T>(four[first + k]);
      store<width>(column + row + first, pack);
    }
  } else {
    for (int k = 0; k < 4; ++k)
      if (row + k < rows) column[row + k] = static_cast<T>(four[k]);
  }
}

template <int width>
__global__ void lattice_kernel(MatrixView<std::int8_t> out, std::uint64_t seed, Tensor tensor,
                               LatticeLimits limits) {
  __shared__ std::uint32_t upper[LatticeLimits::count];
  for (int k = static_cast<int>(threadIdx.x); k < LatticeLimits::count; k += block_threads)
    upper[k] = limits.upper[k];
  __syncthreads();
  const Index j = blockIdx.x;
  for (Index quad = threadIdx.x; 4 * quad < out.rows; quad += block_threads) {
    const auto words = philox_words(seed, tensor, quad, j);
    int four[4];
    for (int k = 0; k < 4; ++k)
      four[k] = lattice_draw(upper, words[static_cast<std::size_t>(k)]);
    store_quad<width>(out.column(j), quad, out.rows, four);
  }
}

template <class Real, int width>
__global__ void gaussian_kernel(MatrixView<Real> out, std::uint64_t seed, Tensor tensor) {
  const Index j = blockIdx.x;
  for (Index quad = threadIdx.x; 4 * quad < out.rows; quad += block_threads) {
    const auto normals = normals_of(philox_words(seed, tensor, quad, j));
    double four[4];
    for (int k = 0; k < 4; ++k)
      four[k] = normals[static_cast<std::size_t>(k)];
    store_quad<width>(out.column(j), quad, out.rows, four);
  }
}

template <class Real>
void generate_gaussian_as(Context& context, MatrixView<Real> out, std::uint64_t seed,
                          Tensor tensor) {
  constexpr int width = std::min(4, pack_width<Real>);
  const auto kernel =
      can_pack(width, out) ? gaussian_kernel<Real, width> : gaussian_kernel<Real, 1>;
  launch(context, grid_of_columns(out.columns), kernel, out, seed, tensor);
}

struct Larger {
  WIDEDEQ_HOST_DEVICE double operator()(double a, double b) const { return a > b ? a : b; }
};

/// largest[j] = max |x(i, j)|, infinite where an entry is not finite.
template <class Real, int width>
__global__ void largest_kernel(MatrixView<const Real> x, double* largest) {
  const Real* column = x.column(blockIdx.x);
  double mine = 0.0;
  for_rows<width>(x.rows, [&](Index i, auto rows) {
    const auto entries = load<rows.value>(column + i);
    for (int k = 0; k < rows.value; ++k) {
      const double size = std::abs(static_cast<double>(entries[k]));
      // A NaN is not below anything.
      const bool finite = size <= std::numeric_limits<double>::max();
      mine = Larger()(finite ? size : std::numeric_limits<double>::infinity(), mine);
    }
  });
  const double all = block_reduce<block_threads>(mine, Larger());
  if (threadIdx.x == 0) largest[blockIdx.x] = all;
}

/// base = round(change / step), change -= step base without error; rest[j] = max |change(i, j)|.
template <class Real, int width>
__global__ void split_kernel(MatrixView<Real> change, MatrixView<std::int8_t> base, Real step,
                             Real inverse, double* rest) {
  Real* column = change.column(blockIdx.x);
  std::int8_t* integers = base.column(blockIdx.x);
  double mine = 0.0;
  for_rows<width>(change.rows, [&](Index i, auto rows) {
    auto entries = load<rows.value>(column + i);
    Pack<std::int8_t, rows.value> digits;
    for (int k = 0; k < rows.value; ++k) {
      const Real digit = int8_round(entries[k], inverse);
      digits[k] = static_cast<std::int8_t>(digit);
      entries[k] -= step * digit;  // a multiple of the entry's last bit
      mine = Larger()(std::abs(static_cast<double>(entries[k])), mine);
    }
    store<rows.value>(integers + i, digits);
    store<rows.value>(column + i, entries);
  });
  const double all = block_reduce<block_threads>(mine, Larger());
  if (threadIdx.x == 0) rest[blockIdx.x] = all;
}

/// The largest of doubles in device memory, none of them negative. Synchronises.
double fetch_largest(Context& context, const double* from, Index count) {
  double largest = 0.0;
  for (const double value : fetch(context, from, count))
    largest = std::max(largest, value);
  return largest;
}

template <class Real>
Split split_as(Context& context, MatrixView<Real> change, MatrixView<std::int8_t> base) {
  constexpr int width = pack_width<Real>;
  const bool packed = can_pack(width, change, base);
  const Grid grid = grid_of_columns(change.columns);
  auto* of_columns =
      context.scratch<double>(Scratch::sums, static_cast<std::size_t>(change.columns));

  launch(context, grid, packed ? largest_kernel<Real, width> : largest_kernel<Real, 1>,
         MatrixView<const Real>(change), of_columns);
  const double largest = fetch_largest(context, of_columns, change.columns);
  // Asked for here, so that weights that are refused stay as they are.
  if (largest > std::numeric_limits<double>::max())
    throw std::domain_error("the weights hold a NaN or an infinity");

  const auto step = static_cast<double>(int8_scale(static_cast<float>(largest)));
  launch(context, grid, packed ? split_kernel<Real, width> : split_kernel<Real, 1>, change, base,
         static_cast<Real>(step), static_cast<Real>(1.0 / step), of_columns);
  return {step, fetch_largest(context, of_columns, change.columns) == 0.0};
}

}  // namespace

void generate_lattice(Context& context, Block out, std::uint64_t seed, Tensor tensor) {
  static const LatticeLimits limits = limits_of(LatticeLaw());
  const auto integers = out.as<std::int8_t>();
  launch(context, grid_of_columns(out.columns),
         can_pack(4, integers) ? lattice_kernel<4> : lattice_kernel<1>, integers, seed, tensor,
         limits);
}

void generate_gaussian(Context& context, Block out, std::uint64_t seed, Tensor tensor) {
  if (out.element == Element::float64)
    return generate_gaussian_as(context, out.as<double>(), seed, tensor);
  generate_gaussian_as(context, out.as<float>(), seed, tensor);
}

Split split(Context& context, Block change, Block base) {
  expect_shape("split", "base", base, change.rows, change.columns);
  const auto integers = base.as<std::int8_t>();
  if (change.element == Element::float64) return split_as(context, change.as<double>(), integers);
  return split_as(context, change.as<float>(), integers);
}

}  // namespace widedeq::cuda
