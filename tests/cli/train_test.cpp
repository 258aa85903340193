// `widedeq train`: the run directory, its records, repeatability, and runs that fail half-way.

#include <fmt/format.h>

#include "host/data/dataset.hpp"
#include "tests/cli/cli_support.hpp"
#include "tests/oracle.hpp"

namespace widedeq::test {
namespace {

const char* const small = "train --width 64 --samples 40 --epochs 12 --gram-every 5 ";

TEST_F(CliTest, AGoodRunWritesItsDirectory) {
  const Result result = run(std::string(small) + "--out a/run");
  ASSERT_EQ(result.code, 0) << result.error;
  EXPECT_EQ(result.complaints().size(), 0U);
  for (const char* part :
       {"a/run", "12 epochs", "lambda_min", "lambda_max", "measured", "predicted"})
    EXPECT_NE(result.output.find(part), std::string::npos) << part;
  EXPECT_EQ(result.error.find('\x1b'), std::string::npos);  // no terminal, no escape codes

  const fs::path out = directory / "a/run";
  EXPECT_EQ(read_text(out / "STATUS"), "done\n");
  EXPECT_NE(read_text(out / "log.txt").find("epoch"), std::string::npos);
  const auto provenance = nlohmann::json::parse(read_text(out / "provenance.json"));
  for (const char* key : {"version", "commit", "build", "libraries", "processor", "host", "threads",
                          "backend", "started", "command_line"})
    EXPECT_TRUE(provenance.contains(key)) << key;

  const auto records = read_records(out / "metrics.jsonl");
  ASSERT_FALSE(records.empty());
  EXPECT_EQ(records[0].at("kind"), "run");
  EXPECT_EQ(records[0].at("schema"), 1);
  EXPECT_EQ(records[0].at("samples"), 40);
  EXPECT_EQ(records[0].at("inputs"), 64);
  EXPECT_EQ(records[0].at("config").at("width"), 64);
  EXPECT_GT(records[0].at("learning_rate").get<double>(), 0.0);

  const auto epochs = of_kind(records, "epoch");
  ASSERT_EQ(epochs.size(), 12U);
  for (std::size_t k = 0; k < epochs.size(); ++k) {
    EXPECT_EQ(epochs[k].size(), epochs[k].contains("audit_forward") ? 12U : 10U);
    EXPECT_EQ(epochs[k].at("epoch"), k);
    EXPECT_LE(epochs[k].at("residual_forward").get<double>(), 1e-6);
    EXPECT_LE(epochs[k].at("residual_adjoint").get<double>(), 1e-6);
    EXPECT_GT(epochs[k].at("sweeps_forward").get<int>(), 0);
    EXPECT_GT(epochs[k].at("gradient_norm").get<double>(), 0.0);
    EXPECT_GT(epochs[k].at("seconds").get<double>(), 0.0);
    if (k > 0) {
      EXPECT_LT(epochs[k].at("loss"), epochs[k - 1].at("loss"));
    }
  }

  // The last epoch is audited: its residuals as found before anything was mended.
  EXPECT_LE(epochs.back().at("audit_forward").get<double>(), 1.2e-6);
  EXPECT_LE(epochs.back().at("audit_adjoint").get<double>(), 1.2e-6);

  const auto grams = of_kind(records, "gram");
  ASSERT_EQ(grams.size(), 3U);
  for (std::size_t k = 0; k < grams.size(); ++k) {
    EXPECT_EQ(grams[k].size(), 10U);
    EXPECT_EQ(grams[k].at("epoch"), 5 * k);
    EXPECT_LT(grams[k].at("lambda_min"), grams[k].at("lambda_max"));
    const std::string number = std::to_string(1000000 + 5 * k).substr(1);
    const NpyArray eigenvalues =
        read_npy((out / "gram" / ("eigenvalues-" + number + ".npy")).string());
    EXPECT_EQ(eigenvalues.values.front(), grams[k].at("lambda_min").get<double>());
    EXPECT_EQ(eigenvalues.values.back(), grams[k].at("lambda_max").get<double>());
  }
  EXPECT_EQ(grams[0].at("drift"), 0.0);
  // auto: 1 / lambda_max(H(0))
  EXPECT_DOUBLE_EQ(records[0].at("learning_rate").get<double>(),
                   1.0 / grams[0].at("lambda_max").get<double>());
  for (const char* name : {"gram/ntk-first.npy", "gram/ntk-last.npy"})
    EXPECT_EQ(read_npy((out / name).string()).shape, (std::vector<Index>{40, 40}));
  const auto weights = read_npz((out / "weights.npz").string());
  EXPECT_EQ(weights.at("A").shape, (std::vector<Index>{64, 64}));
  EXPECT_EQ(weights.at("W").shape, (std::vector<Index>{64, 64}));
  EXPECT_EQ(weights.at("u").shape, (std::vector<Index>{64}));
  EXPECT_EQ(weights.at("v").shape, (std::vector<Index>{64}));

  // The place is taken now, and stays as it is.
  expect_refused(std::string(small) + "--out a/run", 2, {"another run", "done", "--out"});
}

TEST_F(CliTest, HeldOutSamplesNormsAndTheWayFromTheStartAreRecorded) {
  const std::string options =
      "train --width 48 --samples 30 --classes 0,1,2 --precision fp64 --tolerance 1e-12 "
      "--learning-rate 0.02 --test-samples 12 --test-every 2 --norm-every 3 ";
  for (const int epochs : {0, 4})
    ASSERT_EQ(run(options + fmt::format("--gram-every 0 --epochs {0} --out {0}", epochs)).code, 0);
  const Result result = run(options + "--gram-every 4 --epochs 6 --out run");
  ASSERT_EQ(result.code, 0) << result.error;
  EXPECT_NE(result.output.find("test loss"), std::string::npos) << result.output;
  const auto records = read_records(directory / "run/metrics.jsonl");
  const auto epochs = of_kind(records, "epoch");
  ASSERT_EQ(epochs.size(), 6U);
  for (std::size_t k = 0; k < 6; ++k) {
    EXPECT_TRUE(epochs[k].contains("error"));
    EXPECT_EQ(epochs[k].contains("test_loss"), k % 2 == 0 || k == 5) << k;
    EXPECT_EQ(epochs[k].contains("test_error"), k % 2 == 0 || k == 5) << k;
    EXPECT_EQ(epochs[k].contains("operator_norm"), k % 3 == 0) << k;
  }

  // The weights before epoch 4, and the held-out samples, answered by another command.
  const Dataset data =
      load_dataset({.source = "digits", .classes = {0, 1, 2}, .samples = 30, .held_out = 12});
  const Samples& test = data.held_out;
  write_npy(path("X.npy"), {12, 64}, test.inputs.values);
  write_npy(path("y.npy"), {12}, test.targets);
  ASSERT_EQ(run("solve --weights 4/weights.npz --inputs X.npy --targets y.npy --gamma 0.5 "
                "--precision fp64 --tolerance 1e-12 --out test.npz")
                .code,
            0);
  const auto solution = read_npz(path("test.npz"));
  EXPECT_NEAR(epochs[4].at("test_loss").get<double>(), solution.at("loss").values[0], 1e-9);
  int wrong = 0;
  for (std::size_t j = 0; j < 12; ++j)  // targets -1, 0, 1
    wrong +=
        std::clamp(std::round(solution.at("prediction").values[j]), -1.0, 1.0) != test.targets[j];
  EXPECT_NEAR(epochs[4].at("test_error").get<double>(), wrong / 12.0, 1e-15);

  // ||A(4) - A(0)||_F, and the norm of A from below.
  const auto grams = of_kind(records, "gram");
  ASSERT_EQ(grams.size(), 2U);
  EXPECT_EQ(grams[0].at("distance_A"), 0.0);
  EXPECT_EQ(grams[0].at("flipped"), 0.0);
  const auto start = read_npz(path("0/weights.npz")).at("A").values;
  const auto later = read_npz(path("4/weights.npz")).at("A").values;
  double squares = 0.0;
  for (std::size_t i = 0; i < start.size(); ++i)
    squares += (later[i] - start[i]) * (later[i] - start[i]);
  EXPECT_NEAR(grams[1].at("distance_A").get<double>(), std::sqrt(squares), 1e-12);
  EXPECT_GT(grams[1].at("flipped").get<double>(), 0.0);
  EXPECT_EQ(grams[0].at("operator_norm"), epochs[0].at("operator_norm"));
  for (const char* name : {"gram/state-first.npy", "gram/adjoint-first.npy"})
    EXPECT_EQ(read_npy(path("run/" + std::string(name))).shape, (std::vector<Index>{30, 30}));
}

TEST_F(CliTest, EqualRunsWriteEqualMetrics) {
  ASSERT_EQ(run(std::string(small) + "--out one").code, 0);
  ASSERT_EQ(run(std::string(small) + "--out two").code, 0);
  ASSERT_EQ(run("train --config one/config.toml --out three").code, 0);
  const std::string one = without_times(read_text(path("one/metrics.jsonl")));
  EXPECT_EQ(one, without_times(read_text(path("two/metrics.jsonl"))));
  EXPECT_EQ(read_text(path("one/weights.npz")), read_text(path("two/weights.npz")));
  EXPECT_EQ(read_text(path("one/config.toml")), read_text(path("three/config.toml")));
  EXPECT_EQ(one, without_times(read_text(path("three/metrics.jsonl"))));
}

TEST_F(CliTest, OptionsWinOverTheFile) {
  write_text("run.toml", "width = 32\nsamples = 10\nepochs = 1\nskip = false\n");
  ASSERT_EQ(run("train --config run.toml --width 48 --skip --out run").code, 0);
  const auto config = read_records(path("run/metrics.jsonl")).at(0).at("config");
  EXPECT_EQ(config.at("width"), 48);
  EXPECT_EQ(config.at("samples"), 10);
  EXPECT_EQ(config.at("skip"), true);
}

TEST_F(CliTest, GramsOnlyWhenAskedFor) {
  ASSERT_EQ(run("train --width 32 --samples 10 --epochs 2 --gram-every 0 --out auto").code, 0);
  EXPECT_EQ(of_kind(read_records(path("auto/metrics.jsonl")), "gram").size(), 1U);
  ASSERT_EQ(run("train --width 32 --samples 10 --epochs 2 --gram-every 0 --learning-rate 1e-3 "
                "--out fixed")
                .code,
            0);
  EXPECT_EQ(of_kind(read_records(path("fixed/metrics.jsonl")), "gram").size(), 0U);
  ASSERT_EQ(run("train --width 32 --samples 10 --epochs 0 --out none").code, 0);
  EXPECT_EQ(read_records(path("none/metrics.jsonl")).size(), 1U);
  EXPECT_EQ(read_text(path("none/STATUS")), "done\n");
}

TEST_F(CliTest, GramsDoNotDisturbTheEpochsBesideThem) {
  // Four threads and more, whatever the machine has: below that a Gram has one of its own.
  const std::string command =
      "train --threads 4 --width 256 --samples 200 --epochs 12 --precision fp32 --learning-rate "
      "1e-3 ";
  ASSERT_EQ(run(command + "--gram-every 0 --out alone").code, 0);
  ASSERT_EQ(run(command + "--gram-every 1 --out beside").code, 0);
  const auto alone = of_kind(read_records(path("alone/metrics.jsonl")), "epoch");
  const auto beside = of_kind(read_records(path("beside/metrics.jsonl")), "epoch");
  ASSERT_EQ(alone.size(), beside.size());
  for (std::size_t k = 0; k < alone.size(); ++k)
    for (const char* field : {"loss", "gradient_norm", "residual_forward", "residual_adjoint"})
      EXPECT_EQ(alone[k].at(field), beside[k].at(field)) << "epoch " << k << ", " << field;
}

TEST_F(CliTest, FlippedActivationsAreCountedAlikeInMixed) {
  if (!has_mixed()) GTEST_SKIP() << "no mixed precision here";
  // Units that have gone off keep a trace of what guesses have added to them, far below one unit.
  std::map<std::string, double> flipped;
  for (const std::string precision : {"mixed", "fp64"}) {
    ASSERT_EQ(run("train --width 256 --samples 100 --epochs 61 --gram-every 60 --precision " +
                  precision + " --out " + precision)
                  .code,
              0);
    const auto grams = of_kind(read_records(path(precision + "/metrics.jsonl")), "gram");
    flipped[precision] = grams.back().at("flipped").get<double>();
  }
  EXPECT_GT(flipped["fp64"], 0.005);
  EXPECT_NEAR(flipped["mixed"], flipped["fp64"], 0.02 * flipped["fp64"]);
}

TEST_F(CliTest, NothingToLearnIsNoDivergence) {
  write_problem(64, 100, 4);
  ASSERT_EQ(run("solve --weights w.npz --inputs X.npy --gamma 0.5 --out o.npz").code, 0);
  const NpyArray prediction = read_npz(path("o.npz")).at("prediction");
  write_npy(path("y.npy"), prediction.shape, prediction.values);
  const Result result = run(
      "train --data npy:X.npy,y.npy --weights w.npz --gamma 0.5 --epochs 8 --learning-rate 1e-3 "
      "--gram-every 0 --on-divergence halve --out run");
  EXPECT_EQ(result.code, 0) << result.error;
  EXPECT_TRUE(of_kind(read_records(path("run/metrics.jsonl")), "halved").empty());
}

TEST_F(CliTest, LargeGammaFailsInOneSentence) {
  const Result result = run("train --width 64 --samples 40 --epochs 3 --gamma 20 --out run");
  EXPECT_TRUE(result.code == 4 || result.code == 5) << result.code;
  ASSERT_EQ(result.complaints().size(), 1U) << result.error;
  for (const char* part : {"epoch 0", "sample", "--gamma"})
    EXPECT_NE(result.complaints()[0].find(part), std::string::npos) << result.complaints()[0];
  EXPECT_TRUE(read_text(path("run/STATUS")).starts_with("failed: the forward solve"))
      << read_text(path("run/STATUS"));
  const auto records = read_records(path("run/metrics.jsonl"));
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0].at("kind"), "run");
  EXPECT_EQ(records[1].at("kind"), "ended");
  EXPECT_EQ(records[1].at("epoch"), 0);
  EXPECT_EQ(records[1].at("cause"), "solve");
  EXPECT_FALSE(fs::exists(path("run/weights.npz")));
}

