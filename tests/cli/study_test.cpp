// Studies as a user has them: alone and shared, stopped and killed, growing, and in a batch system.
#include <csignal>
#include <map>
#include <set>

#include "tests/cli/cli_support.hpp"

namespace widedeq::test {
namespace {

class StudyTest : public CliTest {
 protected:
  /// Everything of a finished run that does not tell the time, by file.
  std::map<std::string, std::string> results(const fs::path& run) const {
    std::map<std::string, std::string> files;
    for (const char* name : {"config.toml", "weights.npz", "STATUS"})
      files[name] = read_text(directory / run / name);
    files["metrics.jsonl"] = without_times(read_text(directory / run / "metrics.jsonl"));
    for (const auto& entry : fs::directory_iterator(directory / run / "gram"))
      files[entry.path().filename().string()] = read_text(entry.path());
    return files;
  }

  std::set<std::string> cells(const std::string& study) const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(directory / study / "cells"))
      names.insert(entry.path().filename().string());
    return names;
  }

  /// Without config.toml where runs were kept safe in another way.
  void expect_same_cells(const std::string& study, const std::string& wanted,
                         bool with_config = true) const {
    ASSERT_EQ(cells(study), cells(wanted));
    for (const std::string& name : cells(wanted)) {
      const auto is = results(fs::path(study) / "cells" / name);
      const auto should_be = results(fs::path(wanted) / "cells" / name);
      ASSERT_EQ(is.size(), should_be.size()) << name;
      for (const auto& [file, content] : should_be)
        EXPECT_TRUE((!with_config && file == "config.toml") || is.at(file) == content)
            << name << "/" << file << "\n"
            << read_text(directory / study / "cells" / name / "log.txt");
      EXPECT_FALSE(fs::exists(directory / study / "cells" / name / "LOCK"));
    }
  }

  /// How often a process has worked on a cell.
  std::size_t sessions(const std::string& cell) const {
    const std::string text = read_text(directory / cell / "provenance.json");
    return text.empty() ? 0 : nlohmann::json::parse(text).at("sessions").size();
  }

  /// Runs a script with $W for the tool in the test's directory; its exit code, -1 for a signal.
  int shell(const std::string& script) const {
    const std::string command =
        "cd '" + directory.string() + "'; W='" WIDEDEQ_BINARY "'; " + script;
    const int status = std::system(command.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  /// Shell: until the run has so many records, for half a minute at most.
  static std::string wait_for_records(const std::string& run, int records) {
    return "for i in $(seq 3000); do [ $(cat " + run + "/metrics.jsonl 2>/dev/null | wc -l) -ge " +
           std::to_string(records) + " ] && break; sleep 0.01; done; ";
  }

  static std::size_t count(const std::string& text, const std::string& part) {
    std::size_t found = 0;
    for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1))
      ++found;
    return found;
  }

  static void expect_parts(const std::string& text, const std::vector<std::string>& parts) {
    for (const std::string& part : parts)
      EXPECT_NE(text.find(part), text.npos) << "no '" << part << "' in\n" << text;
  }
};

constexpr const char* small = R"(
samples = 30
epochs = 12
gram-every = 5
threads = 1
[grid]
width = [32, 48]
seed = "1..2"
)";

/// Cells of some 0.2 s, with many an epoch to be killed in.
constexpr const char* longer = R"(
samples = 30
epochs = 500
gram-every = 100
checkpoint-every = 70
threads = 1
[grid]
width = [32, 48]
seed = "1..2"
)";

