// Runs that are stopped, killed and resumed: what they leave is what one session would have left.
#include <chrono>
#include <csignal>
#include <map>
#include <random>
#include <set>

#include "tests/cli/cli_support.hpp"

namespace widedeq::test {
namespace {

class ResumeTest : public CliTest {
 protected:
  /// Everything of a finished run that does not tell the time, by file.
  std::map<std::string, std::string> results(const std::string& run) const {
    std::map<std::string, std::string> files;
    for (const char* name : {"config.toml", "weights.npz", "STATUS"})
      files[name] = read_text(directory / run / name);
    files["metrics.jsonl"] = without_times(read_text(directory / run / "metrics.jsonl"));
    for (const auto& entry : fs::directory_iterator(directory / run / "gram"))
      files[entry.path().filename().string()] = read_text(entry.path());
    return files;
  }

  void expect_same(const std::string& run, const std::map<std::string, std::string>& wanted,
                   const std::string& when) const {
    const auto is = results(run);
    ASSERT_EQ(is.size(), wanted.size()) << when;
    for (const auto& [name, content] : wanted)
      ASSERT_TRUE(is.at(name) == content) << name << " differs, " << when << "\n"
                                          << (name == "metrics.jsonl" ? is.at(name) : "") << "\n"
                                          << read_text(directory / run / "log.txt");
    // Nothing half-written stays behind, and nobody holds the lock.
    for (const auto& entry : fs::recursive_directory_iterator(directory / run)) {
      const std::string name = entry.path().filename().string();
      EXPECT_FALSE(name.ends_with(".tmp") || name == "LOCK") << name << ", " << when;
    }
  }

  std::string checkpoint(const std::string& run, int epoch) const {
    std::string number = std::to_string(epoch);
    number.insert(0, 6 - number.size(), '0');
    return (directory / run / "checkpoints" / ("epoch-" + number + ".ckpt")).string();
  }

  /// Runs `widedeq ARGUMENTS` and sends the signals once the first epochs are in.
  Result run_with_signals(const std::string& arguments, const std::string& out,
                          const std::vector<std::string>& signals) const {
    std::string script = "'" WIDEDEQ_BINARY "' " + arguments + " --out " + out +
                         " >.o 2>.e & p=$!; for i in $(seq 600); do [ $(cat " + out +
                         "/metrics.jsonl 2>/dev/null | wc -l) -gt 3 ] && break; sleep 0.05; done; ";
    for (const std::string& signal : signals)
      script += "kill -" + signal + " $p; ";
    script += "wait $p";
    const int status = std::system(("cd '" + directory.string() + "'; " + script).c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_text(path(".o")),
            read_text(path(".e"))};
  }

  /// The state a run had before an epoch, as a kill would have left it.
  void rewind(const std::string& from, const std::string& to, int epoch) const {
    fs::remove_all(directory / to);
    fs::copy(directory / from, directory / to, fs::copy_options::recursive);
    for (int later = epoch + 1; later < 100; ++later)
      fs::remove(checkpoint(to, later));
    fs::remove(directory / to / "weights.npz");
    write_text(to + "/STATUS", "running\n");
  }

  std::vector<int> gram_epochs(const std::string& run) const {
    std::vector<int> epochs;
    for (const auto& gram : of_kind(read_records(path(run + "/metrics.jsonl")), "gram"))
      epochs.push_back(gram.at("epoch").get<int>());
    return epochs;
  }

