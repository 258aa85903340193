// Copies and conversions, column by column; see transfer.hpp.
#include "kernels/cpu/transfer.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/stage_checks.hpp"

namespace widedeq::cpu {
namespace {

/// to(i, j) = from(i, j), converted
template <class From, class To>
void convert(MatrixView<const From> from, MatrixView<To> to) {
#pragma omp parallel for schedule(static)
  for (Index j = 0; j < to.columns; ++j)
    for (Index i = 0; i < to.rows; ++i)
      to(i, j) = static_cast<To>(from(i, j));
}

std::byte* column_of(const Block& block, Index j) {
  return static_cast<std::byte*>(block.middle_columns(j, 1).data);
}

}  // namespace

void upload(MatrixView<const double> host, Block to) {
  expect_shape("upload", "the host's matrix", host, to.rows, to.columns);
  if (to.element == Element::float64) return convert(host, to.as<double>());
  convert(host, to.as<float>());
}

void download(ConstBlock from, MatrixView<double> host) {
  expect_shape("download", "the host's matrix", ConstBlock(MatrixView<const double>(host)),
               from.rows, from.columns);
  with_elements(from, [&](auto view) { convert(view, host); });
}

void copy(ConstBlock from, Block to) {
  expect_shape("copy", "the source", from, to.rows, to.columns);
  if (from.element != to.element) throw_wrong_element(from.element, to.element);
  const std::size_t bytes = column_bytes(to);
  if (to.empty()) return;
#pragma omp parallel for schedule(static)
  for (Index j = 0; j < to.columns; ++j)
    std::memcpy(column_of(to, j), from.middle_columns(j, 1).data, bytes);
}

void save(ConstBlock from, std::span<std::byte> to) {
  expect_bytes("save", from, to.size());
  const std::size_t bytes = column_bytes(from);
  for (Index j = 0; j < from.columns && bytes > 0; ++j)
    std::memcpy(to.data() + static_cast<std::size_t>(j) * bytes, from.middle_columns(j, 1).data,
                bytes);
}

void restore(std::span<const std::byte> from, Block to) {
  expect_bytes("restore", to, from.size());
  const std::size_t bytes = column_bytes(to);
  for (Index j = 0; j < to.columns && bytes > 0; ++j)
    std::memcpy(column_of(to, j), from.data() + static_cast<std::size_t>(j) * bytes, bytes);
}

void fill(Block to, double value) {
  with_elements(to, [&](auto view) {
    using T = std::remove_reference_t<decltype(view(0, 0))>;
#pragma omp parallel for schedule(static)
    for (Index j = 0; j < view.columns; ++j)
      std::fill_n(view.column(j), view.rows, static_cast<T>(value));
  });
}

void broadcast(ConstBlock column, Block to) {
  expect_shape("broadcast", "the column", column, to.rows, 1);
  if (column.element != to.element) throw_wrong_element(column.element, to.element);
  const std::size_t bytes = column_bytes(to);
#pragma omp parallel for schedule(static)
  for (Index j = 0; j < to.columns; ++j)
    std::memcpy(column_of(to, j), column.data, bytes);
}

namespace {

template <class Real>
void add_column_as(MatrixView<Real> to, Real alpha, const Real* column) {
#pragma omp parallel for schedule(static)
  for (Index j = 0; j < to.columns; ++j) {
    Real* out = to.column(j);
#pragma omp simd
    for (Index i = 0; i < to.rows; ++i)
      out[i] += alpha * column[i];
  }
}

}  // namespace

void add_column(Block to, double alpha, ConstBlock column) {
  expect_shape("add_column", "the column", column, to.rows, 1);
  if (to.element == Element::float64)
    return add_column_as(to.as<double>(), alpha, column.as<const double>().data);
  add_column_as(to.as<float>(), static_cast<float>(alpha), column.as<const float>().data);
}

}  // namespace widedeq::cpu
