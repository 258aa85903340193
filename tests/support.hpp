// What the tests share: the backend under test, random networks, and errors as the tests count
// them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "host/adjoint_solver.hpp"
#include "host/equilibrium_solver.hpp"
#include "host/model.hpp"
#include "kernels/backend.hpp"
#include "tests/oracle.hpp"

namespace widedeq::test {

/// The backend under test, one a process: the CPU's, or WIDEDEQ_TEST_BACKEND=cuda.
inline Backend& backend() {
  static const std::unique_ptr<Backend> instance = [] {
    const char* wanted = std::getenv("WIDEDEQ_TEST_BACKEND");
    return wanted != nullptr && std::string(wanted) == "cuda" ? make_cuda_backend()
                                                              : make_cpu_backend(2);
  }();
  return *instance;
}

/// How far a normal near `value` that the backend draws may lie from the host's: a GPU's logarithm,
/// sine and cosine may be a few units in the last place off.
inline double normal_rounding(Element element, double value) {
  if (!backend().description().starts_with("cuda: ")) return 0.0;
  const double unit = element == Element::float64 ? 0x1p-52 : 0x1p-23;
  return 8.0 * unit * std::max(1.0, std::abs(value));
}

/// Skips the test, with the backend's reason, where mixed precision does not run.
#define SKIP_UNLESS_SUPPORTED(precision)                                                      \
  if ((precision) == Precision::mixed && !::widedeq::test::backend().why_not_mixed().empty()) \
  GTEST_SKIP() << ::widedeq::test::backend().why_not_mixed()

/// Expects the statement to throw a ShapeError whose message holds both shapes, as "3 x 5".
#define EXPECT_SHAPE_ERROR(statement, first, second)                     \
  try {                                                                  \
    statement;                                                           \
    ADD_FAILURE() << #statement " did not throw";                        \
  } catch (const ShapeError& error) {                                    \
    EXPECT_NE(std::string(error.what()).find(first), std::string::npos)  \
        << "no \"" << (first) << "\" in: " << error.what();              \
    EXPECT_NE(std::string(error.what()).find(second), std::string::npos) \
        << "no \"" << (second) << "\" in: " << error.what();             \
  }

inline const char* name_of(Precision precision) {
  return precision == Precision::fp64 ? "fp64" : precision == Precision::fp32 ? "fp32" : "mixed";
}

/// The distance from 1 to the next number a precision's reals can hold.
inline double epsilon(Precision precision) {
  return precision == Precision::fp64 ? std::numeric_limits<double>::epsilon()
                                      : std::numeric_limits<float>::epsilon();
}

// ---- errors

/// ||is - wanted||_2 / ||wanted||_2; NaN counts as infinite. 0/0 is 0.
inline double relative_error(std::span<const double> is, std::span<const double> wanted) {
  if (is.size() != wanted.size()) return INFINITY;
  double difference = 0.0, whole = 0.0;
  for (std::size_t i = 0; i < is.size(); ++i) {
    difference += (is[i] - wanted[i]) * (is[i] - wanted[i]);
    whole += wanted[i] * wanted[i];
  }
  if (difference == 0.0) return 0.0;
  const double error = std::sqrt(difference / whole);
  return std::isnan(error) ? INFINITY : error;
}

/// The same for matrices: relative error in the Frobenius norm.
inline double relative_error(const HostMatrix& is, const HostMatrix& wanted) {
  if (is.rows != wanted.rows || is.columns != wanted.columns) return INFINITY;
  return relative_error(std::span(is.values), std::span(wanted.values));
}

inline bool all_finite(const std::vector<double>& values) {
  for (const double value : values)
    if (!std::isfinite(value)) return false;
  return true;
}

inline double largest(const std::vector<double>& values) {
  double result = 0.0;
  for (const double value : values)
    result = std::isnan(value) ? INFINITY : std::max(result, value);
  return result;
}

inline double dot(const std::vector<double>& x, const std::vector<double>& y) {
  double sum = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i)
    sum += x[i] * y[i];
  return sum;
}

// ---- to and from the backend

