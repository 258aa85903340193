// LAPACK's dsyevd behind two functions; see spectrum.hpp.
#include "host/spectrum.hpp"

#include <lapacke.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "host/finite.hpp"
#include "kernels/error.hpp"

namespace widedeq {
namespace {

/// Eigenvalues ascending; with 'V' the vectors replace the matrix.
std::vector<double> decompose(HostMatrix& matrix, char job) {
  if (matrix.rows != matrix.columns)
    throw ShapeError("eigenvalues of a matrix that is " + shape(matrix) + ", not square");
  if (!all_finite(matrix.values))
    throw std::domain_error("eigenvalues of a matrix with a NaN or an infinity");
  const auto n = static_cast<lapack_int>(matrix.rows);
  std::vector<double> values(static_cast<std::size_t>(n));
  if (n == 0) return values;
  // With work of our own: LAPACKE_dsyevd first looks for NaNs, with indices that overflow from
  // 46341 rows on (3.11), and they have been looked for.
  double real_work = 0.0;
  lapack_int integer_work = 0;
  const auto call = [&](double* reals, lapack_int real_count, lapack_int* integers,
                        lapack_int integer_count) {
    return LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, job, 'L', n, matrix.values.data(), n,
                               values.data(), reals, real_count, integers, integer_count);
  };
  lapack_int info = call(&real_work, -1, &integer_work, -1);
  if (info == 0) {
    std::vector<double> reals(static_cast<std::size_t>(real_work));
    std::vector<lapack_int> integers(static_cast<std::size_t>(integer_work));
    info = call(reals.data(), static_cast<lapack_int>(reals.size()), integers.data(), integer_work);
  }
  if (info != 0) throw std::runtime_error("LAPACKE_dsyevd failed with " + std::to_string(info));
  return values;
}

}  // namespace

std::vector<double> symmetric_eigenvalues(HostMatrix matrix) {
  return decompose(matrix, 'N');
}

Eigenpair largest_eigenpair(HostMatrix matrix) {
  const std::vector<double> values = decompose(matrix, 'V');
  const auto last = matrix.values.end() - static_cast<std::ptrdiff_t>(matrix.rows);
  return {values.back(), std::vector<double>(last, matrix.values.end())};
}

double trace(const HostMatrix& matrix) {
  double sum = 0.0;
  for (Index i = 0; i < std::min(matrix.rows, matrix.columns); ++i)
    sum += matrix(i, i);
  return sum;
}

double relative_distance(const HostMatrix& a, const HostMatrix& b) {
  if (a.rows != b.rows || a.columns != b.columns)
    throw ShapeError("the distance of a matrix " + shape(a) + " from one " + shape(b));
  double difference = 0.0;
  double size = 0.0;
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    difference += (a.values[i] - b.values[i]) * (a.values[i] - b.values[i]);
    size += b.values[i] * b.values[i];
  }
  return difference == 0.0 ? 0.0 : std::sqrt(difference / size);
}

}  // namespace widedeq