TEST_F(CliTest, GrowingLossFailsInOneSentence) {
  const Result result =
      run("train --width 64 --samples 40 --epochs 50 --learning-rate 1 --out run");
  EXPECT_EQ(result.code, 4) << result.error;
  ASSERT_EQ(result.complaints().size(), 1U) << result.error;
  EXPECT_NE(result.complaints()[0].find("--learning-rate"), std::string::npos)
      << result.complaints()[0];
  EXPECT_TRUE(read_text(path("run/STATUS")).starts_with("failed: "));
  const auto last = read_records(path("run/metrics.jsonl")).back();
  EXPECT_EQ(last.at("kind"), "ended");
  EXPECT_TRUE(last.at("cause") == "loss" || last.at("cause") == "solve") << last;
  EXPECT_EQ("failed: " + last.at("reason").get<std::string>() + "\n",
            read_text(path("run/STATUS")));
}

TEST_F(CliTest, SweepsRunningOutAreNotConverged) {
  const Result result =
      run("train --width 64 --samples 40 --epochs 3 --max-sweeps 2 --precision fp64 --out run");
  EXPECT_EQ(result.code, 5) << result.error;
  ASSERT_EQ(result.complaints().size(), 1U);
  EXPECT_NE(result.complaints()[0].find("after 2 sweeps"), std::string::npos)
      << result.complaints()[0];
}