TEST_F(StudyTest, EveryCellIsTheRunThatTrainMakes) {
  write_text("s.toml", small);
  const Result result = run("study --config s.toml --out st");
  ASSERT_EQ(result.code, 0) << result.error;
  EXPECT_TRUE(result.output.starts_with("4 cells: 4 done: st\n")) << result.output;
  expect_parts(result.output, {"holds  every solve", "4 of 4 cells", "widedeq report st"});
  const auto results = nlohmann::json::parse(read_text(directory / "st/results.json"));
  EXPECT_EQ(results.at("cells").size(), 4U);
  EXPECT_EQ(count(read_text(directory / "st/cells.csv"), "\r\n"), 5U);
  // A line to begin with and one a cell; nothing of every epoch.
  EXPECT_EQ(count(result.error, "\n"), 5U) << result.error;
  expect_parts(result.error, {"4 cells, 4 to do", "cell 0, width 32, seed 1: done in", "; 3 left",
                              "cell 3, width 48, seed 2: done in"});
  EXPECT_EQ(cells("st"), (std::set<std::string>{"width-32_seed-1", "width-32_seed-2",
                                                "width-48_seed-1", "width-48_seed-2"}));
  for (const std::string width : {"32", "48"})
    for (const std::string seed : {"1", "2"}) {
      const std::string name = "width-" + width + "_seed-" + seed;
      ASSERT_EQ(run("train --samples 30 --epochs 12 --gram-every 5 --threads 1 --width " + width +
                    " --seed " + seed + " --out alone/cells/" + name)
                    .code,
                0);
    }
  expect_same_cells("st", "alone");
}

TEST_F(StudyTest, CalledAgainItDoesWhatIsLeft) {
  write_text("s.toml", small);
  ASSERT_EQ(run("study --config s.toml --out st --cell 1").code, 0);
  EXPECT_EQ(cells("st"), (std::set<std::string>{"width-32_seed-2"}));
  ASSERT_EQ(run("study --out st --cell width-48_seed-1").code, 0);
  EXPECT_EQ(cells("st").size(), 2U);
  // The directory alone is enough, also from elsewhere.
  fs::remove(path("s.toml"));
  ASSERT_EQ(shell("mkdir else; cd else; \"$W\" study --out ../st 2>../err >../out"), 0);
  expect_parts(read_text(path("err")), {"4 cells, 2 to do"});
  for (const std::string& name : cells("st"))
    EXPECT_EQ(sessions("st/cells/" + name), 1U) << name;
  const auto before = files();
  const Result again = run("study --out st");
  EXPECT_EQ(again.code, 0) << again.error;
  expect_parts(again.error, {"0 to do"});
  fs::remove(path("st/log.txt"));
  EXPECT_EQ(files().size() + 1, before.size());
}

TEST_F(StudyTest, SharesAreDisjointAndCoverAll) {
  write_text("s.toml", small);
  for (const std::string k : {"0", "1", "2"})
    ASSERT_EQ(run("study --config s.toml --out part" + k + " --cells " + k + "/3").code, 0);
  std::multiset<std::string> seen;
  for (const std::string k : {"0", "1", "2"})
    for (const std::string& name : cells("part" + k))
      seen.insert(name);
  ASSERT_EQ(run("study --config s.toml --out all --cells 0/1").code, 0);
  const auto all = cells("all");
  EXPECT_EQ(seen, std::multiset<std::string>(all.begin(), all.end()));
}

TEST_F(StudyTest, KilledItGoesOnToTheSameBytes) {
  write_text("s.toml", longer);
  ASSERT_EQ(run("study --config s.toml --out whole").code, 0);
  std::size_t resumed = 0;
  for (const char* cell : {"width-32_seed-2", "width-48_seed-2"}) {
    fs::remove_all(path("killed"));
    shell("\"$W\" study --config s.toml --out killed >o 2>e & p=$!; " +
          wait_for_records(std::string("killed/cells/") + cell, 100) + "kill -KILL $p; wait $p");
    const Result rest = run("study --config s.toml --out killed");
    ASSERT_EQ(rest.code, 0) << rest.error;
    expect_same_cells("killed", "whole");
    for (const std::string& name : cells("killed")) {
      EXPECT_LE(sessions("killed/cells/" + name), 2U);
      resumed += sessions("killed/cells/" + name) - 1;
    }
  }
  EXPECT_GT(resumed, 0U);  // at least one was in the middle of a cell
}

TEST_F(StudyTest, SignalsEndItWithACheckpointAndTheNextCallGoesOn) {
  write_text("s.toml", longer);
  ASSERT_EQ(run("study --config s.toml --out whole").code, 0);
  // When the second cell is on its way.
  ASSERT_EQ(shell("\"$W\" study --config s.toml --out st >o 2>e & p=$!; " +
                  wait_for_records("st/cells/width-32_seed-2", 4) + "kill -USR1 $p; wait $p"),
            75)
      << read_text(path("e"));
  EXPECT_LT(cells("st").size(), 4U);
  const Result status = run("study status --out st");
  EXPECT_EQ(status.code, 0);
  expect_parts(status.output, {"1 done, 1 stopped, 2 waiting"});
  ASSERT_EQ(run("study --out st").code, 0);
  expect_same_cells("st", "whole");
}