  /// Runs it whole, and again from each of its checkpoints.
  void from_every_epoch(const std::string& settings, const std::string& precision) const {
    const std::string command = settings + "--precision " + precision;
    if (precision == "mixed" && !has_mixed()) return;
    const Result first = run(command + " --out whole");
    ASSERT_EQ(first.code, 0) << first.error;
    const auto wanted = results("whole");
    ASSERT_EQ(run(command + " --checkpoint-every 1 --keep 99 --out all").code, 0);
    fs::remove_all(directory / "whole");
    for (int epoch = 0; epoch == 0 || fs::exists(checkpoint("all", epoch)); ++epoch) {
      rewind("all", "part", epoch);
      const Result rest = run("train --resume --checkpoint-every 600s --keep 2 --out part");
      ASSERT_EQ(rest.code, 0) << rest.error;
      expect_same("part", wanted, precision + ", epoch " + std::to_string(epoch));
    }
    fs::remove_all(directory / "all");
  }
};

constexpr const char* small = "train --width 64 --samples 40 --epochs 12 --gram-every 5 ";

TEST_F(ResumeTest, FromEveryEpochInEveryPrecision) {
  for (const std::string precision : {"mixed", "fp32", "fp64"})
    from_every_epoch(small + std::string("--test-samples 20 --test-every 3 --norm-every 2 "),
                     precision);
}

TEST_F(ResumeTest, FromEveryEpochOfAFlowAndInBatches) {
  for (const std::string precision : {"mixed", "fp32", "fp64"}) {
    from_every_epoch("train --width 48 --samples 20 --epochs 6 --gram-every 4 --optimizer flow ",
                     precision);
    from_every_epoch(
        "train --width 64 --samples 40 --epochs 6 --gram-every 4 --batch-size 15 "
        "--learning-rate 0.002 --on-divergence halve ",
        precision);
  }
}

TEST_F(ResumeTest, ABatchOfAllSamplesIsGradientDescent) {
  ASSERT_EQ(run(std::string(small) + "--out whole").code, 0);
  for (const char* size : {"40", "1000"}) {
    ASSERT_EQ(run(small + ("--batch-size " + std::string(size)) + " --out batch").code, 0);
    EXPECT_EQ(read_text(path("batch/weights.npz")), read_text(path("whole/weights.npz")));
    const auto is = read_records(path("batch/metrics.jsonl"));
    const auto wanted = read_records(path("whole/metrics.jsonl"));
    ASSERT_EQ(is.size(), wanted.size());
    for (std::size_t k = 1; k < is.size(); ++k)  // the first has the configuration
      EXPECT_EQ(without_times(is[k].dump()), without_times(wanted[k].dump()));
    fs::remove_all(directory / "batch");
  }
}

/// Kills a run at random moments and lets another session finish it; the same command every time,
/// as a batch script would have it.
class KillTest : public ResumeTest {
 protected:
  void kill_at_random_moments(int times) const {
    const std::string command =
        "train --width 48 --samples 30 --epochs 300 --gram-every 40 --checkpoint-every 7 --resume "
        "--out ";
    const auto start = std::chrono::steady_clock::now();
    ASSERT_EQ(run(command + "whole").code, 0);
    const double whole =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const auto wanted = results("whole");
    std::mt19937_64 random(7);
    std::uniform_real_distribution<double> moment(0.0, whole);
    std::set<std::string> resumed_from;
    for (int i = 0; i < times; ++i) {
      fs::remove_all(directory / "killed");
      std::string when = "killed";
      for (int kills = 1 + i % 3; kills > 0; --kills) {  // some more than once
        const std::string seconds = std::to_string(moment(random));
        when += " at " + seconds;
        const int status =
            std::system(("cd '" + directory.string() + "' && timeout -s KILL " + seconds +
                         " '" WIDEDEQ_BINARY "' " + command + "killed >.o 2>.e")
                            .c_str());
        ASSERT_TRUE(WIFEXITED(status));
      }
      const Result rest = run(command + "killed");
      ASSERT_EQ(rest.code, 0) << when << "\n" << rest.error;
      expect_same("killed", wanted, when);
      const std::size_t place = rest.error.find("resumed before epoch");
      if (place != rest.error.npos)
        resumed_from.insert(rest.error.substr(place, rest.error.find('\n', place) - place));
    }
    EXPECT_GE(static_cast<int>(resumed_from.size()), std::min(10, times / 4));
  }
};

TEST_F(KillTest, KilledAtRandomMoments) {
  kill_at_random_moments(8);
}

TEST_F(KillTest, SlowKilledAtAHundredRandomMoments) {
  kill_at_random_moments(100);
}

TEST_F(ResumeTest, SignalsStopWithACheckpoint) {
  const std::string command =
      "train --width 64 --samples 40 --epochs 1500 --gram-every 100 --learning-rate 1e-3 ";
  ASSERT_EQ(run(command + "--out whole").code, 0);
  const auto wanted = results("whole");
  for (const std::string signal : {"TERM", "INT", "USR1", "HUP"}) {
    const Result stopped = run_with_signals(command, signal, {signal});
    ASSERT_EQ(stopped.code, 75) << signal << "\n" << stopped.error;
    EXPECT_EQ(read_text(path(signal + "/STATUS")), "stopped\n");
    EXPECT_TRUE(fs::exists(path(signal + "/weights.npz")));
    ASSERT_EQ(run("train --resume --out " + signal).code, 0);
    expect_same(signal, wanted, signal);
  }
}

TEST_F(ResumeTest, ASecondSignalEndsItAtOnce) {
  // An epoch of this takes several seconds, and the first one is over: another is under way. Nobody
  // waits for it after the second signal.
  const auto start = std::chrono::steady_clock::now();
  const std::string script =
      "cd '" + directory.string() +
      "' && '" WIDEDEQ_BINARY
      "' train --width 4000 --samples 1200 --data sphere --epochs 100000 --gram-every 0 "
      "--learning-rate 1e-6 --precision fp64 --threads 2 --out run >o 2>e & p=$!; "
      "for i in $(seq 600); do grep -q '\"epoch\"' '" +
      path("run/metrics.jsonl") +
      "' 2>/dev/null && break; sleep 0.05; done; kill -TERM $p; sleep 1.2; kill -USR1 $p; wait $p";
  const int status = std::system(script.c_str());
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 128 + SIGUSR1) << seconds << read_text(path("e"));
  EXPECT_EQ(read_text(path("run/STATUS")), "running\n");
}

TEST_F(ResumeTest, TheSameRequestByTwoWaysIsOne) {
  // As from a launcher that signals the process and then its group, or a terminal that closes.
  const std::string command =
      "train --width 64 --samples 40 --epochs 1000000 --gram-every 0 --learning-rate 1e-6 ";
  for (const std::string signal : {"TERM", "HUP"}) {
    const Result stopped = run_with_signals(command, signal, {signal, signal, signal});
    EXPECT_EQ(stopped.code, 75) << signal << "\n" << stopped.error;
    EXPECT_EQ(read_text(path(signal + "/STATUS")), "stopped\n");
  }
}

TEST_F(ResumeTest, ALimitOfTimeIsOfOneSession) {
  const std::string command = "train --width 64 --samples 40 --gram-every 0 --learning-rate 1e-4 ";
  // Shorter than saving is taken to need: it would be stopped for ever.
  expect_refused(command + "--max-walltime 1s --out none", 2, {"--max-walltime", "saving"});
  ASSERT_EQ(run(command + "--epochs 10000000 --max-walltime 2s --out run").code, 75);
  EXPECT_EQ(read_text(path("run/config.toml")).find("max-walltime"), std::string::npos);
}

TEST_F(ResumeTest, TheTimeThatRunsOutStopsIt) {
  const auto start = std::chrono::steady_clock::now();
  const Result stopped =
      run("train --width 64 --samples 40 --epochs 10000000 --gram-every 0 --learning-rate 1e-4 "
          "--max-walltime 0:00:05 --out run");
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_EQ(stopped.code, 75) << stopped.error;
  EXPECT_LT(seconds, 5.5);
  EXPECT_EQ(read_text(path("run/STATUS")), "stopped\n");
  const auto epochs = of_kind(read_records(path("run/metrics.jsonl")), "epoch").size();
  EXPECT_GT(epochs, 10U);
  EXPECT_TRUE(fs::exists(checkpoint("run", static_cast<int>(epochs))));
}

TEST_F(ResumeTest, ADamagedCheckpointIsPassedOver) {
  ASSERT_EQ(run(std::string(small) + "--checkpoint-every 4 --keep 9 --out all").code, 0);
  const auto wanted = results("all");
  rewind("all", "part", 8);
  std::fstream(checkpoint("part", 8), std::ios::in | std::ios::out | std::ios::binary)
      .seekp(1000)
      .put('x');
  const Result rest = run("train --resume --out part");
  ASSERT_EQ(rest.code, 0) << rest.error;
  EXPECT_NE(rest.error.find("epoch-000008.ckpt"), std::string::npos) << rest.error;
  EXPECT_NE(rest.error.find("resumed before epoch 4"), std::string::npos) << rest.error;
  expect_same("part", wanted, "from the one before");
  EXPECT_TRUE(fs::exists(checkpoint("part", 8) + ".damaged"));

  // With none left that is whole, starting over is for the user to decide.
  rewind("all", "part", 8);
  for (const int epoch : {4, 8})
    fs::resize_file(checkpoint("part", epoch), 777);
  expect_refused("train --resume --out part", 3, {"no checkpoint is whole", "checkpoints"});

  // One that cannot be read is not a damaged one.
  fs::remove(checkpoint("part", 8));
  fs::create_directory(checkpoint("part", 8));
  expect_refused("train --resume --out part", 74, {"no checkpoint is whole", "not a regular file"});
}

TEST_F(ResumeTest, ProvenanceOfEarlierSessionsIsNotLost) {
  ASSERT_EQ(run(std::string(small) + "--checkpoint-every 4 --keep 9 --out all").code, 0);
  rewind("all", "part", 8);
  const std::string file = path("part/provenance.json");
  std::ofstream(file) << "{\"sessions\": [";
  ASSERT_EQ(run("train --resume --out part").code, 0);
  EXPECT_EQ(read_text(file + ".damaged"), "{\"sessions\": [");
  EXPECT_EQ(nlohmann::json::parse(read_text(file)).at("sessions").size(), 1U);

  rewind("all", "part", 8);
  fs::remove(file);
  fs::create_directory(file);
  const Result unreadable = run("train --resume --out part");
  EXPECT_EQ(unreadable.code, 74) << unreadable.error;
  EXPECT_NE(unreadable.error.find("not a regular file"), std::string::npos) << unreadable.error;
}

TEST_F(ResumeTest, WhatHasChangedIsRefusedUnlessInexact) {
  ASSERT_EQ(run(std::string(small) + "--threads 2 --checkpoint-every 4 --keep 9 --out all").code,
            0);
  rewind("all", "part", 8);
  expect_refused("train --resume --threads 1 --out part", 2, {"threads (2, now 1)", "inexact"});
  expect_refused("train --resume --precision fp64 --out part", 2, {"precision", "inexact"});
  expect_refused("train --resume --epochs 13 --out part", 2, {"epochs (12, now 13)"});
  for (const char* other : {"--gamma 0.4", "--seed 2", "--samples 39", "--width 65"}) {
    expect_refused(std::string("train --resume ") + other + " --out part", 2,
                   {"not the experiment"});
    expect_refused(std::string("train --resume=inexact ") + other + " --out part", 2,
                   {"not the experiment"});
  }
  expect_refused("train --resume=perhaps --out part", 2, {"--resume=inexact"});

  // How the run is kept safe may change.
  ASSERT_EQ(run("train --resume --keep 1 --checkpoint-every 1h --max-walltime 1h --out part").code,
            0);

  for (const std::string change : {"--threads 1", "--precision fp64", "--epochs 15",
                                   "--learning-rate 0.001", "--chunk 7", "--no-warm-start"}) {
    rewind("all", "part", 8);
    const Result rest = run("train --resume=inexact " + change + " --out part");
    ASSERT_EQ(rest.code, 0) << change << "\n" << rest.error;
    const auto records = read_records(path("part/metrics.jsonl"));
    const auto resumed = of_kind(records, "resumed");
    ASSERT_EQ(resumed.size(), 1U) << change;
    EXPECT_EQ(resumed[0].at("epoch"), 8);
    const std::string name =
        change.substr(change.starts_with("--no-") ? 5 : 2, change.find(' ') - 2);
    EXPECT_TRUE(resumed[0].at("changed").contains(name)) << resumed[0];
    const auto epochs = of_kind(records, "epoch");
    ASSERT_EQ(epochs.size(), change == "--epochs 15" ? 15U : 12U) << change;
    for (std::size_t k = 0; k < epochs.size(); ++k)
      EXPECT_EQ(epochs[k].at("epoch"), k);
    // That of epoch 5 was announced before the checkpoint, and its record still to come.
    EXPECT_EQ(gram_epochs("part"), (std::vector<int>{0, 5, 10})) << change;
    EXPECT_TRUE(read_text(path("part/gram/ntk-first.npy")) ==
                read_text(path("all/gram/ntk-first.npy")))
        << change;
    // It goes on where it was: other arithmetic, or half a step, changes little.
    const auto wanted = of_kind(read_records(path("all/metrics.jsonl")), "epoch");
    EXPECT_NEAR(epochs[8].at("loss").get<double>() / wanted[8].at("loss").get<double>(), 1.0, 1e-4)
        << change;
    const auto sessions =
        nlohmann::json::parse(read_text(path("part/provenance.json"))).at("sessions");
    EXPECT_EQ(sessions.size(), 2U);
    EXPECT_EQ(sessions[1].at("from_epoch"), 8);
    EXPECT_FALSE(sessions[1].at("changed").empty());
    const Result report = run("report part --out page");
    EXPECT_EQ(report.code, 0) << change << report.error;
    fs::remove_all(path("page"));
    // And from here on it can be resumed exactly.
    ASSERT_EQ(run("train --resume --out part").code, 0);
  }
}

TEST_F(ResumeTest, OtherDataAreAnotherExperiment) {
  write_problem(48, 20, 6);
  const std::string command =
      "train --data npy:X.npy,y.npy --width 48 --epochs 6 --checkpoint-every 2 --keep 9 ";
  ASSERT_EQ(run(command + "--out all").code, 0);
  rewind("all", "part", 4);
  write_npy(path("y.npy"), {20}, wave(20, 0.9));
  expect_refused("train --resume --out part", 2, {"data"});
}

TEST_F(ResumeTest, DataThatChangeBeforeTheFirstEpochAreNoticed) {
  write_problem(48, 20, 6);
  const std::string command =
      "train --data npy:X.npy,y.npy --weights w.npz --epochs 6 --checkpoint-every 2 --keep 9 ";
  ASSERT_EQ(run(command + "--out all").code, 0);
  rewind("all", "part", 0);
  write_npy(path("y.npy"), {20}, wave(20, 0.9));
  expect_refused("train --resume --out part", 2, {"data"});
  ASSERT_EQ(run("train --resume=inexact --out part").code, 0);
  ASSERT_EQ(run(command + "--out fresh").code, 0);
  // Nothing of the other data is in it.
  expect_same("part", results("fresh"), "with other data from the start");
  const auto said = [&](const std::string& directory) {
    auto record = nlohmann::json::parse(read_text(path(directory + "/provenance.json")));
    return std::pair(record.at("data_checksum"), record.at("repeat"));
  };
  EXPECT_EQ(said("part"), said("fresh"));
  // With another number of samples it is another experiment, even so.
  rewind("all", "part", 0);
  write_problem(48, 21, 6);
  expect_refused("train --resume=inexact --out part", 2,
                 {"another number of samples", "n (20, now 21)"});
}

TEST_F(ResumeTest, AnotherNumberOfSamplesIsAnotherExperiment) {
  const std::string command =
      "train --width 48 --test-samples 60 --epochs 4 --learning-rate 0.001 --gram-every 0 "
      "--checkpoint-every 2 --keep 9 --out part";
  ASSERT_EQ(run(command).code, 0);
  expect_refused("train --resume=inexact --epochs 6 --test-samples 0 --out part", 2,
                 {"another number of samples", "n (300, now 360)"});
}

TEST_F(ResumeTest, RecordsThatAreGoneAreBadData) {
  ASSERT_EQ(run(std::string(small) + "--checkpoint-every 4 --keep 9 --out all").code, 0);
  rewind("all", "part", 8);
  for (const char* directory : {"part", "all"}) {
    fs::remove(path(directory + std::string("/metrics.jsonl")));
    expect_refused("train --resume --out " + std::string(directory), 3, {"gone", "metrics.jsonl"});
  }
}

// The way back to the start leads through the weights file where no checkpoint has them.
TEST_F(ResumeTest, AWeightsFileThatChangesIsNotTakenForWhatItWas) {
  constexpr Index m = 768, n = 300, d = 6;
  write_problem(m, n, d);
  NpzWriter other(path("other.npz"));
  other.add("A", {m, m}, wave(m * m, 0.3));
  other.add("W", {m, d}, wave(m * d, 0.4));
  other.add("u", {m}, wave(m, 0.9));
  other.add("v", {m}, wave(m, 0.6));
  other.finish();
  const std::string command =
      "train --data npy:X.npy,y.npy --weights w.npz --gamma 0.3 --precision fp64 --epochs 9 "
      "--learning-rate 1000 --gram-every 0 --checkpoint-every 0 --out ";
  const Result same = run(command + "same");
  EXPECT_EQ(same.code, 4) << same.error;
  EXPECT_EQ(read_npz(path("same/weights.npz"), {"u"}).at("u").values,
            read_npz(path("w.npz"), {"u"}).at("u").values);
  // A run's directory is made when the file has been read.
  const std::string script = "cd '" + directory.string() + "'; '" WIDEDEQ_BINARY "' " + command +
                             "changed 2>.e & p=$!; for i in $(seq 9000); do "
                             "[ -e changed/config.toml ] && break; sleep 0.001; done; "
                             "mv other.npz w.npz; wait $p";
  const int status = std::system(script.c_str());
  const std::string said = read_text(path(".e"));
  ASSERT_TRUE(WIFEXITED(status)) << said;
  EXPECT_EQ(WEXITSTATUS(status), 3) << said;
  EXPECT_NE(said.find("the weights are no longer those the run began with"), said.npos) << said;
  EXPECT_FALSE(fs::exists(path("changed/weights.npz")));
}

TEST_F(ResumeTest, TheSameDataMayLieElsewhere) {
  write_problem(48, 20, 6);
  const auto command = [](const std::string& folder) {
    return "train --data npy:" + folder + "X.npy," + folder +
           "y.npy --width 48 --epochs 6 --checkpoint-every 2 --keep 9 ";
  };
  ASSERT_EQ(run(command("") + "--out all").code, 0);
  rewind("all", "part", 4);
  fs::create_directory(directory / "there");
  for (const char* file : {"X.npy", "y.npy"})
    fs::rename(directory / file, directory / "there" / file);
  const Result rest = run(command("there/") + "--resume --out part");
  ASSERT_EQ(rest.code, 0) << rest.error;
  EXPECT_NE(rest.error.find("the same data, now at npy:"), std::string::npos) << rest.error;
  EXPECT_EQ(without_times(read_text(path("part/metrics.jsonl"))),
            without_times(read_text(path("all/metrics.jsonl"))));
  EXPECT_EQ(read_text(path("part/weights.npz")), read_text(path("all/weights.npz")));
  EXPECT_NE(read_text(path("part/config.toml")).find("there/X.npy"), std::string::npos);
}

TEST_F(ResumeTest, WhatHasChangedMakesNoDifferenceToARunThatIsDone) {
  ASSERT_EQ(run(std::string(small) + "--checkpoint-every 4 --out all").code, 0);
  const auto before = files();
  const Result again = run("train --resume=inexact --learning-rate 0.5 --out all");
  EXPECT_EQ(again.code, 0) << again.error;
  EXPECT_NE(again.output.find("nothing is left to do with what has changed: learning-rate"),
            std::string::npos)
      << again.output;
  EXPECT_EQ(files(), before);
  expect_refused("train --resume --learning-rate 0.5 --out all", 2, {"learning-rate"});
  expect_refused("train --resume=inexact --gamma 0.1 --out all", 2, {"not the experiment"});
}

TEST_F(ResumeTest, ChangedRecordsAreNotGoneOnWith) {
  ASSERT_EQ(run(std::string(small) + "--checkpoint-every 4 --keep 9 --out all").code, 0);
  rewind("all", "part", 8);
  std::string records = read_text(path("part/metrics.jsonl"));
  records[100] = records[100] == 'x' ? 'y' : 'x';
  write_text("part/metrics.jsonl", records);
  expect_refused("train --resume --out part", 3, {"records", "metrics.jsonl"});
  write_text("part/metrics.jsonl", records.substr(0, 200));
  expect_refused("train --resume --out part", 3, {"records", "metrics.jsonl"});
}

TEST_F(ResumeTest, WhereThereIsNothingItBegins) {
  const Result begun = run(std::string(small) + "--resume --out new");
  ASSERT_EQ(begun.code, 0) << begun.error;
  const auto wanted = results("new");
  // Done is done.
  const Result again = run(std::string(small) + "--resume --out new");
  EXPECT_EQ(again.code, 0);
  EXPECT_NE(again.output.find("done before"), std::string::npos) << again.output;
  expect_same("new", wanted, "resumed when done");
  // Killed before there was a configuration.
  fs::create_directories(directory / "early/gram");
  write_text("early/STATUS", "running\n");
  ASSERT_EQ(run(std::string(small) + "--resume --out early").code, 0);
  expect_same("early", wanted, "killed at its very beginning");
  // Somebody else's files.
  fs::create_directories(directory / "photos");
  write_text("photos/cat.jpg", "meow");
  expect_refused(std::string(small) + "--resume --out photos", 2, {"not empty"});
}

TEST_F(ResumeTest, OnlyOneProcessAtATime) {
  const std::string command =
      "train --width 64 --samples 40 --epochs 1000000 --gram-every 0 --learning-rate 1e-4 ";
  const std::string script =
      "cd '" + directory.string() + "' && '" WIDEDEQ_BINARY "' " + command +
      "--out run >o 2>e & p=$!; " + "for i in $(seq 600); do [ $(cat '" +
      path("run/metrics.jsonl") +
      "' 2>/dev/null | wc -l) -gt 3 ] && break; sleep 0.05; done; '" WIDEDEQ_BINARY "' " + command +
      "--resume --out '" + path("run") + "' >'" + path("o2") + "' 2>'" + path("e2") + "'; r=$?; " +
      "kill -TERM $p; wait $p; [ $? = 75 ] || exit 99; exit $r";
  const int status = std::system(script.c_str());
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 2) << read_text(path("e2")) << read_text(path("e"));
  EXPECT_NE(read_text(path("e2")).find("process"), std::string::npos) << read_text(path("e2"));
}