TEST_F(CliTest, FewerThreadsThanThereAreCoresWillDo) {
  // Products as large as this are oneDNN's, which waits for all threads it has asked for.
  const std::string command =
      "train --width 704 --samples 360 --epochs 1 --gram-every 0 --learning-rate 1e-3 "
      "--precision fp32 ";
  const std::string limit = "OMP_THREAD_LIMIT=1 timeout -s KILL 100";
  ASSERT_EQ(run(command + "--threads 1 --out one").code, 0);
  ASSERT_EQ(run_with(limit, command + "--out limited").code, 0);
  ASSERT_EQ(run_with("OMP_DYNAMIC=true timeout -s KILL 100", command + "--out dynamic").code, 0);
  const auto loss = [&](const std::string& run) {
    return of_kind(read_records(path(run + "/metrics.jsonl")), "epoch").at(0).at("loss");
  };
  EXPECT_EQ(loss("limited"), loss("one"));
  EXPECT_NEAR(loss("dynamic").get<double>() / loss("one").get<double>(), 1.0, 1e-6);
  EXPECT_NE(run_with(limit, "info").output.find("cpu: 1 thread,"), std::string::npos);
}

TEST_F(CliTest, ASignalStopsAfterTheEpoch) {
  // The shell sends the signal when the first epochs are in.
  const std::string script =
      "cd '" + directory.string() + "' && '" WIDEDEQ_BINARY "' train --width 64 --samples 40 " +
      "--epochs 1000000 --gram-every 0 --learning-rate 1e-4 --out run >o 2>e & " +
      "p=$!; for i in $(seq 600); do [ $(cat '" + path("run/metrics.jsonl") +
      "' 2>/dev/null | wc -l) -gt 3 ] && break; sleep 0.1; done; kill -TERM $p; wait $p";
  const int status = std::system(script.c_str());
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 75) << read_text(path("e"));
  EXPECT_EQ(read_text(path("run/STATUS")), "stopped\n");
  EXPECT_TRUE(fs::exists(path("run/weights.npz")));
  EXPECT_GT(of_kind(read_records(path("run/metrics.jsonl")), "epoch").size(), 2U);
}