TEST_F(StudyTest, TheTimeThatRunsOutEndsIt) {
  write_text("s.toml",
             "samples = 30\nepochs = 1000000\ngram-every = 0\nlearning-rate = 1e-4\n"
             "threads = 1\n[grid]\nwidth = [32, 48]\n");
  const Result result = run("study --config s.toml --out st --max-walltime 2s");
  EXPECT_EQ(result.code, 75) << result.error;
  EXPECT_EQ(read_text(path("st/cells/width-32/STATUS")), "stopped\n");
  EXPECT_FALSE(fs::exists(path("st/cells/width-48")));
  // Without time for a cell, none is begun.
  const Result none = run("study --out st --max-walltime 1.002s --cell 1");
  EXPECT_EQ(none.code, 75) << none.error;
  expect_parts(none.error, {"no time left for another cell"});
  EXPECT_FALSE(fs::exists(path("st/cells/width-48")));
}

/// Several processes at once, each cell done exactly once.
class SharedStudyTest : public StudyTest {
 protected:
  void share(int processes) const {
    write_text("s.toml",
               "samples = 30\nepochs = 400\ngram-every = 0\nlearning-rate = 1e-3\nthreads = 1\n"
               "[grid]\nwidth = [32, 48]\nseed = \"1..5\"\n");
    std::string script = "pids=; ";
    for (int i = 0; i < processes; ++i)
      script += "\"$W\" study --config s.toml --out st --wait >o" + std::to_string(i) + " 2>e" +
                std::to_string(i) + " & pids=\"$pids $!\"; ";
    script += "for p in $pids; do wait $p || exit 1; done";
    ASSERT_EQ(shell(script), 0) << read_text(path("e0")) << read_text(path("e1"));
    const std::string log = read_text(path("st/log.txt"));
    EXPECT_EQ(cells("st").size(), 10U);
    for (const std::string& name : cells("st")) {
      EXPECT_EQ(sessions("st/cells/" + name), 1U) << name << "\n" << log;
      EXPECT_EQ(read_text(directory / "st/cells" / name / "STATUS"), "done\n");
    }
    std::set<std::string> workers;  // "HOST PROCESS cell 3, width 32, seed 4: done in"
    std::multiset<std::string> done;
    const std::regex line(R"((\d+) (cell \d+), [^\n]*: done in)");
    for (std::sregex_iterator match(log.begin(), log.end(), line), end; match != end; ++match) {
      workers.insert((*match)[1]);
      done.insert((*match)[2]);
    }
    EXPECT_EQ(done.size(), 10U) << log;
    EXPECT_EQ(std::set<std::string>(done.begin(), done.end()).size(), 10U) << log;
    EXPECT_GE(workers.size(), 2U) << log;
  }
};

TEST_F(SharedStudyTest, ByTwo) {
  share(2);
}

TEST_F(SharedStudyTest, ByFour) {
  share(4);
}

TEST_F(StudyTest, AKilledProcesssCellIsTakenOverByWhoWaits) {
  write_text("s.toml",
             "samples = 30\nepochs = 2000\ngram-every = 0\nlearning-rate = 1e-4\n"
             "threads = 1\n[grid]\nseed = [1]\nwidth = 48\n");
  const std::string cell = "st/cells/width-48_seed-1";
  // A suspended process is as good as one at work.
  const int code =
      shell("\"$W\" study --config s.toml --out st >o 2>e & p=$!; " + wait_for_records(cell, 4) +
            "kill -STOP $p; \"$W\" study --out st >o1 2>e1; first=$?; "
            "\"$W\" study --out st --wait >o2 2>e2 & q=$!; kill -KILL $p; wait $q && exit $first");
  // Without --wait it is left to its holder, and the study is not finished.
  EXPECT_EQ(code, 75) << read_text(path("e1")) << read_text(path("e2"));
  expect_parts(read_text(path("e1")), {"in other hands: process "});
  expect_parts(read_text(path("e2")), {"cell 0, width 48, seed 1: done in"});
  EXPECT_EQ(read_text(directory / cell / "STATUS"), "done\n");
  EXPECT_EQ(sessions(cell), 2U);
}