TEST_F(ResumeTest, DivergenceEndsWithTheLastGoodState) {
  const std::string command = "train --width 64 --samples 40 --epochs 50 --learning-rate 0.5 ";
  const Result failed = run(command + "--out run");
  EXPECT_EQ(failed.code, 4) << failed.error;
  EXPECT_TRUE(read_text(path("run/STATUS")).starts_with("failed: "));
  // The records tell the whole story; the checkpoint is from before the step that spoilt it.
  const auto epochs = of_kind(read_records(path("run/metrics.jsonl")), "epoch");
  ASSERT_GE(epochs.size(), 2U);
  const int last = epochs.back().at("epoch");
  EXPECT_TRUE(fs::exists(checkpoint("run", last)));
  EXPECT_FALSE(fs::exists(checkpoint("run", last + 1)));
  // weights.npz is that very state: training on from there starts at its loss.
  const Result on =
      run("train --width 64 --samples 40 --epochs 1 --weights run/weights.npz "
          "--learning-rate 1e-3 --out on");
  ASSERT_EQ(on.code, 0) << on.error;
  EXPECT_NEAR(of_kind(read_records(path("on/metrics.jsonl")), "epoch")[0].at("loss").get<double>() /
                  epochs.back().at("loss").get<double>(),
              1.0, 1e-5);
  // And with a smaller step it goes on.
  const Result resumed = run("train --resume=inexact --learning-rate 0.001 --epochs 10 --out run");
  EXPECT_EQ(resumed.code, 0) << resumed.error;
}

