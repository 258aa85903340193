// Runs read back: whole ones, ones under way, old ones, and what no run writes.
#include "host/study/run_data.hpp"

#include <fmt/format.h>

#include <cmath>
#include <fstream>

#include "host/data/npy.hpp"
#include "host/run/checkpoints.hpp"
#include "tests/host/data_support.hpp"

namespace widedeq::test {
namespace {

constexpr const char* run_line =
    R"({"kind":"run","schema":1,"version":"1","commit":"c","samples":3,"width":8,)"
    R"("learning_rate":0.25,"config":{"data":"digits","classes":[0,1],"width":8,"skip":true,)"
    R"("gamma":0.5,"learning-rate":"auto"}})"
    "\n";

RunData parsed(const std::string& text) {
  RunData run;
  parse_metrics(run, text, "metrics.jsonl");
  return run;
}

TEST(RunDataTest, ReadsWhatTheRecordsSay) {
  const RunData run = parsed(
      std::string(run_line) +
      R"({"kind":"epoch","epoch":0,"loss":2.5,"residual_forward":1e-7,"residual_adjoint":2e-7,)"
      R"("sweeps_forward":17,"sweeps_adjoint":18,"gradient_norm":3,"seconds":0.5,"test_loss":4,)"
      R"("error":0.25,"test_error":1,"operator_norm":1.9,"audit_forward":1e-8})"
      "\n"
      R"({"kind":"epoch","epoch":1,"loss":null,"gradient_norm":null})"
      "\n"
      R"({"kind":"gram","epoch":0,"lambda_min":0.5,"lambda_max":4,"trace":6,"drift":0,)"
      R"("feature_lambda_min":0.1,"operator_norm":1.9})"
      "\n"
      R"({"kind":"gram","epoch":1,"lambda_min":0.4,"lambda_max":4,"trace":6,"drift":0.01,)"
      R"("distance_A":0.75,"flipped":0.125})"
      "\n"
      R"({"kind":"certificate","epoch":1,"contraction":{"verdict":"certified","value":0.9,)"
      R"("probability":0.999,"reason":"a"},"distance":{"verdict":"estimated","value":1e-6,)"
      R"("probability":0,"reason":"b"},"lambda_min":{"verdict":"refused","value":null,)"
      R"("probability":0,"reason":"c"}})"
      "\n"
      R"({"kind":"halved","epoch":1,"learning_rate":0.125,"replaces":2,"reason":"loss"})"
      "\n"
      R"({"kind":"resumed","epoch":2,"changed":{"threads":[2,4]}})"
      "\n"
      R"({"kind":"novelty","what":"of a later version"})"
      "\n");
  ASSERT_EQ(run.epochs.size(), 2U);
  const EpochRecord& first = run.epochs[0];
  EXPECT_EQ(first.epoch, 0);
  EXPECT_EQ(first.loss, 2.5);
  EXPECT_EQ(first.test_loss, 4.0);
  EXPECT_EQ(first.error, 0.25);
  EXPECT_EQ(first.test_error, 1.0);
  EXPECT_EQ(first.operator_norm, 1.9);
  EXPECT_EQ(first.residual_forward, 1e-7);
  EXPECT_EQ(first.residual_adjoint, 2e-7);
  EXPECT_EQ(first.audit_forward, 1e-8);
  EXPECT_FALSE(first.audit_adjoint);
  EXPECT_EQ(first.sweeps_forward, 17);
  EXPECT_EQ(first.sweeps_adjoint, 18);
  EXPECT_EQ(first.gradient_norm, 3.0);
  EXPECT_EQ(first.seconds, 0.5);
  EXPECT_TRUE(std::isnan(run.epochs[1].loss));
  EXPECT_FALSE(run.epochs[1].gradient_norm);
  EXPECT_FALSE(run.epochs[1].sweeps_forward);

  ASSERT_EQ(run.grams.size(), 2U);
  EXPECT_EQ(run.grams[0].lambda_min, 0.5);
  EXPECT_EQ(run.grams[0].feature_lambda_min, 0.1);
  EXPECT_FALSE(run.grams[0].distance_A);
  EXPECT_EQ(run.grams[1].epoch, 1);
  EXPECT_EQ(run.grams[1].distance_A, 0.75);
  EXPECT_EQ(run.grams[1].flipped, 0.125);
  EXPECT_FALSE(run.grams[1].operator_norm);

  ASSERT_EQ(run.certificates.size(), 1U);
  EXPECT_EQ(run.certificates[0].contraction.verdict, Verdict::certified);
  EXPECT_EQ(run.certificates[0].contraction.value, 0.9);
  EXPECT_EQ(run.certificates[0].distance.verdict, Verdict::estimated);
  EXPECT_EQ(run.certificates[0].lambda_min.verdict, Verdict::refused);
  EXPECT_TRUE(std::isnan(run.certificates[0].lambda_min.value));
  EXPECT_EQ(run.certificates[0].lambda_min.reason, "c");
  ASSERT_EQ(run.halved.size(), 1U);
  EXPECT_EQ(run.halved[0].replaces, 2);
  ASSERT_EQ(run.resumed.size(), 1U);
  EXPECT_EQ(run.resumed[0].changes[0].name, "threads");
  EXPECT_EQ(run.resumed[0].changes[0].now, 4);

  EXPECT_EQ(run.width(), 8);
  EXPECT_EQ(run.samples(), 3);
  EXPECT_EQ(run.learning_rate, 0.25);
  EXPECT_EQ(run.config.width, 8);
  EXPECT_FALSE(run.config.learning_rate);
  const std::vector<std::pair<std::string, std::string>> settings = {
      {"data", "digits"}, {"classes", "0,1"},        {"width", "8"},  {"skip", "true"},
      {"gamma", "0.5"},   {"learning-rate", "auto"}, {"threads", "4"}};
  EXPECT_EQ(run.settings, settings);
}

TEST(RunDataTest, ALineBeingWrittenIsLeftOut) {
  const std::string whole = std::string(run_line) + R"({"kind":"epoch","epoch":0,"loss":1})" + "\n";
  const std::string next = R"({"kind":"epoch","epoch":1,"loss":0.5})";
  for (std::size_t length = 0; length <= next.size(); ++length)
    EXPECT_EQ(parsed(whole + next.substr(0, length)).epochs.size(), 1U) << length;
  EXPECT_EQ(parsed(whole + next + "\n").epochs.size(), 2U);
  EXPECT_TRUE(parsed("").record.is_null());
  EXPECT_TRUE(parsed(std::string(run_line).substr(0, 40)).record.is_null());
}

TEST(RunDataTest, RefusesWhatNoRunWrites) {
  const auto refused = [](const std::string& line, const std::string& part) {
    const std::string text =
        std::string(run_line) + R"({"kind":"epoch","epoch":4,"loss":1})" + "\n" + line + "\n";
    expect_failure([&] { parsed(text); }, ExitCode::bad_data, part);
    expect_failure([&] { parsed(text); }, ExitCode::bad_data, "metrics.jsonl line 3");
  };
  refused("", "no JSON object");
  refused("7", "no JSON object");
  refused(R"({"kind":"epoch","epoch":5,)", "no JSON object");
  refused("{}", "'kind'");
  refused(R"({"kind":"epoch","loss":1})", "'epoch'");
  refused(R"({"kind":"epoch","epoch":-1,"loss":1})", "'epoch'");
  refused(R"({"kind":"epoch","epoch":5.5,"loss":1})", "'epoch'");
  refused(R"({"kind":"epoch","epoch":99999999999999999999,"loss":1})", "'epoch'");
  refused(R"({"kind":"epoch","epoch":5})", "'loss'");
  refused(R"({"kind":"epoch","epoch":5,"loss":"1"})", "'loss'");
  refused(R"({"kind":"epoch","epoch":5,"loss":1,"error":1.5})", "'error'");
  refused(R"({"kind":"epoch","epoch":5,"loss":1,"test_loss":[1]})", "'test_loss'");
  refused(R"({"kind":"epoch","epoch":4,"loss":1})", "epoch 4 stands after epoch 4");
  refused(R"({"kind":"epoch","epoch":3,"loss":1})", "epoch 3 stands after epoch 4");
  refused(R"({"kind":"gram","epoch":5,"lambda_min":1})", "'lambda_max'");
  refused(R"({"kind":"certificate","epoch":5,"contraction":1})", "'contraction'");
  refused(R"({"kind":"certificate","epoch":5,"contraction":{"verdict":"maybe"}})", "'verdict'");
  refused(R"({"kind":"resumed","epoch":5,"changed":{"threads":[2]}})", "'threads'");
  refused(std::string(run_line, std::char_traits<char>::length(run_line) - 1), "second record");

  const auto first = [](const std::string& line, const std::string& part) {
    expect_failure([&] { parsed(line + "\n"); }, ExitCode::bad_data, part);
    expect_failure([&] { parsed(line + "\n"); }, ExitCode::bad_data, "metrics.jsonl line 1");
  };
  first(R"({"kind":"epoch","epoch":0,"loss":1})", "'run' must come first");
  first(R"({"kind":"run","schema":2,"config":{}})", "later version");
  first(R"({"kind":"run","schema":1})", "'config'");
  first(R"({"kind":"run","schema":1,"width":0,"config":{}})", "'width'");
  first(R"({"kind":"run","schema":1,"config":{"gamma":"much"}})", "gamma = much");
}

TEST(RunDataTest, SettingsAreThoseItWasLastResumedWith) {
  const auto epoch = [](int number, const char* residual) {
    return R"({"kind":"epoch","epoch":)" + std::to_string(number) +
           R"(,"loss":1,"residual_forward":)" + residual + "}\n";
  };
  const std::string resumed =
      R"({"kind":"resumed","epoch":1,"changed":{"tolerance":[1e-06,1e-04],"epochs":[1,2],)"
      R"("processor":["a","b"],"backend":["cpu: 2 threads, ...","cpu: 1 thread, ..."],)"
      R"("data":["0f","1e"],"width":[8,null]}})"
      "\n";
  const RunData run = parsed(run_line + epoch(0, "9e-7") + resumed + epoch(1, "9e-5"));
  EXPECT_EQ(run.config.tolerance, 1e-4);
  EXPECT_EQ(run.config.epochs, 2);
  EXPECT_EQ(run.config.backend, BackendChoice::automatic);  // that was its description
  EXPECT_EQ(run.config.data, "digits");                     // and its checksum
  EXPECT_EQ(run.config.width, 8);
  EXPECT_EQ(run.tolerance_at(0), 1e-6);
  EXPECT_EQ(run.tolerance_at(1), 1e-4);
  EXPECT_TRUE(run.meets_tolerance());
  EXPECT_FALSE(parsed(run_line + epoch(0, "2e-6") + resumed + epoch(1, "9e-5")).meets_tolerance());
}

/// A directory with a run in it, and the records of two Grams.
class RunDirectoryTest : public ::testing::Test {
 protected:
  RunDirectoryTest() {
    std::filesystem::create_directory(place.file("gram"));
    write("STATUS", "done\n");
    write("metrics.jsonl", std::string(run_line) + R"({"kind":"epoch","epoch":0,"loss":1})" + "\n" +
                               R"({"kind":"gram","epoch":0,"lambda_min":1,"lambda_max":3})" + "\n" +
                               R"({"kind":"gram","epoch":10,"lambda_min":0.5,"lambda_max":4})" +
                               "\n");
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(place.file(name), std::ios::binary) << text;
  }
  std::string directory() const { return place.file(""); }