TEST_F(StudyTest, ACellThatFailsIsAResultAndTheRestGoesOn) {
  // A step a million times too long, and two sweeps for what needs more.
  write_text("s.toml",
             "samples = 30\nepochs = 12\ngram-every = 5\nthreads = 1\n[grid]\n"
             "width = 32\nlearning-rate = [1000, \"auto\"]\nmax-sweeps = [2, 1000]\n");
  const Result result = run("study --config s.toml --out st");
  EXPECT_EQ(result.code, 5) << result.error;  // of cell 0
  EXPECT_EQ(count(result.error, ": failed: "), 3U) << result.error;
  ASSERT_EQ(result.complaints().size(), 1U);
  expect_parts(result.complaints()[0], {"3 cells failed, the first is cell 0", "status"});
  EXPECT_TRUE(result.output.starts_with("4 cells: 1 done, 3 failed: st\n")) << result.output;
  const std::string diverged = "st/cells/width-32_learning-rate-1000_max-sweeps-1000";
  const auto outcome = nlohmann::json::parse(read_text(directory / diverged / "outcome.json"));
  EXPECT_EQ(outcome.at("exit_code"), 4);
  EXPECT_EQ("failed: " + outcome.at("reason").get<std::string>() + "\n",
            read_text(directory / diverged / "STATUS"));

  const Result again = run("study --out st");
  EXPECT_EQ(again.code, 5);
  EXPECT_EQ(count(again.error, ": failed before: "), 3U) << again.error;
  EXPECT_EQ(sessions(diverged), 1U);
  EXPECT_EQ(run("study --out st --cell 1").code, 4);
  EXPECT_EQ(run("study --out st --cell 3").code, 0);

  const auto before = results(diverged);
  const Result retried = run("study --out st --retry-failed");
  EXPECT_EQ(retried.code, 5);
  EXPECT_EQ(count(retried.error, ": failed: "), 3U) << retried.error;
  EXPECT_EQ(sessions(diverged), 1U);  // begun again, from nothing
  EXPECT_EQ(results(diverged), before);
}

TEST_F(StudyTest, SeveralRetryAFailedCellOnce) {
  write_text("s.toml",
             "samples = 30\nepochs = 400\ngram-every = 0\nthreads = 1\nmax-sweeps = 30\n[grid]\n"
             "width = 32\nlearning-rate = [1000, 2000, 3000, 4000]\n");
  ASSERT_EQ(run("study --config s.toml --out st").code, 4);
  fs::remove(path("st/log.txt"));
  shell("for i in 1 2 3; do \"$W\" study --out st --retry-failed --wait >o$i 2>e$i & done; wait");
  const std::string log = read_text(path("st/log.txt"));
  EXPECT_EQ(count(log, ": failed: "), 4U) << log;
  EXPECT_EQ(count(log, ": failed before: "), 8U) << log;
}

TEST_F(StudyTest, OptionsThatASubcommandDoesNotHaveAreRefused) {
  write_text("s.toml", small);
  expect_refused("study --dry-run slurm --config s.toml --out st", 2, {"--dry-run", "study slurm"});
  expect_refused("study --retry-failed --config s.toml --out st slurm", 2, {"--retry-failed"});
  expect_refused("study --cell 3 status --out st", 2, {"--cell", "study status"});
  ASSERT_EQ(run("study --threads 2 --out st slurm --config s.toml").code, 0);
}

TEST_F(StudyTest, TooLittleMemoryForOneCellIsNoneOfTheOthersBusiness) {
  write_text("s.toml", "samples = 30\nepochs = 3\nthreads = 1\n[grid]\nwidth = [1048576, 32]\n");
  const Result result = run("study --config s.toml --out st");
  EXPECT_EQ(result.code, 2) << result.error;
  expect_parts(result.error, {"cell 0, width 1048576: failed: ", "of memory needed", "available"});
  EXPECT_EQ(cells("st"), std::set<std::string>{"width-32"});
  EXPECT_EQ(run("study --config s.toml --out st --dry-run").code, 2);
}