TEST_F(ResumeTest, TheStepIsHalvedTheSameWayWhereverCheckpointsFall) {
  const std::string command =
      "train --width 64 --samples 40 --epochs 20 --gram-every 4 --learning-rate 0.3 "
      "--on-divergence "
      "halve ";
  const Result first = run(command + "--checkpoint-every 0 --out whole");
  ASSERT_EQ(first.code, 0) << first.error;
  const auto records = read_records(path("whole/metrics.jsonl"));
  const auto halved = of_kind(records, "halved");
  ASSERT_GE(halved.size(), 1U);
  EXPECT_LE(halved.size(), 10U);
  double eta = 0.3;
  for (const auto& record : halved) {
    EXPECT_LE(record.at("learning_rate").get<double>(), eta / 2.0);
    eta = record.at("learning_rate");
    EXPECT_FALSE(record.at("reason").get<std::string>().empty());
  }
  const auto epochs = of_kind(records, "epoch");
  ASSERT_EQ(epochs.size(), 20U);
  for (std::size_t k = 0; k < epochs.size(); ++k)
    EXPECT_EQ(epochs[k].at("epoch"), k);

  ASSERT_EQ(run(command + "--checkpoint-every 1 --keep 99 --out all").code, 0);
  auto wanted = results("whole");
  wanted.erase("config.toml");
  const auto same = [&](const std::string& run, const std::string& when) {
    auto expected = wanted;
    expected["config.toml"] = read_text(directory / run / "config.toml");
    expect_same(run, expected, when);
  };
  same("all", "with a checkpoint an epoch");
  for (int epoch = 0; epoch < 20; epoch += 3) {
    rewind("all", "part", epoch);
    ASSERT_EQ(run("train --resume --out part").code, 0);
    same("part", "from " + std::to_string(epoch));
  }
}

