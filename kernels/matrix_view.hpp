// Views of column-major matrices: who owns the memory is somebody else's business.
//
// One sample per column. Element (i, j) lives at data[i + j * stride], stride >= rows.
// Files keep one sample per row in C order, which is the same memory. Members are constexpr, so
// that kernels of a device may call them too.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>

namespace widedeq {

/// Sizes and positions. Signed, so that differences and loops counting down are safe.
using Index = std::int64_t;

/// Which of a matrix and its transpose is meant.
enum class Transpose : std::uint8_t { no, yes };

/// A column-major rows x columns matrix of T that somebody else owns.
template <class T>
struct MatrixView {
  T* data = nullptr;
  Index rows = 0;
  Index columns = 0;
  Index stride = 0;

  MatrixView() = default;
  constexpr MatrixView(T* data, Index rows, Index columns, Index stride)
      : data(data), rows(rows), columns(columns), stride(stride) {}
  constexpr MatrixView(T* data, Index rows, Index columns)
      : MatrixView(data, rows, columns, rows) {}

  /// A view of mutable elements is a view of constant ones.
  template <class Other>
  requires(std::is_const_v<T>&& std::is_same_v<const Other, T>) constexpr MatrixView(
      const MatrixView<Other>& other)
      : MatrixView(other.data, other.rows, other.columns, other.stride) {}

  constexpr T& operator()(Index i, Index j) const { return data[i + j * stride]; }
  constexpr T* column(Index j) const { return data + j * stride; }
  constexpr bool empty() const { return rows == 0 || columns == 0; }

  /// Columns first .. first + count - 1, the same memory.
  constexpr MatrixView middle_columns(Index first, Index count) const {
    return {data + first * stride, rows, count, stride};
  }
};

/// "3 x 5", as error messages name a shape.
template <class M>
std::string shape(const M& matrix) {
  return std::to_string(matrix.rows) + " x " + std::to_string(matrix.columns);
}

}  // namespace widedeq