TEST_F(StudyTest, AnOutputFailureEndsItAtOnce) {
  write_text("s.toml", small);
  fs::create_directory(path("st"));
  write_text("st/cells", "in the way");
  const Result result = run("study --config s.toml --out st");
  EXPECT_EQ(result.code, 74) << result.error;
  EXPECT_EQ(result.complaints().size(), 1U) << result.error;
  EXPECT_EQ(count(read_text(path("st/log.txt")), ": begun"), 1U);
}

TEST_F(StudyTest, ItGrowsAndKeepsWhatIsDone) {
  write_text("s.toml", small);
  ASSERT_EQ(run("study --config s.toml --out st").code, 0);
  std::string text = small;
  text.replace(text.find("\"1..2\""), 6, "\"1..3\"");
  write_text("more.toml", text + "gamma = [0.3, 0.5]\n");
  const Result more = run("study --config more.toml --out st");
  ASSERT_EQ(more.code, 0) << more.error;
  expect_parts(more.error, {"12 cells, 8 to do"});
  EXPECT_EQ(cells("st").size(), 12U);
  for (const std::string& name : cells("st"))
    EXPECT_EQ(sessions("st/cells/" + name), 1U) << name;
  // Back to fewer is another study; so is another setting. Nothing is touched.
  expect_refused("study --config s.toml --out st", 2, {"another one", "seed (1, 2, 3; now 1, 2)"});
  text.replace(text.find("epochs = 12"), 11, "epochs = 13");
  write_text("other.toml", text + "gamma = [0.3, 0.5]\n");
  expect_refused("study --config other.toml --out st", 2, {"epochs (12; now 13)"});
}

TEST_F(StudyTest, HalfDoneCellsWhoseDataHaveChangedAreNotMixed) {
  write_problem(32, 20, 4);
  write_text("s.toml",
             "data = \"npy:X.npy,y.npy\"\nepochs = 40\nthreads = 1\nlearning-rate = 1e-3\n"
             "[grid]\nwidth = [32]\n");
  const auto half = [&](const std::string& study) {
    ASSERT_EQ(run("study --config s.toml --out " + study).code, 0);
    // As a kill would have left it: the checkpoint of the end, and no end.
    write_text(study + "/cells/width-32/STATUS", "running\n");
  };
  half("a");
  half("b");
  half("c");
  write_npy(path("y.npy"), {20}, wave(20, 0.7));
  const std::string before = read_text(path("a/cells/width-32/metrics.jsonl"));
  const Result left = run("study --out a");
  EXPECT_EQ(left.code, 2) << left.error;
  expect_parts(left.error, {"cannot go on bit by bit", "data", "--resume=inexact"});
  EXPECT_EQ(read_text(path("a/cells/width-32/metrics.jsonl")), before);

  EXPECT_EQ(run("study --out b --resume inexact").code, 0);
  EXPECT_EQ(of_kind(read_records(path("b/cells/width-32/metrics.jsonl")), "resumed").size(), 1U);

  const Result restarted = run("study --out c --resume=restart");
  EXPECT_EQ(restarted.code, 0) << restarted.error;
  expect_parts(restarted.error, {"begun again"});
  ASSERT_EQ(run("study --config s.toml --out fresh").code, 0);
  expect_same_cells("c", "fresh");
}

TEST_F(StudyTest, ForeignRunsAreNotTakenForCells) {
  write_text("s.toml", small);
  ASSERT_EQ(run("train --samples 30 --epochs 12 --gram-every 5 --threads 1 --width 32 --seed 7 "
                "--out st/cells/width-32_seed-1")
                .code,
            0);
  const Result result = run("study --config s.toml --out st");
  EXPECT_EQ(result.code, 2) << result.error;
  expect_parts(result.error, {"cell 0", "holds another run: seed (7, now 1)"});
  EXPECT_TRUE(result.output.starts_with("4 cells: 4 done: st\n")) << result.output;
}

TEST_F(StudyTest, ADryRunWritesNothing) {
  write_text("s.toml", small);
  const auto before = files();
  const Result result = run("study --config s.toml --out st --dry-run");
  EXPECT_EQ(result.code, 0) << result.error;
  EXPECT_EQ(files(), before);
  expect_parts(result.output,
               {"4 of 4 cells", "width 48, seed 2", "memory", "work", "disk", "all"});
  const Result one = run("study --config s.toml --out st --dry-run --cell 2");
  expect_parts(one.output, {"1 of 4 cells", "width 48, seed 1"});
  EXPECT_EQ(one.output.find("seed 2"), std::string::npos);
}