TEST_F(ResumeTest, GoingBackHoldsWithCheckpointsOnTheWay) {
  // Steps far too large, so that there are many ways back, also from behind the last checkpoint.
  for (const std::string rate : {"0.2", "0.17"}) {
    const std::string command =
        "train --width 64 --samples 40 --epochs 30 --gamma 0.49 --gram-every 2 --on-divergence "
        "halve --learning-rate " +
        rate + " ";
    const Result first = run(command + "--checkpoint-every 0 --out whole");
    const Result other = run(command + "--checkpoint-every 1 --keep 1 --out one");
    ASSERT_EQ(other.code, first.code) << other.error;
    EXPECT_EQ(without_times(read_text(path("one/metrics.jsonl"))),
              without_times(read_text(path("whole/metrics.jsonl"))));
    EXPECT_EQ(read_text(path("one/weights.npz")), read_text(path("whole/weights.npz")));
    int halved = 0;
    for (const auto& record : of_kind(read_records(path("one/metrics.jsonl")), "halved"))
      halved += 1 + record.at("replaces").get<int>();
    EXPECT_GE(halved, 2);
    EXPECT_LE(halved, 10);
    fs::remove_all(directory / "whole");
    fs::remove_all(directory / "one");
  }
}

TEST_F(ResumeTest, AStoppedFailureGoesOnWithoutDoubledEpochs) {
  const std::string command =
      "train --width 64 --samples 40 --epochs 30 --gamma 0.49 --learning-rate 0.2 "
      "--checkpoint-every 1 --keep 1 --out run ";
  ASSERT_EQ(run(command).code, 4);
  const std::string records = without_times(read_text(path("run/metrics.jsonl")));
  ASSERT_EQ(run(command + "--resume").code, 4);
  EXPECT_EQ(without_times(read_text(path("run/metrics.jsonl"))), records);
}

