// `widedeq limit`: the arrays and their shapes, and mistakes.
#include <algorithm>
#include <csignal>

#include "tests/cli/cli_support.hpp"

namespace widedeq::test {
namespace {

TEST_F(CliTest, LimitWritesEveryArrayInItsShape) {
  constexpr Index n = 5;
  write_npy(path("X.npy"), {n, 3}, wave(n * 3, 0.1));
  const Result result = run("limit --inputs X.npy --gamma 0.4 --out o.npz");
  ASSERT_EQ(result.code, 0) << result.error;
  EXPECT_EQ(result.error, "");
  for (const char* part : {"o.npz", "samples", "lambda_min(H)", "fixed-point error", "quadrature"})
    EXPECT_NE(result.output.find(part), std::string::npos) << part;
  const auto arrays = read_npz(path("o.npz"));
  const std::map<std::string, std::vector<Index>> shapes = {{"K", {n, n}},
                                                            {"Q", {n, n}},
                                                            {"H", {n, n}},
                                                            {"G", {n, n}},
                                                            {"eigenvalues", {n}},
                                                            {"lambda_min", {}},
                                                            {"fixed_point_error", {}},
                                                            {"quadrature_error", {}}};
  ASSERT_EQ(arrays.size(), shapes.size());
  for (const auto& [name, shape] : shapes) {
    ASSERT_TRUE(arrays.contains(name)) << name;
    EXPECT_EQ(arrays.at(name).shape, shape) << name;
    EXPECT_EQ(arrays.at(name).type, NpyType::float64) << name;
  }
  // What was asked of them: 1e-10 and 1e-8. Eigenvalues sum to the trace.
  EXPECT_LE(arrays.at("fixed_point_error").values[0], 1e-10);
  EXPECT_LE(arrays.at("quadrature_error").values[0], 1e-8);
  const auto& eigenvalues = arrays.at("eigenvalues").values;
  EXPECT_TRUE(std::is_sorted(eigenvalues.begin(), eigenvalues.end()));
  EXPECT_EQ(arrays.at("lambda_min").values[0], eigenvalues[0]);
  double trace = 0.0, sum = 0.0;
  for (std::size_t i = 0; i < n; ++i) {
    trace += arrays.at("H").values[i * n + i];
    sum += eigenvalues[i];
  }
  EXPECT_NEAR(sum, trace, 1e-12 * trace);
}

// Linear injection on the axes: angles 0 and pi/2. On the diagonal, with unit vectors and g =
// gamma^2,
//   K = 1/(2 - g),  D0 = 1/2,  Q = 1/(2 - g),  H = g Q K + Q + K [+ 2 with the skip]
// The rows of the file are samples: the second has length 3, and 9 times as large a K.
TEST_F(CliTest, LimitOfSamplesOnTheAxes) {
  write_npy(path("X.npy"), {2, 3}, std::vector<double>{1.0, 0.0, 0.0, 0.0, 3.0, 0.0});
  const std::string limit = "limit --inputs X.npy --gamma 0.5 --injection linear --out o.npz ";
  const double K = 1.0 / 1.75, H = 0.25 * K * K + 2.0 * K;
  ASSERT_EQ(run(limit).code, 0);
  auto arrays = read_npz(path("o.npz"));
  EXPECT_NEAR(arrays.at("K").values[0], K, 1e-14);
  EXPECT_NEAR(arrays.at("K").values[3], 9.0 * K, 1e-13);
  EXPECT_NEAR(arrays.at("Q").values[3], K, 1e-14);
  EXPECT_NEAR(arrays.at("H").values[0], H + 2.0, 1e-14);
  EXPECT_NEAR(arrays.at("G").values[3], 9.0, 1e-13);
  EXPECT_EQ(arrays.at("H").values[1], arrays.at("H").values[2]);
  ASSERT_EQ(run(limit + "--no-skip").code, 0);
  arrays = read_npz(path("o.npz"));
  EXPECT_NEAR(arrays.at("H").values[0], H, 1e-14);
  // Another injection is another file; threads are not.
  const std::string linear = read_text(path("o.npz"));
  ASSERT_EQ(run(limit + "--no-skip --threads 1").code, 0);
  EXPECT_EQ(read_text(path("o.npz")), linear);
  ASSERT_EQ(run(limit + "--no-skip --injection relu").code, 0);
  EXPECT_GT(read_npz(path("o.npz")).at("K").values[0], K);
}

TEST_F(CliTest, LimitTakesInputsAsTheyAreAndWarnsOfDuplicates) {
  auto inputs = wave(12, 0.1);
  for (std::size_t i = 0; i < 3; ++i)
    inputs[9 + i] = 2.0 * inputs[i];
  write_npy(path("X.npy"), {4, 3}, inputs);
  const Result result = run("limit --inputs X.npy --gamma 0.4 --out o.npz");
  EXPECT_EQ(result.code, 0) << result.error;
  ASSERT_EQ(result.complaints().size(), 1U);
  EXPECT_NE(result.complaints()[0].find("warning: samples 0 and 3"), std::string::npos);
  const auto K = read_npz(path("o.npz")).at("K").values;
  EXPECT_NEAR(K[15], 4.0 * K[0], 1e-14 * K[15]);
}

TEST_F(CliTest, LimitRefusesMistakes) {
  write_npy(path("X.npy"), {4, 3}, wave(12, 0.1));
  expect_refused("limit --inputs X.npy --gamma 1.42 --out o.npz", 2, {"1.42", "sqrt(2)"});
  expect_refused("limit --inputs X.npy --gamma 0 --out o.npz", 2, {"--gamma 0"});
  expect_refused("limit --inputs X.npy --out o.npz", 2, {"--gamma is missing"});
  expect_refused("limit --gamma 0.4 --out o.npz", 2, {"--inputs is missing"});
  expect_refused("limit --inputs X.npy --gamma 0.4", 2, {"--out is missing"});
  expect_refused("limit --inputs X.npy --gamma 0.4 --width 3 --out o.npz", 2, {"--width"});
  expect_refused("limit --inputs X.npy --gamma 0.4 --out X.npy", 2, {"its own input"});
  expect_refused("limit --inputs none.npy --gamma 0.4 --out o.npz", 74, {"none.npy"});
  expect_refused("limit --inputs X.npy --gamma 0.4 --out no/o.npz", 74, {"no"});

  auto inputs = wave(12, 0.1);
  std::fill(inputs.begin() + 6, inputs.begin() + 9, 0.0);
  write_npy(path("X.npy"), {4, 3}, inputs);
  expect_refused("limit --inputs X.npy --gamma 0.4 --out o.npz", 3, {"sample 2 is all zeros"});
  inputs[7] = NAN;
  write_npy(path("X.npy"), {4, 3}, inputs);
  expect_refused("limit --inputs X.npy --gamma 0.4 --out o.npz", 3, {"nan", "X.npy"});
  inputs[7] = 1e200;
  write_npy(path("X.npy"), {4, 3}, inputs);
  expect_refused("limit --inputs X.npy --gamma 0.4 --out o.npz", 4, {"not finite", "scale"});
  write_text("X.npy", "this is no array");
  expect_refused("limit --inputs X.npy --gamma 0.4 --out o.npz", 3, {"X.npy"});
}

TEST_F(CliTest, ASignalLeavesNothingBehind) {
  write_npy(path("X.npy"), {1200, 9}, wave(1200 * 9, 0.1));
  const auto before = files();
  const std::string script =
      "cd '" + directory.string() +
      "'; '" WIDEDEQ_BINARY
      "' limit --inputs X.npy --gamma 0.5 --out l.npz >/dev/null 2>&1 & p=$!; "
      "for i in $(seq 9000); do ls -A | grep -q tmp && break; sleep 0.001; done; "
      "ls -A | grep -q tmp || exit 99; kill -TERM $p; wait $p";
  const int status = std::system(script.c_str());
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 128 + SIGTERM);
  EXPECT_EQ(files(), before);
}

}  // namespace
}  // namespace widedeq::test
