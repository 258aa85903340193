// Matrices in a backend's memory, tagged with their element type.
//
// Host code moves Blocks around and never looks inside; a backend's stage asks for the typed view
// it expects and gets a ShapeError when the tag says otherwise.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "kernels/error.hpp"
#include "kernels/matrix_view.hpp"

namespace widedeq {

enum class Element : std::uint8_t { float64, float32, int32, int8 };

std::size_t size_of(Element element);
const char* name_of(Element element);

template <class T>
constexpr Element element_of() {
  if constexpr (std::is_same_v<std::remove_const_t<T>, double>) {
    return Element::float64;
  } else if constexpr (std::is_same_v<std::remove_const_t<T>, float>) {
    return Element::float32;
  } else if constexpr (std::is_same_v<std::remove_const_t<T>, std::int32_t>) {
    return Element::int32;
  } else {
    static_assert(std::is_same_v<std::remove_const_t<T>, std::int8_t>, "no such element");
    return Element::int8;
  }
}

/// Throws the ShapeError for a block of the wrong element type.
[[noreturn]] void throw_wrong_element(Element is, Element wanted);

/// Throws the ShapeError for `what` (rows, columns) first .. first + count - 1 of a matrix that has
/// fewer.
template <class B>
[[noreturn]] void throw_beyond(const char* what, const B& block, Index first, Index count) {
  throw ShapeError(std::string(what) + " " + std::to_string(first) + " .. " +
                   std::to_string(first + count - 1) + " of a matrix that is " + shape(block));
}

/// A tagged column-major block in some backend's memory. Void is `void` or `const void`.
template <class Void>
struct TaggedBlock {
  Void* data = nullptr;
  Element element = Element::float64;
  Index rows = 0;
  Index columns = 0;
  Index stride = 0;

  TaggedBlock() = default;
  TaggedBlock(Void* data, Element element, Index rows, Index columns, Index stride)
      : data(data), element(element), rows(rows), columns(columns), stride(stride) {}
  template <class T>
  TaggedBlock(const MatrixView<T>& view)
      : TaggedBlock(view.data, element_of<T>(), view.rows, view.columns, view.stride) {}
  /// A mutable block is a constant one.
  template <class Other>
  requires(std::is_const_v<Void>&& std::is_same_v<const Other, Void>)
      TaggedBlock(const TaggedBlock<Other>& other)
      : TaggedBlock(other.data, other.element, other.rows, other.columns, other.stride) {}

  bool empty() const { return rows == 0 || columns == 0; }

  /// The typed view. Throws ShapeError when the elements are of another type.
  template <class T>
  MatrixView<T> as() const {
    if (element != element_of<T>()) throw_wrong_element(element, element_of<T>());
    return {static_cast<T*>(data), rows, columns, stride};
  }

  /// Columns first .. first + count - 1, the same memory. Throws ShapeError beyond the last column.
  TaggedBlock middle_columns(Index first, Index count) const {
    if (first < 0 || count < 0 || first + count > columns)
      throw_beyond("columns", *this, first, count);
    const auto offset = static_cast<std::size_t>(first * stride) * size_of(element);
    using Byte = std::conditional_t<std::is_const_v<Void>, const std::byte, std::byte>;
    return {static_cast<Byte*>(data) + offset, element, rows, count, stride};
  }

  /// Rows first .. first + count - 1, the same memory. Throws ShapeError beyond the last row.
  TaggedBlock middle_rows(Index first, Index count) const {
    if (first < 0 || count < 0 || first + count > rows) throw_beyond("rows", *this, first, count);
    const auto offset = static_cast<std::size_t>(first) * size_of(element);
    using Byte = std::conditional_t<std::is_const_v<Void>, const std::byte, std::byte>;
    return {static_cast<Byte*>(data) + offset, element, count, columns, stride};
  }
};

using Block = TaggedBlock<void>;
using ConstBlock = TaggedBlock<const void>;

/// The typed view of a block that may be left out: empty where it is.
template <class T>
MatrixView<const T> view_or_none(const ConstBlock& block) {
  return block.empty() ? MatrixView<const T>() : block.as<const T>();
}

/// function(view) with the typed view of any block.
template <class Void, class Function>
void with_elements(const TaggedBlock<Void>& block, Function function) {
  const auto call = [&](auto element) {
    using T = decltype(element);
    function(block.template as<std::conditional_t<std::is_const_v<Void>, const T, T>>());
  };
  switch (block.element) {
    case Element::float64:
      return call(double{});
    case Element::float32:
      return call(float{});
    case Element::int32:
      return call(std::int32_t{});
    case Element::int8:
      return call(std::int8_t{});
  }
}

/// Bytes of a column, without what lies between it and the next.
inline std::size_t column_bytes(const ConstBlock& block) {
  return static_cast<std::size_t>(block.rows) * size_of(block.element);
}

/// An owning, move-only matrix. Made by Backend::allocate, which also says how to free it.
class Matrix {
 public:
  Matrix() = default;
  Matrix(std::shared_ptr<void> memory, Element element, Index rows, Index columns, Index stride)
      : memory_(std::move(memory)), block_(memory_.get(), element, rows, columns, stride) {}
  Matrix(Matrix&& other) noexcept { *this = std::move(other); }
  Matrix& operator=(Matrix&& other) noexcept {
    memory_ = std::move(other.memory_);
    block_ = std::exchange(other.block_, Block());
    return *this;
  }
  Matrix(const Matrix&) = delete;
  Matrix& operator=(const Matrix&) = delete;
  ~Matrix() = default;

  Index rows() const { return block_.rows; }
  Index columns() const { return block_.columns; }
  Element element() const { return block_.element; }
  bool empty() const { return block_.empty(); }

  Block block() { return block_; }
  ConstBlock block() const { return block_; }
  Block columns(Index first, Index count) { return block_.middle_columns(first, count); }
  ConstBlock columns(Index first, Index count) const {
    return block().middle_columns(first, count);
  }

  operator Block() { return block_; }
  operator ConstBlock() const { return block_; }

 private:
  std::shared_ptr<void> memory_;
  Block block_;
};

/// Throws ShapeError "STAGE: NAME is 3 x 4, expected 3 x 5" unless the block has that shape.
void expect_shape(const char* stage, const char* name, const ConstBlock& block, Index rows,
                  Index columns);

}  // namespace widedeq
