// The parts of a run that can be looked at without one: records, sink, directory, prediction,
// words.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <new>
#include <system_error>

#include "host/data/npz.hpp"
#include "host/failure.hpp"
#include "host/run/outcome.hpp"
#include "host/run/prediction.hpp"
#include "host/run/progress.hpp"
#include "host/run/record.hpp"
#include "host/run/run_directory.hpp"
#include "host/run/sample_checks.hpp"
#include "host/run/sink.hpp"
#include "host/run/solve_failure.hpp"
#include "host/run/weights_file.hpp"
#include "kernels/error.hpp"

namespace widedeq {
namespace {

namespace fs = std::filesystem;

/// A directory of the test's own, removed at its end.
class RunTest : public ::testing::Test {
 protected:
  RunTest() {
    std::string name = (fs::temp_directory_path() / "widedeq-run-XXXXXX").string();
    directory = ::mkdtemp(name.data());
  }
  ~RunTest() override { fs::remove_all(directory); }
  std::string path(const std::string& name) const { return (directory / name).string(); }

  fs::path directory;
};

std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

template <class Act>
ExitCode code_of(Act&& act) {
  try {
    act();
  } catch (const Failure& failure) {
    EXPECT_EQ(std::string(failure.what()).find('\n'), std::string::npos) << failure.what();
    return failure.code();
  }
  return ExitCode::done;
}

std::vector<std::string> keys(const Json& record) {
  std::vector<std::string> names;
  for (const auto& [name, value] : record.items())
    names.push_back(name);
  return names;
}

TEST(Record, EpochHasTheKeysScriptsRelyOn) {
  Evaluation evaluation;
  evaluation.loss = 0.1 + 0.2;
  evaluation.forward = {SolveStatus::converged, 12, 9e-7, {9e-7}};
  evaluation.adjoint = {SolveStatus::converged, 11, 8e-7, {8e-7}};
  const Json record = epoch_record(3, evaluation, {}, 2.5, 0.125);
  EXPECT_EQ(keys(record), (std::vector<std::string>{"kind", "epoch", "loss", "residual_forward",
                                                    "residual_adjoint", "sweeps_forward",
                                                    "sweeps_adjoint", "gradient_norm", "seconds"}));
  const Json again = Json::parse(to_line(record));
  EXPECT_EQ(again["loss"].get<double>(), evaluation.loss);
  EXPECT_EQ(again["sweeps_forward"], 12);
  EXPECT_EQ(again["residual_adjoint"], 8e-7);

  const Json scored = epoch_record(3, evaluation, {0.25, 4.0, 0.5, 1.9}, 2.5, 0.125);
  EXPECT_EQ(scored["error"], 0.25);
  EXPECT_EQ(scored["test_loss"], 4.0);
  EXPECT_EQ(scored["test_error"], 0.5);
  EXPECT_EQ(scored["operator_norm"], 1.9);
}

TEST(Record, GramHasTheKeysScriptsRelyOn) {
  GramStatistics gram;
  gram.epoch = 10;
  EXPECT_EQ(keys(gram_record(gram)),
            (std::vector<std::string>{"kind", "epoch", "lambda_min", "lambda_max", "trace", "drift",
                                      "feature_lambda_min", "operator_norm", "flipped"}));
  gram.weights.distance = 0.5;
  EXPECT_EQ(gram_record(gram)["distance_A"], 0.5);
}

TEST(Record, RunComesWithSchemaAndConfig) {
  RunFacts facts;
  facts.samples = 5;
  const Json record = run_record(TrainConfig(), facts);
  EXPECT_EQ(record["kind"], "run");
  EXPECT_EQ(record["schema"], 1);
  EXPECT_EQ(record["samples"], 5);
  EXPECT_TRUE(record["learning_rate"].is_null());
  EXPECT_EQ(record["config"]["gamma"], 0.5);
  EXPECT_EQ(record["config"]["skip"], true);
  EXPECT_EQ(record["config"]["learning-rate"], "auto");
  EXPECT_FALSE(record["config"].contains("out"));
}

TEST(Record, WhatIsNotFiniteIsStillJson) {
  Evaluation evaluation;
  evaluation.loss = std::numeric_limits<double>::quiet_NaN();
  evaluation.forward.worst_residual = std::numeric_limits<double>::infinity();
  const Json again = Json::parse(to_line(epoch_record(0, evaluation, {}, 1.0, 1.0)));
  EXPECT_TRUE(again["loss"].is_null());
  EXPECT_TRUE(again["residual_forward"].is_null());
  EXPECT_NO_THROW(Json::parse(to_line(Json{{"path", "not \xff UTF-8"}})));
}

TEST_F(RunTest, SinkWritesALineAtATime) {
  Sink sink(path("m.jsonl"));
  sink.write(Json{{"a", 1}});
  EXPECT_EQ(contents(path("m.jsonl")), "{\"a\":1}\n");
  sink.write(Json{{"b", "x\ny"}});
  EXPECT_EQ(contents(path("m.jsonl")), "{\"a\":1}\n{\"b\":\"x\\ny\"}\n");
  EXPECT_EQ(code_of([&] { Sink again(path("m.jsonl")); }), ExitCode::io);
  EXPECT_EQ(code_of([&] { Sink nowhere(path("no/m.jsonl")); }), ExitCode::io);
}

TEST_F(RunTest, SinkCutsNothingBeforeItRestarts) {
  SinkMark mark;
  {
    Sink sink(path("m.jsonl"));
    sink.write(Json{{"a", 1}});
    mark = sink.mark(sink.bytes());
    sink.write(Json{{"b", 2}});
  }
  const auto sink = Sink::take_up(path("m.jsonl"), mark);
  ASSERT_NE(sink, nullptr);
  EXPECT_TRUE(sink->is_paused());
  sink->write(Json{{"c", 3}});
  EXPECT_EQ(contents(path("m.jsonl")), "{\"a\":1}\n{\"b\":2}\n");
  EXPECT_EQ(sink->bytes(), mark.bytes);
  sink->restart(mark.bytes);
  sink->write(Json{{"d", 4}});
  EXPECT_EQ(contents(path("m.jsonl")), "{\"a\":1}\n{\"d\":4}\n");
}

TEST_F(RunTest, SinkTakesUpOnlyWhatItHeld) {
  SinkMark mark;
  {
    Sink sink(path("m.jsonl"));
    sink.write(Json{{"a", 1}});
    mark = sink.mark(sink.bytes());
  }
  EXPECT_EQ(Sink::take_up(path("m.jsonl"), {mark.bytes, mark.checksum + 1}), nullptr);
  EXPECT_EQ(Sink::take_up(path("m.jsonl"), {mark.bytes + 1, mark.checksum}), nullptr);
  EXPECT_EQ(contents(path("m.jsonl")), "{\"a\":1}\n");
  EXPECT_EQ(Sink::take_up(path("no.jsonl"), mark), nullptr);
}

TEST_F(RunTest, DirectoryIsMadeWithItsParents) {
  const RunDirectory run(path("a/b/run"), RunDirectory::Mode::make);
  EXPECT_TRUE(fs::is_directory(path("a/b/run/gram")));
  EXPECT_EQ(contents(path("a/b/run/STATUS")), "running\n");
  run.set_status("done");
  EXPECT_EQ(contents(path("a/b/run/STATUS")), "done\n");
  run.mark_failed({4, "why"});
  EXPECT_EQ(contents(path("a/b/run/STATUS")), "failed: why\n");
  const Json outcome = Json::parse(contents(path("a/b/run/outcome.json")));
  EXPECT_EQ(outcome.at("exit_code"), 4);
  EXPECT_EQ(outcome.at("reason"), "why");
  run.set_status("running");
  EXPECT_FALSE(fs::exists(path("a/b/run/outcome.json")));
}

TEST_F(RunTest, DirectoryTakesAnEmptyPlaceOnly) {
  fs::create_directory(path("empty"));
  EXPECT_NO_THROW(RunDirectory::check(path("empty")));
  EXPECT_NO_THROW(RunDirectory::check(path("empty/")));
  EXPECT_NO_THROW(RunDirectory::check(path("new")));
  EXPECT_FALSE(fs::exists(path("new")));

  { const RunDirectory run(path("run"), RunDirectory::Mode::make); }
  EXPECT_EQ(code_of([&] { RunDirectory::check(path("run")); }), ExitCode::usage);
  EXPECT_EQ(code_of([&] { const RunDirectory run(path("run"), RunDirectory::Mode::make); }),
            ExitCode::usage);

  fs::create_directory(path("photos"));
  std::ofstream(path("photos/cat.jpg")) << "meow";
  EXPECT_EQ(code_of([&] { RunDirectory::check(path("photos")); }), ExitCode::usage);
  EXPECT_EQ(code_of([&] { RunDirectory::check(path("photos/cat.jpg")); }), ExitCode::usage);
  EXPECT_EQ(code_of([&] { RunDirectory::check(path("photos/cat.jpg/run")); }), ExitCode::io);
  EXPECT_EQ(contents(path("photos/cat.jpg")), "meow");
}

TEST(Prediction, LinearisedLossesOfADiagonalKernel) {
  // Each mode falls by (1 - eta lambda)^2 an epoch.
  HostMatrix H(2, 2);
  H(0, 0) = 1.0;
  H(1, 1) = 4.0;
  const auto losses = linearised_losses(H, {3.0, 1.0}, 0.25, 3);
  ASSERT_EQ(losses.size(), 3U);
  EXPECT_DOUBLE_EQ(losses[0], 5.0);
  EXPECT_DOUBLE_EQ(losses[1], 4.5 * 0.75 * 0.75);
  EXPECT_DOUBLE_EQ(losses[2], 4.5 * std::pow(0.75, 4));
}

TEST(Prediction, FlowLossesOfAnySymmetricKernel) {
  // (3, 1) is 2 (1, 1) + 1 (1, -1), which fall by exp(-5 t) and exp(-3 t) under this H.
  HostMatrix H(2, 2);
  H(0, 0) = H(1, 1) = 4.0;
  H(0, 1) = H(1, 0) = 1.0;
  for (const double eta : {0.01, 0.25, 30.0}) {
    const auto losses = flow_losses(H, {3.0, 1.0}, eta, 3);
    ASSERT_EQ(losses.size(), 3U);
    for (int k = 0; k < 3; ++k) {
      const double wanted = 4.0 * std::exp(-10.0 * eta * k) + std::exp(-6.0 * eta * k);
      // Roundings of every piece's factor exp(-h H), eta ||H|| pieces, in an exponent's size.
      EXPECT_NEAR(losses[static_cast<std::size_t>(k)], wanted, 1e-12 * wanted) << eta;
    }
  }
}

TEST(Prediction, FactorOfAGeometricFall) {
  std::vector<double> losses{1e6, 1e5, 1e3};  // the first half does not count
  for (int k = 3; k < 8; ++k)
    losses.push_back(7.0 * std::pow(0.9, k));
  EXPECT_NEAR(loss_factor(losses), 0.9, 1e-12);
  EXPECT_TRUE(std::isnan(loss_factor({})));
  // Solves to 1e-3 leave ||r|| open by 2e-3 of the first: a loss of 1.6e-3 of it by a tenth.
  EXPECT_EQ(above_noise(losses, 1e-9).size(), losses.size());
  const std::vector<double> falling{1.0, 0.1, 2e-3, 1e-3, 2e-3};
  EXPECT_EQ(above_noise(falling, 1e-3).size(), 3U);
  EXPECT_TRUE(above_noise({}, 1e-3).empty());
  EXPECT_TRUE(std::isnan(loss_factor(std::vector<double>{1.0})));
  EXPECT_TRUE(std::isnan(loss_factor(std::vector<double>(6, 0.0))));
}

TEST(Progress, LineFitsTheTerminal) {
  Evaluation evaluation;
  evaluation.loss = 0.5;
  const std::string full = progress_line(4, 100, evaluation, 0.01, 2.0, 200);
  EXPECT_EQ(full, "epoch  4/99  loss 5.0000e-01  ETA 3:10  sweeps 0+0  lambda_min 0.01  2 s/epoch");
  for (int columns = 0; columns < 100; ++columns)
    EXPECT_LE(progress_line(4, 100, evaluation, 0.01, 2.0, columns).size(),
              static_cast<std::size_t>(columns));
  EXPECT_EQ(format_duration(3723), "1:02:03");
  EXPECT_EQ(format_duration(7), "0:07");
  EXPECT_EQ(format_duration(443000), "5 d 3 h");
  EXPECT_EQ(format_duration(std::nan("")), "?");
}

TEST(Outcome, EveryExceptionHasACodeAndOneLine) {
  EXPECT_EQ(outcome_of(Failure(ExitCode::bad_data, "a", "b", "c")).exit_code, 3);
  EXPECT_EQ(outcome_of(Failure(ExitCode::io, "a\nb", "c", "d")).sentence, "a b (c): d");
  const auto code_of_system = [](std::errc error) {
    return outcome_of(std::system_error(std::make_error_code(error))).exit_code;
  };
  EXPECT_EQ(code_of_system(std::errc::no_space_on_device), 74);
  EXPECT_EQ(code_of_system(std::errc::resource_unavailable_try_again), 2);  // no more threads
  EXPECT_EQ(outcome_of(Unsupported("no")).exit_code, 2);
  EXPECT_EQ(outcome_of(std::bad_alloc()).exit_code, 2);
  EXPECT_EQ(outcome_of(ShapeError("x")).exit_code, exit_code_of_a_bug);
}

TEST(SolveFailure, NamesTheWorstSample) {
  SolveReport report{SolveStatus::max_sweeps, 1000, 0.5, {1e-7, 0.5, 1e-3}};
  const Failure slow = solve_failure("adjoint", report, {}, {}, "epoch 3, ", true);
  EXPECT_EQ(slow.code(), ExitCode::not_converged);
  const std::string sentence = slow.what();
  for (const char* part : {"adjoint", "epoch 3", "sample 1", "0.5", "1000 sweeps", "--gamma"})
    EXPECT_NE(sentence.find(part), sentence.npos) << sentence;
  report = {SolveStatus::non_finite, 2, 0.0, {1e300, std::nan(""), 0.0}};
  const Failure bad = solve_failure("forward", report, {}, {}, "", false);
  EXPECT_EQ(bad.code(), ExitCode::diverged);
  EXPECT_NE(std::string(bad.what()).find("sample 1"), std::string::npos) << bad.what();
}

TEST(SampleChecks, ZerosAndDuplicates) {
  HostMatrix inputs(2, 3);
  inputs(0, 0) = 1.0;
  inputs(1, 1) = 1.0;
  inputs(0, 2) = 2.0;
  EXPECT_EQ(code_of([&] { refuse_small_samples(inputs, Precision::fp64, "x"); }), ExitCode::done);
  EXPECT_NE(describe_duplicate(inputs).find("0 and 2"), std::string::npos);
  inputs(1, 2) = 1.0;
  EXPECT_EQ(describe_duplicate(inputs), "");
  inputs(0, 0) = 0.0;
  EXPECT_EQ(code_of([&] { refuse_small_samples(inputs, Precision::fp64, "x"); }),
            ExitCode::bad_data);
}

TEST(WeightsFile, TransposedIsTheCOrder) {
  for (const auto& [rows, columns] :
       {std::pair<Index, Index>{3, 5}, {130, 130}, {1, 1}, {64, 64}}) {
    HostMatrix matrix(rows, columns);
    for (Index j = 0; j < columns; ++j)
      for (Index i = 0; i < rows; ++i)
        matrix(i, j) = static_cast<double>(1000 * i + j);
    const auto values = in_c_order(matrix);
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < columns; ++j)
        ASSERT_EQ(values[static_cast<std::size_t>(i * columns + j)], matrix(i, j));
  }
}

TEST_F(RunTest, WeightsAreCheckedAgainstEachOther) {
  const auto write = [&](std::vector<Index> A, std::vector<Index> W, Index u, Index v,
                         double first) {
    NpzWriter file(path("w.npz"));
    const auto add = [&](const char* name, const std::vector<Index>& shape) {
      Index count = 1;
      for (const Index size : shape)
        count *= size;
      std::vector<double> values(static_cast<std::size_t>(count));
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = static_cast<double>(i);
      if (!values.empty()) values[0] = first;
      file.add(name, shape, std::move(values));
    };
    add("A", A);
    add("W", W);
    add("u", {u});
    add("v", {v});
    file.finish();
    return code_of([&] { load_weights(path("w.npz")); });
  };
  EXPECT_EQ(write({2, 2}, {2, 3}, 2, 2, 0.0), ExitCode::done);
  const Weights weights = load_weights(path("w.npz"));
  EXPECT_EQ(weights.A(1, 0), 2.0);  // NumPy's A[1, 0]
  EXPECT_EQ(weights.W(1, 2), 5.0);
  EXPECT_EQ(weights.W(0, 2), 2.0);
  EXPECT_EQ(write({2, 3}, {2, 3}, 2, 2, 0.0), ExitCode::bad_data);
  EXPECT_EQ(write({2, 2}, {3, 2}, 2, 2, 0.0), ExitCode::bad_data);
  EXPECT_EQ(write({2, 2}, {2, 3}, 3, 2, 0.0), ExitCode::bad_data);
  EXPECT_EQ(write({2, 2}, {2, 3}, 2, 1, 0.0), ExitCode::bad_data);
  EXPECT_EQ(write({0, 0}, {0, 3}, 0, 0, 0.0), ExitCode::bad_data);
  EXPECT_EQ(write({2, 2}, {2, 3}, 2, 2, std::nan("")), ExitCode::bad_data);
  EXPECT_EQ(write({2, 2}, {2, 3}, 2, 2, INFINITY), ExitCode::bad_data);
}

}  // namespace
}  // namespace widedeq
