// Panels of A in double and products with them; see master_product.hpp.
#include "host/master_product.hpp"

#include <algorithm>
#include <cmath>

#include "host/rounding.hpp"

namespace widedeq {

using rounding::above;

Matrix upload_double(Backend& backend, const HostMatrix& matrix) {
  Matrix copy = backend.allocate(Element::float64, matrix.rows, matrix.columns);
  backend.upload(matrix.view(), copy);
  return copy;
}

HostMatrix transposed(const HostMatrix& matrix) {
  constexpr Index tile = 64;  // both ways round it stays in cache
  HostMatrix result(matrix.columns, matrix.rows);
  for (Index first = 0; first < matrix.rows; first += tile)
    for (Index j = 0; j < matrix.columns; ++j)
      for (Index i = first; i < std::min(first + tile, matrix.rows); ++i)
        result(j, i) = matrix(i, j);
  return result;
}

MasterReader::MasterReader(Backend& backend, const WeightView& A, Transpose transpose)
    : backend_(backend), A_(A), transposed_(transpose == Transpose::yes) {
  if (A.left.empty()) return;
  const HostMatrix left = download(backend, transposed_ ? A.right : A.left);
  const HostMatrix right = download(backend, transposed_ ? A.left : A.right);
  left_ = upload_double(backend, left);
  right_ = upload_double(backend, right);
  left_norms_ = rounding::column_norms_above(transposed(left));
  left_norm_ = rounding::norm_above(left.values);
  right_norm_ = rounding::norm_above(right.values);
}

HostMatrix MasterReader::read(ConstBlock block, Index first, Index count) {
  return transposed_ ? transposed(download(backend_, block.middle_rows(first, count)))
                     : download(backend_, block.middle_columns(first, count));
}

HostMatrix MasterReader::columns(Index first, Index count) {
  // step base is exact, `change` is added with one rounding, left right' with its own
  HostMatrix part = read(A_.base, first, count);
  for (double& entry : part.values)
    entry *= A_.step;
  if (!A_.change.empty()) {
    const HostMatrix change = read(A_.change, first, count);
    std::ranges::transform(part.values, change.values, part.values.begin(), std::plus<>());
  }
  if (left_.empty()) return part;
  Matrix sum = upload_double(backend_, part);
  const std::vector<double> ones(static_cast<std::size_t>(left_.columns()), 1.0);
  backend_.rank_update(sum, 1.0, left_, ones, right_.block().middle_rows(first, count),
                       Precision::fp64);
  return download(backend_, sum);
}

// |read - exact| <= u |base + change| + gamma_k |left| |right|' + u |read|, and the first magnitude
// is at most |read| + |left| |right|' with roundings.
double MasterReader::row_error(Index i, double row_norm) const {
  const double plain = rounding::gamma(4.0) * row_norm;
  if (left_norms_.empty()) return A_.change.empty() ? 0.0 : plain;
  return above(plain + rounding::gamma(left_.columns() + 4) *
                           left_norms_[static_cast<std::size_t>(i)] * right_norm_);
}

double MasterReader::error(double frobenius_norm) const {
  const double plain = rounding::gamma(4.0) * frobenius_norm;
  if (left_norms_.empty()) return A_.change.empty() ? 0.0 : plain;
  return above(plain + rounding::gamma(left_.columns() + 4) * left_norm_ * right_norm_);
}

MasterProduct multiply_masters(Backend& backend, const WeightView& A, Transpose transpose,
                               const HostMatrix& B) {
  const Index m = A.width();
  expect_shape("certificate", "B", MatrixView<const double>(B.view()), m, B.columns);
  MasterReader reader(backend, A, transpose);
  const Matrix rows = upload_double(backend, transposed(B));  // n x m
  Matrix sum = backend.allocate(Element::float64, m, B.columns);
  std::vector<double> squares(static_cast<std::size_t>(m));
  for (Index first = 0; first < m; first += MasterReader::panel) {
    const Index count = std::min(MasterReader::panel, m - first);
    const HostMatrix part = reader.columns(first, count);
    for (Index j = 0; j < count; ++j)
      for (Index i = 0; i < m; ++i)
        squares[static_cast<std::size_t>(i)] += part(i, j) * part(i, j);
    // C += op(A)'s panel times B's rows
    const std::vector<double> ones(static_cast<std::size_t>(count), 1.0);
    backend.rank_update(sum, 1.0, upload_double(backend, part), ones, rows.columns(first, count),
                        Precision::fp64);
  }

  MasterProduct product{download(backend, sum), squares, squares};
  const Index terms = std::min(MasterReader::panel, m) + m / MasterReader::panel + 2;
  for (Index i = 0; i < m; ++i) {
    const auto row = static_cast<std::size_t>(i);
    // `smallest` outweighs squares lost to underflow
    const double norm = above(std::sqrt(squares[row]), static_cast<double>(m)) + rounding::smallest;
    const double read = reader.row_error(i, norm);
    product.row_norms[row] = above(norm + read);
    product.errors[row] = above(rounding::gamma(terms) * norm + read);
  }
  return product;
}

}  // namespace widedeq