TEST_F(CliTest, TheGradientsNormIsThatOfSolvesGradients) {
  write_problem(24, 7, 3);
  const std::string network = "--weights w.npz --gamma 0.2 --precision fp64 --tolerance 1e-12 ";
  ASSERT_EQ(run("train --data npy:X.npy,y.npy --epochs 1 --learning-rate 1e-3 --gram-every 0 " +
                network + "--out run")
                .code,
            0);
  ASSERT_EQ(run("solve --inputs X.npy --targets y.npy " + network + "--out s.npz").code, 0);
  double squares = 0.0;
  const auto solved = read_npz(path("s.npz"));
  for (const char* name : {"grad_A", "grad_W", "grad_u", "grad_v"})
    for (const double entry : solved.at(name).values)
      squares += entry * entry;
  const auto epoch = of_kind(read_records(path("run/metrics.jsonl")), "epoch").at(0);
  EXPECT_NEAR(epoch.at("gradient_norm").get<double>(), std::sqrt(squares),
              1e-10 * std::sqrt(squares));
}

TEST_F(CliTest, AContractionThatIsLostEndsTheRunWithOrWithoutGrams) {
  // Targets far away make A grow while the loss falls.
  constexpr Index m = 40, n = 8;
  write_problem(m, n, 4);
  write_npy(path("y.npy"), {n}, std::vector<double>(n, 20.0));
  const std::string command =
      "train --data npy:X.npy,y.npy --weights w.npz --gamma 0.78 --learning-rate 1e-3 --precision "
      "fp64 --audit-every 25 ";
  /// gamma ||A||_2 / sqrt(m) of a run's last weights; A' has the norm of A.
  const auto q_of = [&](const std::string& run) {
    HostMatrix A(m, m);
    A.values = read_npz(path(run + "/weights.npz")).at("A").values;
    return 0.78 * oracle::operator_norm(A) / std::sqrt(static_cast<double>(m));
  };
  // The truth: looked at before epochs 0 and 25 alone, these runs come to their ends.
  for (const int epochs : {0, 25, 40, 50}) {
    const std::string out = "to-" + std::to_string(epochs);
    const Result result =
        run(command + "--gram-every 0 --epochs " + std::to_string(epochs) + " --out " + out);
    ASSERT_EQ(result.code, 0) << result.error;
  }
  EXPECT_LT(q_of("to-0"), 1.0);
  EXPECT_LT(q_of("to-25"), 1.0);
  EXPECT_LT(q_of("to-40"), 1.0);
  EXPECT_GT(q_of("to-50"), 1.01);

  for (const char* grams : {"0", "10"}) {
    const std::string out = std::string("grams-") + grams;
    const Result result = run(command + "--gram-every " + grams + " --epochs 60 --out " + out);
    EXPECT_EQ(result.code, 4) << grams << result.error;
    const auto records = read_records(path(out + "/metrics.jsonl"));
    ASSERT_FALSE(records.empty());
    EXPECT_EQ(records.back().at("kind"), "ended") << grams;
    EXPECT_EQ(records.back().at("cause"), "contraction") << records.back();
    EXPECT_EQ(records.back().at("epoch"), 50) << records.back();
    EXPECT_LT(q_of(out), 1.0) << "the last good state is one before";
  }
}