inline HostMatrix download(const ConstBlock& block) {
  HostMatrix host(block.rows, block.columns);
  backend().download(block, host.view());
  return host;
}

inline Matrix upload(Element element, const HostMatrix& host) {
  Matrix matrix = backend().allocate(element, host.rows, host.columns);
  backend().upload(host.view(), matrix);
  return matrix;
}

/// The doubles after rounding to an element type, which is what a backend holds of them.
inline HostMatrix rounded(Element element, HostMatrix host) {
  if (element == Element::float32)
    for (double& value : host.values)
      value = static_cast<double>(static_cast<float>(value));
  return host;
}

inline HostMatrix column_of(const std::vector<double>& values) {
  HostMatrix host(static_cast<Index>(values.size()), 1);
  host.values = values;
  return host;
}

/// A block inside a larger allocation: `above` rows before its first, `below` rows after its last
/// and a column on either side, all of which hold a sentinel that no stage may touch.
class Framed {
 public:
  static constexpr double sentinel = 77.0;

  Framed(Element element, Index rows, Index columns, Index above = 1, Index below = 2)
      : above_(above), whole_(backend().allocate(element, above + rows + below, columns + 2)) {
    backend().fill(whole_, sentinel);
    const Block all = whole_.block();
    const auto offset = static_cast<std::size_t>(all.stride + above) * size_of(element);
    block_ = Block(static_cast<std::byte*>(all.data) + offset, element, rows, columns, all.stride);
  }
  Framed(Element element, const HostMatrix& values) : Framed(element, values.rows, values.columns) {
    backend().upload(values.view(), block_);
  }

  operator Block() const { return block_; }
  operator ConstBlock() const { return block_; }
  Block block() const { return block_; }

  /// Whether every entry around the block still holds the sentinel.
  bool frame_untouched() const {
    const HostMatrix host = download(whole_.block());
    for (Index j = 0; j < host.columns; ++j)
      for (Index i = 0; i < host.rows; ++i) {
        const bool inside =
            i >= above_ && i < above_ + block_.rows && j >= 1 && j < 1 + block_.columns;
        if (!inside && host(i, j) != sentinel) return false;
      }
    return true;
  }

 private:
  Index above_;
  Matrix whole_;
  Block block_;
};

// ---- random networks

/// How A comes about. lattice and gaussian are drawn by the model itself; `given` are arbitrary
/// doubles whose sizes differ by orders of magnitude, so that neither fp32 nor int8 holds them
/// exactly.
enum class Draw { lattice, gaussian, given };

inline const char* name_of(Draw draw) {
  return draw == Draw::lattice ? "lattice" : draw == Draw::gaussian ? "gaussian" : "given";
}

struct Shape {
  Index m, n, d;
  double gamma;
};

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  double normal() { return normal_(engine_); }
  double uniform(double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(engine_);
  }
  Index integer(Index low, Index high) {
    return std::uniform_int_distribution<Index>(low, high)(engine_);
  }
  std::vector<double> vector(Index length) {
    std::vector<double> values(static_cast<std::size_t>(length));
    for (double& value : values)
      value = normal();
    return values;
  }
  HostMatrix matrix(Index rows, Index columns) {
    HostMatrix matrix(rows, columns);
    matrix.values = vector(rows * columns);
    return matrix;
  }
  /// Columns of unit length.
  HostMatrix sphere(Index rows, Index columns) {
    HostMatrix points = matrix(rows, columns);
    for (Index j = 0; j < columns; ++j) {
      const double length = oracle::column_norm(points, j);
      for (Index i = 0; i < rows; ++i)
        points(i, j) /= length;
    }
    return points;
  }
  /// m x m of mean square 1, entries log-normally scaled.
  HostMatrix uneven(Index m) {
    HostMatrix A = matrix(m, m);
    double sum = 0.0;
    for (double& entry : A.values) {
      entry *= std::exp(normal());
      sum += entry * entry;
    }
    for (double& entry : A.values)
      entry *= static_cast<double>(m) / std::sqrt(sum);
    return A;
  }

 private:
  std::mt19937_64 engine_;
  std::normal_distribution<double> normal_;
};

