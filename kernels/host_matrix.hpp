// A small owning matrix of doubles in ordinary host memory: how data enters and leaves a backend.
#pragma once

#include <vector>

#include "kernels/matrix_view.hpp"

namespace widedeq {

/// Column-major rows x columns doubles, zero at birth, stride = rows.
struct HostMatrix {
  Index rows = 0;
  Index columns = 0;
  std::vector<double> values;

  HostMatrix() = default;
  HostMatrix(Index rows, Index columns)
      : rows(rows), columns(columns), values(static_cast<std::size_t>(rows * columns)) {}

  double& operator()(Index i, Index j) { return values[static_cast<std::size_t>(i + j * rows)]; }
  double operator()(Index i, Index j) const {
    return values[static_cast<std::size_t>(i + j * rows)];
  }
  MatrixView<double> view() { return {values.data(), rows, columns}; }
  MatrixView<const double> view() const { return {values.data(), rows, columns}; }
};

}  // namespace widedeq