TEST_F(CliTest, AKernelThatIsNotFiniteHasDiverged) {
  write_problem(24, 8, 5);
  const auto write_v = [&](double entry) {
    std::vector<double> v = wave(24, 0.6);
    v[3] = entry;
    NpzWriter file(path("w.npz"));
    file.add("A", {24, 24}, wave(24 * 24, 0.3));
    file.add("W", {24, 5}, wave(24 * 5, 0.4));
    file.add("u", {24}, wave(24, 0.5));
    file.add("v", {24}, v);
    file.finish();
  };
  write_v(1e39);  // infinite in single precision
  for (const char* rate : {"auto", "0.01"}) {
    const Result result =
        run("train --data npy:X.npy,y.npy --weights w.npz --precision fp32 --epochs 3 "
            "--gram-every 1 --learning-rate " +
            std::string(rate) + " --out run-" + rate);
    EXPECT_EQ(result.code, 4) << rate << result.error;
  }
  write_v(1e160);  // its square is not
  expect_refused("solve --weights w.npz --inputs X.npy --gamma 0.5 --precision fp64 --out all.npz",
                 4, {"ntk is not finite"});
}

TEST_F(CliTest, ALossThatIsNotFiniteAtTheStartIsTheDatas) {
  write_problem(24, 8, 5);
  write_npy(path("y.npy"), {8}, std::vector<double>(8, 1e200));
  const Result result =
      run("train --data npy:X.npy,y.npy --width 24 --epochs 3 --gram-every 0 --learning-rate 0.01 "
          "--out run");
  EXPECT_EQ(result.code, 4) << result.error;
  EXPECT_NE(
      result.error.find("the loss is inf (epoch 0): targets, inputs or weights are too large"),
      std::string::npos)
      << result.error;
}