  TemporaryDirectory place;
};

TEST_F(RunDirectoryTest, ReadsTheGrams) {
  const std::vector<double> gram = {2, 1, 0, 1, 2, 1, 0, 1, 2};
  write_npy(place.file("gram/eigenvalues-000010.npy"), {3}, std::vector{0.5, 1.5, 4.0});
  write_npy(place.file("gram/eigenvalues-000000.npy"), {3}, std::vector{1.0, 2.0, 3.0});
  // Of epochs that are to be computed again: no record speaks of it.
  write_npy(place.file("gram/eigenvalues-000011.npy"), {3}, std::vector{1.0, 2.0, 3.0});
  write_npy(place.file("gram/ntk-first.npy"), {3, 3}, gram);
  const RunData run = read_run(directory());
  EXPECT_EQ(run.status, "done");
  ASSERT_EQ(run.spectra.size(), 2U);
  EXPECT_EQ(run.spectra[0].epoch, 0);
  EXPECT_EQ(run.spectra[1].epoch, 10);
  EXPECT_EQ(run.spectra[1].eigenvalues, (std::vector{0.5, 1.5, 4.0}));
  ASSERT_TRUE(run.ntk_first);
  EXPECT_EQ(run.ntk_first->values, gram);
  EXPECT_FALSE(run.ntk_last);
  EXPECT_TRUE(run.first_residual.empty());
  EXPECT_TRUE(run.provenance.is_null());
}

TEST_F(RunDirectoryTest, FindsTheFirstResidualInACheckpoint) {
  const std::vector<double> residual = {1.0, -2.0, 0.5};
  std::filesystem::create_directory(place.file("checkpoints"));
  Checkpoints(directory(), 1).write(2, std::nullopt, [&](CheckpointFileWriter& file) {
    file.begin("state/first_residual", ChunkElement::float64, 3, 1);
    file.write(std::as_bytes(std::span(residual)));
  });
  EXPECT_EQ(read_run(directory()).first_residual, residual);
  std::ofstream(Checkpoints(directory(), 1).file(2), std::ios::binary | std::ios::app) << "x";
  EXPECT_TRUE(read_run(directory()).first_residual.empty());  // damaged: a curve less
}

TEST_F(RunDirectoryTest, ARunThatHasJustBegunIsRead) {
  for (const char* text : {"", "{\"kind\":\"ru"}) {
    write("metrics.jsonl", text);
    write("config.toml", "width = 16\nsamples = 5\n");
    const RunData run = read_run(directory());
    EXPECT_TRUE(run.record.is_null());
    EXPECT_EQ(run.width(), 16);
    EXPECT_EQ(run.samples(), 5);
    EXPECT_FALSE(run.settings.empty());
  }
  std::filesystem::remove(place.file("metrics.jsonl"));
  std::filesystem::remove(place.file("config.toml"));
  EXPECT_FALSE(read_run(directory()).width());
}

TEST_F(RunDirectoryTest, RefusesBrokenFilesByName) {
  const auto refused = [&](const std::string& part, ExitCode code = ExitCode::bad_data) {
    expect_failure([&] { read_run(directory()); }, code, part);
  };
  write_npy(place.file("gram/eigenvalues-000000.npy"), {3}, std::vector{3.0, 2.0, 1.0});
  refused("eigenvalues-000000.npy");
  write_npy(place.file("gram/eigenvalues-000000.npy"), {2}, std::vector{1.0, 2.0});
  refused("eigenvalues-000000.npy");  // the run has 3 samples
  std::filesystem::remove(place.file("gram/eigenvalues-000000.npy"));
  write_npy(place.file("gram/ntk-last.npy"), {1, 3}, std::vector{1.0, 2.0, 3.0});
  refused("ntk-last.npy");
  std::filesystem::remove(place.file("gram/ntk-last.npy"));
  write("provenance.json", "[1");
  refused("provenance.json");
  std::filesystem::remove(place.file("provenance.json"));
  EXPECT_NO_THROW(read_run(directory()));
  write("metrics.jsonl", std::string(run_line) + "nonsense\n");
  refused("metrics.jsonl line 2");
  expect_failure([&] { read_run(place.file("gram")); }, ExitCode::usage, "no run");
  expect_failure([&] { read_run(place.file("nowhere")); }, ExitCode::usage, "nowhere");
}

}  // namespace
}  // namespace widedeq::test
