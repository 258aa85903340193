// A product whose every entry is known; see self_test.hpp.
#include "kernels/cuda/self_test.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cuda/multiply.hpp"
#include "kernels/cuda/transfer.hpp"

namespace widedeq::cuda {
namespace {

/// -128 and 127 in a pattern of its own for every row and column, so that a transposed or shifted
/// product gives other sums.
HostMatrix extremes(Index rows, Index columns, Index step) {
  HostMatrix matrix(rows, columns);
  for (Index j = 0; j < columns; ++j)
    for (Index i = 0; i < rows; ++i)
      matrix(i, j) = (i * step + j * j + i * i % 7) % 3 == 0 ? -128.0 : 127.0;
  return matrix;
}

Matrix on_device(Context& context, const HostMatrix& host) {
  std::vector<std::byte> bytes(host.values.size());
  std::ranges::transform(host.values, bytes.begin(), [](double value) {
    return static_cast<std::byte>(static_cast<std::int8_t>(value));
  });
  Matrix matrix = context.allocate(Element::int8, host.rows, host.columns);
  restore(context, bytes, matrix);
  return matrix;
}

}  // namespace

std::string why_integers_are_inexact(Context& context) {
  constexpr Index inner = 80, rows = 48, columns = 32;
  const HostMatrix left = extremes(inner, rows, 5), right = extremes(inner, columns, 3);
  try {
    const Matrix a = on_device(context, left), b = on_device(context, right);
    Matrix product = context.allocate(Element::int32, rows, columns);
    multiply_integers(context, a.block().as<const std::int8_t>(), b.block().as<const std::int8_t>(),
                      product.block().as<std::int32_t>());
    HostMatrix found(rows, columns);
    download(context, product, found.view());
    for (Index j = 0; j < columns; ++j)
      for (Index i = 0; i < rows; ++i) {
        double expected = 0.0;
        for (Index k = 0; k < inner; ++k)
          expected += left(k, i) * right(k, j);
        if (found(i, j) != expected) return "int8 products are not exact on this GPU";
      }
  } catch (const OutOfDeviceMemory&) {
    throw;  // says nothing of products
  } catch (const DeviceError& error) {
    return std::string("int8 products do not run on this GPU: ") + error.what();
  }
  return {};
}

}  // namespace widedeq::cuda