inline Injection injection_of(const oracle::Network& net) {
  return net.relu_injection ? Injection::relu : Injection::linear;
}

/// The model of a network whose weights are given.
inline Model model_of(const oracle::Network& net, Precision precision) {
  const ModelOptions options{.gamma = net.gamma, .injection = injection_of(net), .skip = net.skip};
  return {backend(), precision, options, Weights{net.A, net.W, net.u, net.v}};
}

/// A network of a shape with weights N(0,1), inputs on the unit sphere, targets N(0,1).
inline oracle::Network random_network(const Shape& shape, bool relu_injection, bool skip,
                                      std::uint64_t seed) {
  Random random(seed);
  oracle::Network net;
  net.A = random.matrix(shape.m, shape.m);
  net.W = random.matrix(shape.m, shape.d);
  net.u = random.vector(shape.m);
  net.v = random.vector(shape.m);
  net.X = random.sphere(shape.d, shape.n);
  net.y = random.vector(shape.n);
  net.gamma = shape.gamma;
  net.relu_injection = relu_injection;
  net.skip = skip;
  return net;
}

/// Where a network must not be if an answer is to be compared with the oracle's to a few roundings.
/// The requirement on accuracy speaks of problems that have an accurate answer, and three kinds of
/// random draw have none:
///   - near a kink: D = 1[P > 0] jumps where P passes zero, and L with it. A nonzero entry of P
///   below
///     `kink` times its column's root mean square could have either sign after rounding, and so
///     could one of W X below `kink` times the sum of its terms' magnitudes. (An entry that is
///     exactly zero is zero in every precision: all its terms are.)
///   - slow: more than 100 iterations to 1e-15 mean a rate above 0.7, so that a residual of t
///   leaves
///     an error of more than 3.3 t in Z, as much in L, and four times that in H, which has both
///     twice.
///   - cancelling: W X, yhat = u'Z + v'Phi or r = yhat - y much smaller than the terms it is a sum
///   of,
///     so that rounding of the terms is large beside it.
inline bool ill_conditioned(const oracle::Network& net, const oracle::Solution& truth,
                            double kink) {
  if (!truth.converged || truth.iterations > 100) return true;

  for (Index j = 0; j < net.n(); ++j) {
    const double rms = oracle::column_norm(truth.P, j) / net.root();
    for (Index i = 0; i < net.m(); ++i)
      if (truth.P(i, j) != 0.0 && std::abs(truth.P(i, j)) < kink * rms) return true;
  }
  double sums = 0.0, magnitudes = 0.0;
  for (Index j = 0; j < net.n(); ++j)
    for (Index i = 0; i < net.m(); ++i) {
      double sum = 0.0, magnitude = 0.0;
      for (Index k = 0; k < net.d(); ++k) {
        sum += net.W(i, k) * net.X(k, j);
        magnitude += std::abs(net.W(i, k) * net.X(k, j));
      }
      if (sum != 0.0 && std::abs(sum) < kink * magnitude) return true;
      if (net.relu_injection && sum <= 0.0) continue;
      sums += sum * sum;
      magnitudes += magnitude * magnitude;
    }
  // Sums of d or m random terms are about 1/sqrt(d) or 1/sqrt(m) of what they could be.
  if (std::sqrt(sums * static_cast<double>(net.d())) < 0.3 * std::sqrt(magnitudes)) return true;
  const double terms =
      std::hypot(oracle::norm(net.u) * oracle::norm(truth.Z.values),
                 net.skip ? oracle::norm(net.v) * oracle::norm(truth.Phi.values) : 0.0) /
      net.root();
  return oracle::norm(truth.prediction) < 0.6 * terms;
}

/// `kink` for a precision: some ten times what the error allowed in Z can do to an entry of P.
inline double kink_of(Precision precision) {
  return precision == Precision::fp64 ? 1e-10 : 1e-5;
}

/// A model, the same network for the oracle, and the oracle's answer.
struct Problem {
  oracle::Network net;
  oracle::Solution truth;
  Model model;
  int redraws = 0;
};