TEST_F(ResumeTest, TheLastGoodStateNeedsNoDataFile) {
  write_problem(48, 20, 6);
  // The shell takes the inputs away as soon as there are records.
  const std::string script =
      "cd '" + directory.string() +
      "'; '" WIDEDEQ_BINARY
      "' train --data npy:X.npy,y.npy --width 400 --epochs 3000 --learning-rate 0.5 --tolerance "
      "1e-5 --gram-every 0 --out run >o 2>e & p=$!; for i in $(seq 600); do [ -f run/log.txt ] && "
      "break; sleep 0.01; done; rm X.npy; kill -0 $p || exit 98; wait $p";
  const int status = std::system(script.c_str());
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 4) << read_text(path("e"));
  EXPECT_TRUE(fs::exists(path("run/weights.npz")));
}

TEST_F(ResumeTest, AnInexactResumeKeepsTheHalvedStep) {
  ASSERT_EQ(run("train --width 64 --samples 40 --epochs 30 --gamma 0.49 --learning-rate 0.12 "
                "--gram-every 2 --on-divergence halve --checkpoint-every 10 --keep 9 --out all")
                .code,
            0);
  ASSERT_GE(of_kind(read_records(path("all/metrics.jsonl")), "halved").size(), 1U);
  rewind("all", "part", 20);
  ASSERT_EQ(run("train --resume=inexact --max-sweeps 999 --out part").code, 0);
  const auto all = of_kind(read_records(path("all/metrics.jsonl")), "epoch");
  const auto part = of_kind(read_records(path("part/metrics.jsonl")), "epoch");
  EXPECT_EQ(part.back().at("loss"), all.back().at("loss"));
}

TEST_F(ResumeTest, ADoneRunIsOnlyDoneWithItsOwnSettings) {
  ASSERT_EQ(run(std::string(small) + "--checkpoint-every 0 --out run").code, 0);
  const auto wanted = results("run");
  expect_refused("train --resume --seed 77 --out run", 2, {"not the experiment"});
  expect_refused("train --resume=inexact --epochs 20 --out run", 2, {"no checkpoint"});
  const Result again = run(std::string(small) + "--resume --threads 0 --precision auto --out run");
  EXPECT_EQ(again.code, 0) << again.error;
  EXPECT_NE(again.output.find("done before"), std::string::npos);
  expect_same("run", wanted, "after all that");
}

TEST_F(ResumeTest, GramsMayBeginWithAnInexactResume) {
  ASSERT_EQ(run("train --width 64 --samples 40 --epochs 12 --learning-rate 0.01 --gram-every 0 "
                "--checkpoint-every 4 --keep 9 --out all")
                .code,
            0);
  rewind("all", "part", 8);
  const Result part = run("train --resume=inexact --gram-every 2 --out part");
  ASSERT_EQ(part.code, 0) << part.error;
  // The first kernel is not that of the first residual: nothing is predicted from the two.
  EXPECT_TRUE(std::regex_search(part.output, std::regex("NTK +epoch 8 +epoch 10"))) << part.output;
  EXPECT_EQ(part.output.find("predicted"), std::string::npos) << part.output;
  EXPECT_EQ(of_kind(read_records(path("part/metrics.jsonl")), "gram").size(), 2U);
  rewind("all", "part", 8);
  expect_refused("train --resume=inexact --epochs 5 --out part", 2, {"8 epochs are done"});
}

