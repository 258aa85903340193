// Certificates against the truth in extended precision: what is certified is true, most sound
// networks are certified, and the bounds are not far off.
#include "host/certificate.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/host/extended.hpp"
#include "tests/support.hpp"

namespace widedeq {
namespace {

using test::backend;
using Real = extended::Real;

double median(std::vector<double> values) {
  if (values.empty()) return NAN;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// A random small network, solved and perhaps trained, with its certificates.
struct Example {
  Precision precision = Precision::fp64;
  std::optional<Model> model;
  HostMatrix X;  // as the model holds it
  std::optional<Trainer> trainer;
  CertifyOptions options;
  bool trained = false;

  explicit Example(std::uint64_t seed) {
    test::Random random(seed);
    const Index m = random.integer(4, 40), n = random.integer(1, 8), d = random.integer(2, 8);
    precision = std::array{Precision::fp64, Precision::fp32, Precision::mixed}[seed % 3];
    if (precision == Precision::mixed && !backend().why_not_mixed().empty())
      precision = Precision::fp32;
    const Draw draw{seed % 4 < 2 ? WeightLaw::lattice : WeightLaw::gaussian, seed};
    const ModelOptions how{.gamma = random.uniform(0.05, 0.45),
                           .injection = seed % 2 == 0 ? Injection::relu : Injection::linear,
                           .skip = seed % 8 < 4};
    const bool is_fine = precision == Precision::fp64;
    const double tolerance = std::max(std::pow(10.0, random.uniform(is_fine ? -12.0 : -7.0, -5.0)),
                                      smallest_tolerance(precision));
    model.emplace(backend(), precision, how, m, d, draw.law, seed);
    X = test::rounded(real_of(precision), random.sphere(d, n));
    trainer.emplace(backend(), *model, X, random.vector(n),
                    SolveOptions{.tolerance = tolerance, .max_sweeps = 1000});
    // A fifth of them has been trained, a third must do without Cholesky, a sixth knows no draw.
    trained = seed % 5 == 0;
    for (int epoch = 0; trained && epoch < 3; ++epoch) {
      if (!trainer->evaluate().converged()) break;
      trainer->update(0.05);
    }
    trainer->evaluate();
    if (seed % 3 != 0 || seed % 2 == 0) options.norm.draw = draw;
    if (seed % 11 % 3 == 0) options.norm.cholesky_limit = 0;
    // Refined Z and L leave little that bounds could be wrong about: half go without.
    if (seed % 14 < 7) options.refine_steps = 0;
  }
};

/// How many of the three were certified, and by what factor they missed the truth.
struct Tally {
  int networks = 0, trained = 0;
  std::vector<double> q, distance, lambda_min;  // slacks, 1 or more

  void add(std::uint64_t seed) {
    const Example example(seed);
    const Certificates is = certify(backend(), *example.model, *example.trainer, example.options);
    ++networks;
    if (is.contraction.verdict != Verdict::certified) return;
    const extended::Truth truth = extended::truth_of(*example.model, example.X);
    trained += example.trained ? 1 : 0;
    const auto where = [&] { return testing::Message() << "seed " << seed; };

    EXPECT_LE(truth.q, Real(is.contraction.value)) << where();
    q.push_back(static_cast<double>(is.contraction.value / truth.q));

    const HostMatrix Z = test::download(example.trainer->Z());
    Real worst = 0;
    for (Index j = 0; j < Z.columns; ++j) {
      Real squares = 0, size = 0;
      for (Index i = 0; i < Z.rows; ++i) {
        squares += (truth.Z(i, j) - Z(i, j)) * (truth.Z(i, j) - Z(i, j));
        size += Real(Z(i, j)) * Z(i, j);
      }
      EXPECT_LE(std::sqrt(squares), Real(is.distances[static_cast<std::size_t>(j)])) << where();
      if (squares > 0) worst = std::max(worst, std::sqrt(squares / size));
    }
    if (is.distance.verdict == Verdict::certified) {
      EXPECT_LE(worst, Real(is.distance.value)) << where();
      distance.push_back(worst > 0 ? static_cast<double>(is.distance.value / worst) : 1.0);
    }

    if (is.lambda_min.verdict == Verdict::certified) {
      EXPECT_GT(is.lambda_min.value, 0.0) << where();
      EXPECT_GE(truth.lambda_min, Real(is.lambda_min.value)) << where();
      lambda_min.push_back(static_cast<double>(truth.lambda_min / is.lambda_min.value));
    }
  }

  void expect_true_and_useful() const {
    const double all = networks;
    std::cout << networks << " networks. Certified: q " << q.size() << " (" << trained
              << " trained), distance " << distance.size() << ", lambda_min " << lambda_min.size()
              << ". Median slack: q " << median(q) << ", distance " << median(distance)
              << ", lambda_min " << median(lambda_min) << "\n";
    EXPECT_GT(static_cast<double>(q.size()), 0.6 * all);
    EXPECT_GT(static_cast<double>(distance.size()), 0.6 * all);
    EXPECT_GT(static_cast<double>(lambda_min.size()), 0.5 * all);
    EXPECT_GT(trained, networks / 20);
    EXPECT_LT(median(q), 10.0);
    EXPECT_LT(median(distance), 10.0);
    EXPECT_LT(median(lambda_min), 10.0);
  }
};

TEST(CertificateTruth, HoldsOnAHundredNetworks) {
  Tally tally;
  for (std::uint64_t seed = 5000; seed < 5100; ++seed)
    tally.add(seed);
  tally.expect_true_and_useful();
}

TEST(CertificateTruth, HoldsOnAThousandNetworksSlow) {
  Tally tally;
  for (std::uint64_t seed = 1; seed <= 1000; ++seed)
    tally.add(seed);
  tally.expect_true_and_useful();
}

}  // namespace
}  // namespace widedeq
