// `widedeq solve`: the arrays, their shapes and NumPy's orientation.
#include <algorithm>

#include "tests/cli/cli_support.hpp"

namespace widedeq::test {
namespace {

class SolveCliTest : public CliTest {
 protected:
  /// The arrays of a solve of X.npy, y.npy and w.npz.
  std::map<std::string, NpyArray> solve(const std::string& more) const {
    const Result result =
        run("solve --weights w.npz --inputs X.npy --targets y.npy --gamma 0.4 --out o.npz " + more);
    EXPECT_EQ(result.code, 0) << result.error;
    return read_npz(path("o.npz"));
  }
};

TEST_F(SolveCliTest, WritesEveryArrayInItsShape) {
  constexpr Index m = 6, n = 4, d = 3;
  write_problem(m, n, d);
  const auto arrays = solve("--precision fp64 --tolerance 1e-13");
  const std::map<std::string, std::vector<Index>> shapes = {{"Z", {n, m}},
                                                            {"prediction", {n}},
                                                            {"adjoint", {n, m}},
                                                            {"ntk", {n, n}},
                                                            {"feature_gram", {n, n}},
                                                            {"eigenvalues", {n}},
                                                            {"residual", {n}},
                                                            {"loss", {}},
                                                            {"grad_A", {m, m}},
                                                            {"grad_W", {m, d}},
                                                            {"grad_u", {m}},
                                                            {"grad_v", {m}}};
  ASSERT_EQ(arrays.size(), shapes.size());
  for (const auto& [name, shape] : shapes) {
    ASSERT_TRUE(arrays.contains(name)) << name;
    EXPECT_EQ(arrays.at(name).shape, shape) << name;
    EXPECT_EQ(arrays.at(name).type, NpyType::float64) << name;
  }
  fs::remove(path("o.npz"));
  ASSERT_EQ(run("solve --weights w.npz --inputs X.npy --gamma 0.4 --out o.npz").code, 0);
  EXPECT_EQ(read_npz(path("o.npz")).size(), 7U);
}

// Everything that a transposed matrix would break, by plain loops over the arrays as NumPy indexes
// them: row i, column j of an (r, c) array is values[i c + j].
TEST_F(SolveCliTest, EquationsHoldInNumPysOrientation) {
  constexpr std::size_t m = 6, n = 4, d = 3;
  write_problem(m, n, d);
  const auto weights = read_npz(path("w.npz"));
  const auto X = read_npy(path("X.npy")).values, y = read_npy(path("y.npy")).values;
  const auto& A = weights.at("A").values;
  const auto& W = weights.at("W").values;
  const auto& u = weights.at("u").values;
  const auto& v = weights.at("v").values;
  const double s = 0.4 / std::sqrt(6.0);
  const auto out = solve("--precision fp64 --tolerance 1e-13");
  const auto& Z = out.at("Z").values;
  const auto& L = out.at("adjoint").values;
  double loss = 0.0;
  std::vector<double> grad_A(m * m), grad_W(m * d), grad_u(m), grad_v(m);
  for (std::size_t k = 0; k < n; ++k) {
    std::vector<double> Phi(m), P(m);
    for (std::size_t i = 0; i < m; ++i) {
      double h = 0.0;
      for (std::size_t j = 0; j < d; ++j)
        h += W[i * d + j] * X[k * d + j];
      Phi[i] = std::max(h, 0.0) / std::sqrt(6.0);
      P[i] = Phi[i];
      for (std::size_t j = 0; j < m; ++j)
        P[i] += s * A[i * m + j] * Z[k * m + j];
      EXPECT_NEAR(Z[k * m + i], std::max(P[i], 0.0), 1e-12);
    }
    double prediction = 0.0;
    for (std::size_t i = 0; i < m; ++i)
      prediction += u[i] * Z[k * m + i] + v[i] * Phi[i];
    EXPECT_NEAR(out.at("prediction").values[k], prediction, 1e-12);
    const double r = prediction - y[k];
    loss += 0.5 * r * r;
    for (std::size_t i = 0; i < m; ++i) {
      double back = u[i];
      for (std::size_t j = 0; j < m; ++j)
        back += s * A[j * m + i] * L[k * m + j];
      EXPECT_NEAR(L[k * m + i], P[i] > 0.0 ? back : 0.0, 1e-11);
      const double B = Phi[i] > 0.0 ? L[k * m + i] + v[i] : 0.0;
      for (std::size_t j = 0; j < m; ++j)
        grad_A[i * m + j] += s * L[k * m + i] * r * Z[k * m + j];
      for (std::size_t j = 0; j < d; ++j)
        grad_W[i * d + j] += B * r * X[k * d + j] / std::sqrt(6.0);
      grad_u[i] += Z[k * m + i] * r;
      grad_v[i] += Phi[i] * r;
    }
    EXPECT_LE(out.at("residual").values[k], 1e-13);
  }
  EXPECT_NEAR(out.at("loss").values[0], loss, 1e-12);
  const auto expect_equal = [&](const char* name, const std::vector<double>& expected) {
    for (std::size_t i = 0; i < expected.size(); ++i)
      EXPECT_NEAR(out.at(name).values[i], expected[i], 1e-11) << name << " at " << i;
  };
  expect_equal("grad_A", grad_A);
  expect_equal("grad_W", grad_W);
  expect_equal("grad_u", grad_u);
  expect_equal("grad_v", grad_v);

  const auto& eigenvalues = out.at("eigenvalues").values;
  EXPECT_TRUE(std::is_sorted(eigenvalues.begin(), eigenvalues.end()));
  double trace = 0.0, sum = 0.0;
  for (std::size_t k = 0; k < n; ++k) {
    trace += out.at("ntk").values[k * n + k];
    sum += eigenvalues[k];
  }
  EXPECT_NEAR(trace, sum, 1e-12 * trace);
}

// Squares of single-precision numbers of this size are zero in single precision: a norm taken there
// calls any answer converged.
TEST_F(SolveCliTest, SmallInputsGiveSmallAnswersNotZeros) {
  write_problem(6, 4, 3);
  for (const std::string precision : {"fp32", "mixed"}) {
    if (precision == "mixed" && !has_mixed()) continue;
    const auto full = solve("--precision " + precision);
    auto X = read_npy(path("X.npy"));
    const auto kept = X.values;
    for (double& x : X.values)
      x *= 0x1p-70;
    write_npy(path("X.npy"), X.shape, X.values);
    const auto small = solve("--precision " + precision);
    write_npy(path("X.npy"), X.shape, kept);
    // The network is homogeneous in its inputs.
    const auto& Z = full.at("Z").values;
    const double largest = *std::max_element(Z.begin(), Z.end());
    for (std::size_t i = 0; i < Z.size(); ++i)
      EXPECT_NEAR(small.at("Z").values[i] * 0x1p70, Z[i], 1e-5 * largest) << precision;
  }
}

TEST_F(SolveCliTest, WritesNothingRatherThanANumberThatIsNotFinite) {
  write_problem(6, 4, 3);
  write_npy(path("y.npy"), {4}, std::vector<double>{1e200, -1e200, 1e200, 1e200});
  const Result result =
      run("solve --weights w.npz --inputs X.npy --targets y.npy --gamma 0.4 --out o.npz "
          "--precision fp32");
  EXPECT_EQ(result.code, 4) << result.error;
  EXPECT_FALSE(fs::exists(path("o.npz")));
}

TEST_F(SolveCliTest, DoesNotReplaceItsOwnInputs) {
  write_problem(6, 4, 3);
  const Result result = run("solve --weights w.npz --inputs X.npy --gamma 0.4 --out w.npz");
  EXPECT_EQ(result.code, 2) << result.error;
  EXPECT_EQ(read_npz(path("w.npz")).size(), 4U);
}

TEST_F(SolveCliTest, DuplicatesAreWarnedOf) {
  write_problem(6, 4, 3);
  auto inputs = wave(12, 0.1);
  std::copy(inputs.begin(), inputs.begin() + 3, inputs.begin() + 9);
  write_npy(path("X.npy"), {4, 3}, inputs);
  const Result result = run("solve --weights w.npz --inputs X.npy --gamma 0.4 --out o.npz");
  EXPECT_EQ(result.code, 0) << result.error;
  ASSERT_EQ(result.complaints().size(), 1U);
  EXPECT_NE(result.complaints()[0].find("warning: samples 0 and 3"), std::string::npos);
}

TEST_F(SolveCliTest, ReadsTheWeightsOfARun) {
  write_problem(6, 4, 3);
  ASSERT_EQ(run("train --weights w.npz --data npy:X.npy,y.npy --precision fp64 --gamma 0.4 "
                "--epochs 0 --out run")
                .code,
            0);
  const auto before = read_npz(path("w.npz")), after = read_npz(path("run/weights.npz"));
  for (const char* name : {"A", "W", "u", "v"}) {
    EXPECT_EQ(before.at(name).shape, after.at(name).shape);
    EXPECT_EQ(before.at(name).values, after.at(name).values) << name;
  }
}

}  // namespace
}  // namespace widedeq::test