TEST_F(ResumeTest, GramsMayEndWithAnInexactResume) {
  ASSERT_EQ(
      run(std::string(small) + "--learning-rate 0.01 --checkpoint-every 4 --keep 9 --out all").code,
      0);
  rewind("all", "part", 8);
  ASSERT_EQ(run("train --resume=inexact --gram-every 0 --out part").code, 0);
  EXPECT_EQ(gram_epochs("part"), (std::vector<int>{0, 5}));
}

TEST_F(ResumeTest, GramsThatPauseAreComparedWithTheFirstOne) {
  const std::string settings = "train --width 32 --samples 12 --learning-rate 0.05 --out ";
  ASSERT_EQ(run(settings + "run --epochs 3 --gram-every 1").code, 0);
  const std::string first = read_text(path("run/gram/ntk-first.npy"));
  ASSERT_EQ(run("train --resume=inexact --gram-every 0 --epochs 5 --out run").code, 0);
  ASSERT_EQ(run("train --resume=inexact --gram-every 1 --epochs 7 --out run").code, 0);
  EXPECT_EQ(gram_epochs("run"), (std::vector{0, 1, 2, 5, 6}));
  EXPECT_EQ(read_text(path("run/gram/ntk-first.npy")), first);
  const auto grams = of_kind(read_records(path("run/metrics.jsonl")), "gram");
  EXPECT_GT(grams[3].at("drift"), grams[2].at("drift"));
}

TEST_F(ResumeTest, WithoutAnEpochItBeginsWithTheSettingsThereAre) {
  for (const std::string rate : {"", "--learning-rate 0.05 "}) {
    fs::remove_all(path("run"));
    const std::string settings = "--width 16 --samples 6 --gram-every 0 ";
    ASSERT_EQ(run("train " + settings + "--epochs 0 --out run").code, 0);
    ASSERT_EQ(run("train --resume=inexact --epochs 3 " + rate + "--out run").code, 0);
    const auto records = read_records(path("run/metrics.jsonl"));
    EXPECT_EQ(records.front().at("kind"), "run");
    EXPECT_EQ(of_kind(records, "run").size(), 1U);
    EXPECT_EQ(of_kind(records, "resumed").size(), 0U);
    EXPECT_EQ(of_kind(records, "epoch").size(), 3U);
    EXPECT_GT(records.front().at("learning_rate"), 0.0);
    EXPECT_EQ(run("report run --out page").code, 0);
    fs::remove_all(path("page"));
    // As if it had been so from the start.
    ASSERT_EQ(run("train " + settings + "--epochs 3 " + rate + "--out whole").code, 0);
    EXPECT_EQ(without_times(read_text(path("run/metrics.jsonl"))),
              without_times(read_text(path("whole/metrics.jsonl"))));
    fs::remove_all(path("whole"));
  }
}

TEST_F(ResumeTest, WeightsOfAFileAreNeededOnce) {
  ASSERT_EQ(run("train --width 24 --samples 8 --epochs 3 --gram-every 0 --out made").code, 0);
  const std::string settings =
      "train --weights made/weights.npz --samples 8 --gram-every 0 --learning-rate 0.01 "
      "--checkpoint-every 2 --keep 2 --epochs 7 ";
  ASSERT_EQ(run(settings + "--out whole").code, 0);
  EXPECT_TRUE(fs::exists(checkpoint("whole", 0)));  // the way back
  rewind("whole", "part", 0);
  fs::remove(path("made/weights.npz"));
  const Result rest = run("train --resume --out part");
  ASSERT_EQ(rest.code, 0) << rest.error;
  EXPECT_EQ(without_times(read_text(path("part/metrics.jsonl"))),
            without_times(read_text(path("whole/metrics.jsonl"))));
  EXPECT_TRUE(read_text(path("part/weights.npz")) == read_text(path("whole/weights.npz")));
  // What records there were before the first epoch does not matter: they begin anew.
  rewind("whole", "part", 0);
  write_text("part/metrics.jsonl", "");
  ASSERT_EQ(run("train --resume --out part").code, 0);
  EXPECT_EQ(without_times(read_text(path("part/metrics.jsonl"))),
            without_times(read_text(path("whole/metrics.jsonl"))));
}

TEST_F(ResumeTest, MixedGoesOnInSinglePrecision) {
  if (!has_mixed()) GTEST_SKIP() << "no mixed precision here";
  // Few samples: updates are kept as factors, which single precision does not know.
  const std::string settings =
      "train --width 256 --samples 4 --gram-every 0 --learning-rate 0.02 --epochs ";
  ASSERT_EQ(run(settings + "8 --precision fp32 --out single").code, 0);
  ASSERT_EQ(run(settings + "4 --precision mixed --out run").code, 0);
  ASSERT_EQ(run("train --resume=inexact --precision fp32 --epochs 8 --out run").code, 0);
  const auto is = of_kind(read_records(path("run/metrics.jsonl")), "epoch");
  const auto wanted = of_kind(read_records(path("single/metrics.jsonl")), "epoch");
  ASSERT_EQ(is.size(), 8U);
  for (std::size_t k = 0; k < is.size(); ++k)
    EXPECT_NEAR(is[k].at("loss").get<double>() / wanted[k].at("loss").get<double>(), 1.0, 1e-4);
}