/// Gives every target the sign that its prediction has not, so that r = yhat - y does not cancel.
inline void part_targets(oracle::Network& net, const oracle::Vector& prediction) {
  for (std::size_t j = 0; j < net.y.size(); ++j)
    net.y[j] = -std::copysign(net.y[j], prediction[j]);
}

/// Draws until ill_conditioned() is content, which it must be within 60 draws: no shape is left
/// out.
inline Problem draw_problem(const Shape& shape, Precision precision, Draw draw, bool relu_injection,
                            bool skip, std::uint64_t seed) {
  constexpr int most_draws = 60;
  for (int redraws = 0; redraws < most_draws; ++redraws) {
    oracle::Network net = random_network(shape, relu_injection, skip, seed);
    std::optional<Model> model;
    if (draw == Draw::given) {
      net.A = Random(seed + 1).uneven(shape.m);
      model.emplace(model_of(net, precision));
    } else {
      const ModelOptions options{
          .gamma = shape.gamma, .injection = injection_of(net), .skip = skip};
      const WeightLaw law = draw == Draw::lattice ? WeightLaw::lattice : WeightLaw::gaussian;
      model.emplace(backend(), precision, options, shape.m, shape.d, law, seed);
      Weights drawn = download_weights(backend(), *model);
      net.A = std::move(drawn.A);
      net.W = std::move(drawn.W);
      net.u = std::move(drawn.u);
      net.v = std::move(drawn.v);
      net.v.resize(net.u.size());
    }
    const oracle::Equilibrium forward = oracle::equilibrium(net, oracle::injection(net));
    if (forward.converged)
      part_targets(net, oracle::predict(net, forward.Z, oracle::injection(net)));
    oracle::Solution truth = oracle::solve(net);
    if (!ill_conditioned(net, truth, kink_of(precision)))
      return {std::move(net), std::move(truth), std::move(*model), redraws};
    seed += 1000;
  }
  throw std::runtime_error("no well-conditioned network of this shape in 60 draws");
}

// ---- the solvers, without a trainer

/// What the backend makes of a network: everything that `solve` writes but for the gradients.
struct Answer {
  SolveReport forward, adjoint;
  HostMatrix Phi, Z, P, L;
  std::vector<double> prediction;
  HostMatrix H, G;
};

inline Answer solve(const Model& model, const HostMatrix& X, const SolveOptions& options) {
  Backend& on = backend();
  const Element real = real_of(model.precision());
  const Index m = model.width(), n = X.columns;
  const Matrix inputs = upload(real, X);
  Matrix Phi = on.allocate(real, m, n);
  on.inject(model.W, inputs, model.options.injection, Sums::native, Phi);

  Answer answer;
  EquilibriumSolver equilibrium(on, model.precision(), m, n);
  answer.forward = equilibrium.solve(model, Phi, options);
  answer.Phi = download(Phi);
  answer.Z = download(equilibrium.Z());
  answer.P = download(equilibrium.P());
  answer.prediction = on.readout(model.u, equilibrium.Z(), model.skip(), Phi);

  AdjointSolver adjoint(on, model.precision(), m, n);
  answer.adjoint = adjoint.solve(model, equilibrium.P(), options);
  answer.L = download(adjoint.L());
  Grams grams;
  on.gram({.Z = equilibrium.Z(),
           .L = adjoint.L(),
           .Phi = Phi,
           .v = model.skip(),
           .X = inputs,
           .s = model.s(),
           .injection = model.options.injection},
          grams);
  answer.H = std::move(grams.ntk);
  answer.G = std::move(grams.features);
  return answer;
}

/// Tight enough for the accuracy required: an error of 3.3 times the residual (ill_conditioned())
/// in Z and L, four times that in H, stays below 1e-12 and 2e-6.
inline SolveOptions tight(Precision precision) {
  const double wanted = precision == Precision::fp64 ? 5e-14 : 1.2e-7;
  return {.tolerance = std::max(wanted, smallest_tolerance(precision)), .max_sweeps = 1000};
}

}  // namespace widedeq::test