TEST_F(CliTest, AHeldOutSampleIsNumberedAsInTheFile) {
  write_problem(24, 15, 5);
  std::vector<double> X = wave(15 * 5, 0.1);
  std::fill_n(X.begin() + 12 * 5, 5, 0.0);
  write_npy(path("X.npy"), {15, 5}, X);
  expect_refused("train --data npy:X.npy,y.npy --samples 10 --test-samples 5 --width 24 --out run",
                 3, {"sample 12 is all zeros"});
}

TEST_F(CliTest, SamplesTooSmallForThePrecisionAreRefused) {
  write_problem(24, 8, 5);
  std::vector<double> X = wave(8 * 5, 0.1);
  for (double& entry : X)
    entry *= 1e-33;
  write_npy(path("X.npy"), {8, 5}, X);
  const std::string command =
      "train --data npy:X.npy,y.npy --width 24 --epochs 2 --learning-rate 0.1 --precision ";
  expect_refused(command + "fp32 --out run", 3, {"sample 0 is too small for fp32", "fp64"});
  EXPECT_EQ(run(command + "fp64 --out run").code, 0);
  for (double& entry : X)
    entry *= 1e-160;
  write_npy(path("X.npy"), {8, 5}, X);
  expect_refused("limit --inputs X.npy --gamma 0.5 --out l.npz", 3, {"too small", "scale"});
  expect_refused("solve --weights w.npz --inputs X.npy --gamma 0.5 --precision fp64 --out all.npz",
                 3, {"sample 0 is too small for fp64", "scale"});
}

TEST_F(CliTest, OneEpochHasItsScores) {
  const Result result = run("train --width 24 --samples 20 --test-samples 9 --epochs 1 --out run");
  EXPECT_EQ(result.code, 0) << result.error;
  for (const char* row : {"misclassified", "test loss", "test misclassified"})
    EXPECT_NE(result.output.find(row), std::string::npos) << row << '\n' << result.output;
}

TEST_F(CliTest, ADirectoryMayHaveACommaInItsName) {
  write_problem(24, 8, 5);
  fs::create_directory(path("a,b"));
  for (const char* file : {"X.npy", "y.npy"})
    fs::rename(path(file), path("a,b/" + std::string(file)));
  const Result result =
      run_with("-C a,b", "train --data npy:X.npy,y.npy --width 24 --epochs 2 --out run");
  EXPECT_EQ(result.code, 0) << result.error;
  EXPECT_EQ(run("train --config a,b/run/config.toml --out again").code, 0);
}

}  // namespace
}  // namespace widedeq::test