TEST_F(ResumeTest, WhatCannotGoOnLeavesADoneRunAsItWas) {
  ASSERT_EQ(run(std::string(small) + "--out part").code, 0);
  // The last Gram's record is behind the last checkpoint's.
  const std::string records = read_text(path("part/metrics.jsonl"));
  fs::remove(path("part/log.txt"));
  fs::create_directory(path("part/log.txt"));
  EXPECT_NE(run("train --resume=inexact --epochs 15 --out part").code, 0);
  EXPECT_EQ(read_text(path("part/metrics.jsonl")), records);
  EXPECT_EQ(read_text(path("part/STATUS")), "done\n");
  fs::remove(path("part/log.txt"));
  ASSERT_EQ(run("train --resume=inexact --epochs 15 --out part").code, 0);
  EXPECT_EQ(gram_epochs("part"), (std::vector<int>{0, 5, 10}));
}

TEST_F(ResumeTest, AGramThatCannotBeSavedIsNotLost) {
  // 300 samples' eigenvalues take longer than an epoch: a checkpoint is due while they are found.
  const std::string command =
      "train --data sphere --width 16 --samples 300 --learning-rate 1e-3 --gram-every 2 "
      "--epochs 5 --checkpoint-every 1 --keep 9 ";
  ASSERT_EQ(run(command + "--out whole").code, 0);
  rewind("whole", "part", 1);
  const fs::path in_the_way = directory / "part/gram/eigenvalues-000002.npy";
  fs::remove(in_the_way);
  fs::create_directory(in_the_way);
  const Result stopped = run("train --resume --out part");
  EXPECT_EQ(stopped.code, 74);
  EXPECT_EQ(stopped.complaints().size(), 1U) << stopped.error;
  fs::remove(in_the_way);
  const Result rest = run("train --resume --out part");
  ASSERT_EQ(rest.code, 0) << rest.error;
  expect_same("part", results("whole"), "after it was resumed");
}

TEST_F(ResumeTest, RecordsCutBehindTheNewestCheckpointLeaveTheOneBefore) {
  ASSERT_EQ(run(std::string(small) + "--checkpoint-every 4 --keep 9 --out all").code, 0);
  const auto wanted = results("all");
  rewind("all", "part", 8);
  const std::string records = read_text(path("part/metrics.jsonl"));
  std::size_t end = 0;
  for (int line = 0; line < 6; ++line)  // the run and five epochs
    end = records.find('\n', end) + 1;
  write_text("part/metrics.jsonl", records.substr(0, end));
  const Result rest = run("train --resume --out part");
  ASSERT_EQ(rest.code, 0) << rest.error;
  EXPECT_NE(rest.error.find("resumed before epoch 4"), std::string::npos) << rest.error;
  expect_same("part", wanted, "from the one before");
}

TEST_F(ResumeTest, AfterTenHalvingsItGivesUp) {
  // Targets so far away that no tenth part of a step of this size is small enough.
  const Result failed =
      run("train --width 32 --samples 20 --epochs 30 --learning-rate 1e6 "
          "--on-divergence halve --gram-every 0 --out run");
  EXPECT_EQ(failed.code, 4) << failed.error;
  EXPECT_EQ(failed.complaints().size(), 1U) << failed.error;
}

TEST_F(ResumeTest, AnotherNetworkIsAnotherExperimentHoweverItIsAskedFor) {
  ASSERT_EQ(run(std::string(small) + "--checkpoint-every 4 --keep 9 --out all").code, 0);
  rewind("all", "part", 8);
  for (const char* other :
       {"--injection linear", "--no-skip", "--weights gaussian", "--classes 0,2"})
    for (const char* how : {"--resume ", "--resume=inexact "})
      expect_refused(std::string("train ") + how + other + " --out part", 2,
                     {"not the experiment"});
}

TEST_F(ResumeTest, TheTableAtTheEndIsThatOfTheWholeRun) {
  const Result whole = run(std::string(small) +
                           "--test-samples 20 --test-every 3 --checkpoint-every 4 --keep 9 "
                           "--out run");
  ASSERT_EQ(whole.code, 0) << whole.error;
  for (const char* part : {"12 epochs", "predicted", "misclassified", "test loss", "slowest mode"})
    ASSERT_NE(whole.output.find(part), std::string::npos) << whole.output;
  fs::rename(directory / "run", directory / "whole");
  for (const int epoch : {4, 8}) {
    rewind("whole", "run", epoch);  // of the same name, which the table says
    const Result rest = run("train --resume --out run");
    ASSERT_EQ(rest.code, 0) << rest.error;
    EXPECT_EQ(rest.output, whole.output) << "from " << epoch;
  }
}

TEST_F(ResumeTest, ANewLearningRateIsNotHalvedForWhatTheOldOneDid) {
  ASSERT_EQ(run("train --width 64 --samples 40 --epochs 20 --gram-every 4 --learning-rate 0.3 "
                "--on-divergence halve --checkpoint-every 1 --keep 99 --out all")
                .code,
            0);
  const auto halved = of_kind(read_records(path("all/metrics.jsonl")), "halved");
  ASSERT_GE(halved.size(), 1U);
  const int epoch = halved.back().at("epoch");
  ASSERT_TRUE(fs::exists(checkpoint("all", epoch)));  // written when the step was halved
  rewind("all", "part", epoch);
  const Result rest = run("train --resume=inexact --learning-rate 0.001 --out part");
  ASSERT_EQ(rest.code, 0) << rest.error;
  const auto records = read_records(path("part/metrics.jsonl"));
  for (const auto& record : of_kind(records, "halved"))
    EXPECT_LT(record.at("epoch"), epoch) << record;
  // loss(k) - loss(k+1) = eta ||grad||^2 (1 - eta v'H v/2), v'H v <= lambda_max, about 50 here
  const auto epochs = of_kind(records, "epoch");
  const auto k = static_cast<std::size_t>(epoch);
  ASSERT_GT(epochs.size(), k + 1);
  const double fall = epochs[k].at("loss").get<double>() - epochs[k + 1].at("loss").get<double>();
  const double gradient = epochs[k].at("gradient_norm");
  EXPECT_NEAR(fall / (0.001 * gradient * gradient), 1.0, 0.1);
}

}  // namespace
}  // namespace widedeq::test