TEST_F(StudyTest, RefusalsLeaveNothing) {
  write_text("s.toml", small);
  write_text("bad.toml", "[grid]\nwidht = [3]\n");
  write_text("tolerance.toml", "precision = \"fp32\"\n[grid]\ntolerance = [1e-4, 1e-12]\n");
  expect_refused("study", 2, {"needs a directory", "--out"});
  expect_refused("study --out st", 2, {"no study in the directory", "--config"});
  expect_refused("study --config none.toml --out st", 74, {"none.toml"});
  expect_refused("study --config bad.toml --out st", 2, {"line 2", "did you mean width?"});
  expect_refused("study --config tolerance.toml --out st", 2, {"--tolerance"});
  expect_refused("study --config s.toml --out st --cell 4", 2, {"no cell 4", "from 0 to 3"});
  expect_refused("study --config s.toml --out st --cells 4/4", 2, {"0/4 to 3/4"});
  expect_refused("study --config s.toml --out st --cells 1", 2, {"K/N"});
  expect_refused("study --config s.toml --out st --cell 1 --cells 0/2", 2, {"both"});
  expect_refused("study --config s.toml --out st --resume maybe", 2, {"restart"});
  expect_refused("study --config s.toml --out st --drt-run", 2, {"did you mean --dry-run?"});
  expect_refused("study statsu --out st", 2, {"no command 'statsu'", "did you mean status?"});
  expect_refused("study slurm --config s.toml --out st --tiem 1:00:00", 2, {"--time"});
  expect_refused("study slurm --config s.toml --out st --time 30s", 2, {"too short"});
  expect_refused("study status --out st", 2, {"no study"});
  expect_refused("train --config s.toml --out run", 2, {"widedeq study"});
  fs::create_directory(path("full"));
  write_text("full/notes", "mine");
  expect_refused("study --config s.toml --out full", 2, {"not empty"});
  write_text("file", "");
  expect_refused("study --config s.toml --out file", 2, {"--out is a file"});
}

/// The batch script, with bash in the place of Slurm.
class SlurmTest : public StudyTest {
 protected:
  static constexpr const char* first_cell = "\"$(cat quoted)\"/cells/width-32_seed-1";
  static constexpr const char* out = R"(my "study's" 100% $HOME)";

  /// `scontrol` notes its arguments in the file requeued.
  void fake_slurm() const {
    fs::create_directory(path("bin"));
    write_text("bin/scontrol", "#!/bin/bash\necho \"$@\" >>'" + path("requeued") + "'\n");
    fs::permissions(path("bin/scontrol"), fs::perms::owner_all);
  }

  void write_script(const std::string& arguments) const {
    write_text("quoted", out);
    ASSERT_EQ(shell("\"$W\" study slurm --config s.toml --out \"$(cat quoted)\" " + arguments +
                    " >script.sh 2>e"),
              0)
        << read_text(path("e"));
    ASSERT_EQ(shell("bash -n script.sh"), 0);
  }

  /// One task of the array; `more` is done while it runs, with its process in $p, which leads a
  /// group of its own.
  int task(const std::string& number, const std::string& more = "") const {
    return shell("export PATH=\"$PWD/bin:$PATH\" SLURM_JOB_ID=77 SLURM_ARRAY_TASK_ID=" + number +
                 " SLURM_CPUS_PER_TASK=1; setsid bash script.sh >task" + number + " 2>&1 & p=$!; " +
                 more + " wait $p");
  }
};

