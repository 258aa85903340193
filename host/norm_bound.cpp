// One pass over A for all three bounds; see norm_bound.hpp.
#include "host/norm_bound.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "host/master_product.hpp"
#include "host/rounding.hpp"
#include "host/verified_cholesky.hpp"

namespace widedeq {
namespace {

using rounding::above;

/// A sum of squares that is added up panel by panel, and its root from above.
class Squares {
 public:
  void add(double x) {
    sum_ += x * x;
    ++terms_;
  }
  /// `smallest` outweighs squares lost to underflow.
  double root() const {
    return sum_ == 0.0 ? std::sqrt(static_cast<double>(terms_)) * rounding::smallest
                       : above(std::sqrt(sum_), static_cast<double>(terms_)) + rounding::smallest;
  }

 private:
  double sum_ = 0.0;
  Index terms_ = 0;
};

}  // namespace

double drawn_norm_bound(Index width, double failure_probability) {
  if (!(failure_probability > 0.0 && failure_probability < 1.0))
    throw std::invalid_argument("the Gaussian bound: a probability of failure is between 0 and 1");
  const auto m = static_cast<double>(width);
  const double t = std::sqrt(-2.0 * std::log(failure_probability));
  return above(1.0001 * (2.0 * std::sqrt(m) + t) + 1e-6 * m);
}

NormBound bound_operator_norm(Backend& backend, const WeightView& A, double estimate,
                              const NormBoundOptions& options) {
  const Index m = A.width();
  const bool by_cholesky = m <= options.cholesky_limit;
  MasterReader reader(backend, A, Transpose::no);
  Matrix AAt;
  if (by_cholesky) AAt = backend.allocate(Element::float64, m, m);
  Squares whole, change;
  std::vector<double> drawn(static_cast<std::size_t>(m));
  for (Index first = 0; first < m; first += MasterReader::panel) {
    const Index count = std::min(MasterReader::panel, m - first);
    const HostMatrix part = reader.columns(first, count);
    for (const double entry : part.values)
      whole.add(entry);
    if (options.draw) {
      for (Index j = 0; j < count; ++j) {
        draw_column(*options.draw, first + j, drawn);
        for (Index i = 0; i < m; ++i)
          change.add(part(i, j) - drawn[static_cast<std::size_t>(i)]);
      }
    }
    if (by_cholesky) {
      const std::vector<double> ones(static_cast<std::size_t>(count), 1.0);
      const Matrix columns = upload_double(backend, part);
      backend.rank_update(AAt, 1.0, columns, ones, columns, Precision::fp64);
    }
  }
  const double frobenius = whole.root();
  const double reading = reader.error(frobenius);

  NormBound best{above(frobenius + reading), 1.0, NormBoundKind::frobenius};
  if (options.draw) {
    const double bound =
        above(drawn_norm_bound(m, options.failure_probability) + change.root() + reading);
    if (bound < best.value)
      best = {bound, 1.0 - options.failure_probability, NormBoundKind::gaussian};
  }
  if (by_cholesky) {
    const auto top = largest_eigenvalue_above(download(backend, AAt), estimate * estimate);
    if (top) {
      // ||A||^2 <= lambda_max(A A' as summed) + ||the sums' errors||
      const Index terms = std::min(MasterReader::panel, m) + m / MasterReader::panel + 2;
      const double squared = *top + rounding::gamma(terms) * frobenius * frobenius;
      const double bound = above(std::sqrt(above(squared)) + reading);
      if (bound < best.value) best = {bound, 1.0, NormBoundKind::cholesky};
    }
  }
  return best;
}

}  // namespace widedeq
