// Finite networks come to the limit as m^-1/2: Z'Z, L'L/m, Phi'Phi and the NTK, drawn and solved by
// the library, against K, Q, G and H. So does, much nearer, their mean over seeds.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "host/spectrum.hpp"
#include "host/study/width_limit.hpp"
#include "tests/support.hpp"

namespace widedeq {
namespace {

using test::Random;

/// Of networks of one width.
struct KernelErrors {
  double squares = 0.0;  // of relative errors, summed
  HostMatrix sum;        // of the kernels
  const HostMatrix* limit = nullptr;
};

/// By injection and kernel: "relu, Z'Z".
using Errors = std::map<std::string, KernelErrors>;

/// With the skip and without it.
using Limits = std::array<WidthLimit, 2>;

std::string name_of(Injection injection) {
  return injection == Injection::relu ? "relu" : "linear";
}

/// Adds the squares of the relative errors of one network.
void add_errors(const Model& model, const HostMatrix& X, Injection injection, const Limits& limits,
                Errors& errors) {
  Backend& on = test::backend();
  const Index m = model.width(), n = X.columns;
  const Element real = real_of(model.precision());
  const Matrix inputs = test::upload(real, X);
  Matrix Phi = on.allocate(real, m, n);
  on.inject(model.W, inputs, injection, Sums::native, Phi);
  EquilibriumSolver forward(on, model.precision(), m, n);
  ASSERT_EQ(forward.solve(model, Phi, {.tolerance = 1e-5}).status, SolveStatus::converged);
  AdjointSolver adjoint(on, model.precision(), m, n);
  ASSERT_EQ(adjoint.solve(model, forward.P(), {.tolerance = 1e-5}).status, SolveStatus::converged);

  const auto add = [&](const std::string& name, const HostMatrix& is, const HostMatrix& limit) {
    KernelErrors& of = errors[name_of(injection) + ", " + name];
    of.squares += std::pow(relative_distance(is, limit), 2);
    of.limit = &limit;
    if (of.sum.values.empty()) of.sum = HostMatrix(is.rows, is.columns);
    for (std::size_t i = 0; i < is.values.size(); ++i)
      of.sum.values[i] += is.values[i];
  };
  for (const bool skip : {true, false}) {
    Grams grams;
    on.gram({.Z = forward.Z(),
             .L = adjoint.L(),
             .Phi = Phi,
             .v = skip ? model.skip() : ConstBlock(),
             .X = inputs,
             .s = model.s(),
             .injection = injection},
            grams);
    add(skip ? "H with the skip" : "H without the skip", grams.ntk, limits[skip ? 0 : 1].H);
    if (!skip) continue;
    for (double& entry : grams.adjoints.values)
      entry /= static_cast<double>(m);
    add("Z'Z", grams.states, limits[0].K);
    add("L'L/m", grams.adjoints, limits[0].Q);
    add("Phi'Phi", grams.features, limits[0].G);
  }
}

/// The slope of y on x by least squares.
double slope(const std::vector<double>& x, const std::vector<double>& y) {
  double mean_x = 0.0, mean_y = 0.0, xx = 0.0, xy = 0.0;
  const auto count = static_cast<double>(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    mean_x += x[i] / count;
    mean_y += y[i] / count;
  }
  for (std::size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    xy += (x[i] - mean_x) * (y[i] - mean_y);
  }
  return xy / xx;
}

/// Expects the mean over seeds to be as near the limit as its scatter says, but for what a width
/// itself is off by, of the order of 1/m.
void expect_mean(const std::string& name, const KernelErrors& errors, Index width, Index seeds) {
  HostMatrix mean = errors.sum;
  for (double& entry : mean.values)
    entry /= static_cast<double>(seeds);
  const double scatter = std::sqrt(errors.squares) / static_cast<double>(seeds);
  EXPECT_LE(relative_distance(mean, *errors.limit),
            3.0 * scatter + 3.0 / static_cast<double>(width))
      << name << ", m = " << width << ", scatter " << scatter;
}

/// Expects the slope of log error on log width, root mean square over units/m seeds at width m,
/// within `tolerance` of -1/2.
void expect_rate(const std::vector<Index>& widths, Index units, double tolerance) {
  // On the sphere but for two, one short and one long; two of them close to each other.
  HostMatrix X = Random(21).sphere(12, 24);
  for (Index i = 0; i < 12; ++i) {
    X(i, 0) *= 0.3;
    X(i, 1) *= 2.0;
    X(i, 3) = X(i, 2) + 0.1 * X(i, 4);
  }
  constexpr double gamma = 0.5;
  std::map<Injection, Limits> limits;
  for (const Injection injection : {Injection::relu, Injection::linear})
    for (const bool skip : {true, false})
      limits[injection][skip ? 0 : 1] =
          width_limit(X, {.gamma = gamma, .injection = injection, .skip = skip});

  Backend& on = test::backend();
  std::vector<double> log_width;
  std::map<std::string, std::vector<double>> log_error;
  for (const Index width : widths) {
    Errors errors;
    const Index seeds = units / width;
    for (Index seed = 0; seed < seeds; ++seed) {
      const Model model(on, on.fastest_precision(), {.gamma = gamma}, width, X.rows,
                        WeightLaw::lattice, static_cast<std::uint64_t>(10000 * width + seed));
      for (const Injection injection : {Injection::relu, Injection::linear})
        add_errors(model, X, injection, limits[injection], errors);
    }
    log_width.push_back(std::log(static_cast<double>(width)));
    for (const auto& [name, of] : errors) {
      log_error[name].push_back(0.5 * std::log(of.squares / static_cast<double>(seeds)));
      expect_mean(name, of, width, seeds);
    }
  }
  ASSERT_EQ(log_error.size(), 10U);
  for (const auto& [name, errors] : log_error) {
    const double rate = slope(log_width, errors);
    std::printf("  %-27s error %.4f at m = %lld, %.4f at m = %lld, exponent %.3f\n", name.c_str(),
                std::exp(errors.front()), static_cast<long long>(widths.front()),
                std::exp(errors.back()), static_cast<long long>(widths.back()), rate);
    EXPECT_NEAR(rate, -0.5, tolerance) << name;
  }
}

// At worst one direction makes all of an error (the common scale of a Gram), and its square is
// chi-square with one degree of freedom; then the log of the root mean square of k of them has the
// standard deviation sqrt(1/(2 k)). With x = log m, the slope's variance is the sum over widths of
// (x - mean)^2 / (2 k), over the square of the sum of (x - mean)^2:
//   quick: k = 256 ... 32, standard deviation 0.059, and 0.15 is two and a half
//   slow:  k = 1024 ... 32, standard deviation 0.029, and 0.1 is more than three
TEST(WidthLimitNetworks, ErrorFallsAsTheRootOfTheWidth) {
  expect_rate({256, 512, 1024, 2048}, 1 << 16, 0.15);
}

TEST(WidthLimitNetworks, SlowErrorFallsAsTheRootOfTheWidth) {
  expect_rate({256, 512, 1024, 2048, 4096, 8192}, 1 << 18, 0.1);
}

}  // namespace
}  // namespace widedeq