TEST_F(SlurmTest, AnArrayOfCells) {
  fake_slurm();
  write_text("s.toml", small);
  write_script("--time 1-02:00:00 --threads 3");
  const std::string script = read_text(path("script.sh"));
  expect_parts(script,
               {"#!/bin/bash\n", "#SBATCH --array=0-3\n", "--cpus-per-task=3\n",
                "#SBATCH --time=1-02:00:00\n", "#SBATCH --signal=B:USR1@300\n", "#SBATCH --requeue",
                "#SBATCH --mem=300M\n", "100%%", "/slurm/%A_%a.log\"\n"});
  // The log's pattern, read by a shell's rules for double quotes with the $ made harmless; sbatch
  // has the same for quotes and backslashes.
  ASSERT_EQ(shell("sed -n 's/\\$/\\\\$/g; s/^#SBATCH --output=/x=/p' script.sh >line; . ./line; "
                  "[ -d \"$(dirname \"$x\" | sed 's/%%/%/')\" ]"),
            0)
      << read_text(path("line"));
  for (const std::string number : {"0", "1", "2", "3"})
    ASSERT_EQ(task(number), 0) << read_text(path("task" + number));
  EXPECT_EQ(cells(out).size(), 4U);
  for (const std::string& name : cells(out))
    EXPECT_EQ(sessions(std::string(out) + "/cells/" + name), 1U);
  EXPECT_FALSE(fs::exists(path("requeued")));
}

TEST_F(SlurmTest, ASignalSavesAndRequeues) {
  fake_slurm();
  write_text("s.toml", longer);
  ASSERT_EQ(run("study --config s.toml --out whole").code, 0);
  write_script("--tasks 2 --resume inexact");
  expect_parts(read_text(path("script.sh")), {"--resume inexact"});
  EXPECT_NE(read_text(path("script.sh")).find("#SBATCH --array=0-1\n"), std::string::npos);
  // Slurm's warning comes to the shell alone.
  ASSERT_EQ(task("0", wait_for_records(first_cell, 4) + "kill -USR1 $p;"), 75)
      << read_text(path("task0"));
  EXPECT_EQ(read_text(path("requeued")), "requeue 77\n");
  ASSERT_EQ(task("0"), 0) << read_text(path("task0"));
  ASSERT_EQ(task("1"), 0) << read_text(path("task1"));
  EXPECT_EQ(read_text(path("requeued")), "requeue 77\n");
  expect_same_cells(out, "whole", false);  // the script gives --max-walltime
}

TEST_F(SlurmTest, ACancelledTaskDoesNotComeBack) {
  fake_slurm();
  write_text("s.toml", longer);
  write_script("--tasks 1");
  // Slurm's TERM comes to every process of the job.
  ASSERT_EQ(task("0", wait_for_records(first_cell, 4) + "kill -TERM -$p;"), 75)
      << read_text(path("task0"));
  EXPECT_FALSE(fs::exists(path("requeued")));
}

TEST_F(StudyTest, ACellWhoseRecordsAreGoneIsDoneAgain) {
  write_text("study.toml", small);
  ASSERT_EQ(run("study --config study.toml --out study").code, 0);
  const std::string cell = "study/cells/" + *cells("study").begin();
  const auto wanted = results(cell);
  fs::remove(directory / cell / "metrics.jsonl");
  EXPECT_NE(run("study status --out study").output.find("metrics.jsonl is gone"),
            std::string::npos);
  const Result again = run("study --out study");
  EXPECT_EQ(again.code, 0) << again.error;
  EXPECT_EQ(count(again.error, "begun again"), 1U) << again.error;
  EXPECT_EQ(results(cell), wanted);
}

TEST_F(StudyTest, RestartBeginsAgainWhatCannotGoOn) {
  write_text("study.toml", small);
  ASSERT_EQ(run("study --config study.toml --out study").code, 0);
  const std::string cell = "study/cells/" + *cells("study").begin();
  const auto wanted = results(cell);
  const auto break_off = [&] { write_text(cell + "/STATUS", "stopped\n"); };

  break_off();
  for (const auto& file : fs::directory_iterator(directory / cell / "checkpoints"))
    std::ofstream(file.path(), std::ios::trunc) << "no checkpoint";
  EXPECT_EQ(run("study --out study").code, 3);
  const Result damaged = run("study --out study --resume restart");
  EXPECT_EQ(damaged.code, 0) << damaged.error;
  EXPECT_EQ(results(cell), wanted);

  break_off();
  fs::remove_all(directory / cell / "checkpoints");
  EXPECT_EQ(run("study --out study").code, 2);
  const Result gone = run("study --out study --resume restart");
  EXPECT_EQ(gone.code, 0) << gone.error;
  EXPECT_EQ(results(cell), wanted);
}

}  // namespace
}  // namespace widedeq::test
