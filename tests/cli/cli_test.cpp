// The command line: help, usage, bad input. Every refusal has its exit code and one line, and
// leaves nothing behind.
#include "tests/cli/cli_support.hpp"

namespace widedeq::test {
namespace {

TEST_F(CliTest, HelpTeaches) {
  const Result top = run("--help");
  EXPECT_EQ(top.code, 0);
  EXPECT_EQ(top.error, "");
  for (const char* part :
       {"z = relu(s A z", "train", "solve", "limit", "bench", "info", "Exit codes", "Examples"})
    EXPECT_NE(top.output.find(part), std::string::npos) << part;
  for (const char* command : {"train", "solve", "limit", "bench", "info"})
    EXPECT_EQ(run(std::string(command) + " --help").code, 0);
  const std::string train = run("train --help").output;
  for (const char* option :
       {"--config", "--data", "--classes", "--samples", "--width", "--gamma", "--injection",
        "--no-skip", "--weights", "--epochs", "--learning-rate", "--tolerance", "--precision",
        "--backend", "--gram-every", "--seed", "--threads", "--out", "--resume"})
    EXPECT_NE(train.find(option), std::string::npos) << option;
  EXPECT_NE(run("--version").output.find("widedeq "), std::string::npos);
}

TEST_F(CliTest, InfoNamesBuildAndPrecisions) {
  const Result info = run("info");
  EXPECT_EQ(info.code, 0) << info.error;
  for (const char* part : {"version", "processor", "precisions", "fp64", "cuda", "OpenBLAS"})
    EXPECT_NE(info.output.find(part), std::string::npos) << part;
}

TEST_F(CliTest, OutputThatCannotBeWrittenIsAFailure) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "there is no /dev/full";
  const int status = std::system("'" WIDEDEQ_BINARY "' info >/dev/full 2>/dev/null");
  EXPECT_EQ(WEXITSTATUS(status), 74);
}

TEST_F(CliTest, UnknownCommandsAndOptions) {
  expect_refused("", 2, {"a command is missing"});
  expect_refused("trian", 2, {"trian", "did you mean train?"});
  expect_refused("--gama 1", 2, {"--gama"});
  expect_refused("train --wdith 64 --out run", 2, {"--wdith", "did you mean --width?"});
  expect_refused("train --lerning-rate=1 --out run", 2, {"did you mean --learning-rate?"});
  expect_refused("train extra --out run", 2, {"extra"});
  expect_refused("info extra", 2, {"extra"});
  expect_refused("train --width --out run", 2, {"--width", "value"});
  expect_refused("train --out", 2, {"--out"});
  expect_refused("train --width 64", 2, {"--out"});
  expect_refused("solve --out o.npz", 2, {"--weights is missing"});
}

TEST_F(CliTest, ValuesOutOfRange) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"--width 0", "an integer from 1"},
      {"--width -3", "an integer from 1"},
      {"--width many", "an integer from 1"},
      {"--epochs -1", "an integer from 0"},
      {"--gamma nan", "finite number above 0"},
      {"--gamma 0", "finite number above 0"},
      {"--gamma inf", "finite number above 0"},
      {"--tolerance 0", "below 1"},
      {"--tolerance 2", "below 1"},
      {"--samples 0", "an integer from 1"},
      {"--learning-rate fast", "or auto"},
      {"--precision fp16", "fp32"},
      {"--classes ''", "an empty value"},
      {"--classes 0,,1", "class labels"},
      {"--data digit", "mnist:DIR"},
      {"--threads -1", "an integer from 0"},
  };
  for (const auto& [arguments, allowed] : cases)
    expect_refused("train " + arguments + " --out run", 2, {arguments.substr(0, 6), allowed});
  expect_refused("train --tolerance 1e-12 --precision fp32 --out run", 2, {"1e-12", "fp64"});
  expect_refused("train --tolerance 1e-15 --precision fp64 --out run", 2, {"at least"});
}

TEST_F(CliTest, AnEmptyValueIsNotNoValue) {
  // "$VARIABLE" that was never set.
  expect_refused("train --epochs 1 --config '' --out r", 2, {"--config has an empty value"});
  expect_refused("train --epochs 1 --weights '' --out r", 2, {"--weights has an empty value"});
  expect_refused("study --config s.toml --cell '' --out s", 2, {"--cell has an empty value"});
  expect_refused("solve --weights w.npz --inputs x.npy --targets '' --gamma 0.5 --out o.npz", 2,
                 {"--targets has an empty value"});
  expect_refused("report run --out ''", 2, {"--out has an empty value"});
}

TEST_F(CliTest, AFlagTakesItsValue) {
  const std::string few = "train --width 8 --samples 6 --epochs 0 ";
  for (const auto& [option, value] : {std::pair{"--skip", true},
                                      {"--skip=true", true},
                                      {"--skip=false", false},
                                      {"--no-skip", false},
                                      {"--no-skip=true", false},
                                      {"--no-skip=false", true},
                                      {"--warm-start=false", true}}) {
    fs::remove_all(path("r"));
    ASSERT_EQ(run(few + option + " --out r").code, 0) << option;
    EXPECT_EQ(read_text(path("r/config.toml")).find("skip = true") != std::string::npos, value)
        << option;
  }
  expect_refused(few + "--skip=perhaps --out none", 2, {"--skip=perhaps is not allowed"});
}

TEST_F(CliTest, ClosedDescriptorsDoNotBecomeFiles) {
  // What goes to stdout and stderr must not end in the files that would get their numbers.
  const std::string few = "train --width 8 --samples 6 --epochs 3 --gram-every 1 --out ";
  const Result none = run(few + "none <&- >&- 2>&- #");
  EXPECT_EQ(none.code, 74);  // the table at the end was for somebody
  for (const auto& record : read_records(path("none/metrics.jsonl")))
    EXPECT_TRUE(record.contains("kind"));
  EXPECT_EQ(read_text(path("none/STATUS")), "done\n");
  EXPECT_EQ(run(few + "silent 2>&- #").code, 0);
  EXPECT_EQ(read_text(path("silent/LOCK")).find("epoch"), std::string::npos);
}

TEST_F(CliTest, BoundThreadsAreNotOne) {
  // Where OpenMP binds threads, this one has been bound to one core before anybody could ask.
  const auto threads = [](const Result& info) {
    const std::size_t line = info.output.find("threads ");
    return info.output.substr(line, info.output.find('\n', line) - line);
  };
  const std::string free = threads(run_with("-u OMP_NUM_THREADS -u OMP_PROC_BIND", "info"));
  EXPECT_EQ(threads(run_with("-u OMP_NUM_THREADS OMP_PROC_BIND=close", "info")), free);
}

TEST_F(CliTest, WhatTheMemoryDoesNotHoldIsRefused) {
  expect_refused("train --width 1048576 --precision fp32 --epochs 1 --out r", 2,
                 {"of memory needed", "available", "--width"});
}

TEST_F(CliTest, WhereOpenBlasWouldWaitForEverItIsSaid) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers want more address space than there is";
#endif
  // 16 buffers of 128 MiB do not fit into 1.5 GB.
  const Result result = run_with("sh -c 'ulimit -v 1500000; exec \"$@\"' sh",
                                 "train --width 8 --samples 6 --epochs 1 --threads 16 --out r");
  EXPECT_EQ(result.code, 2) << result.error;
  EXPECT_NE(result.error.find("ulimit -v"), std::string::npos) << result.error;
}

TEST_F(CliTest, WhatARecordCannotHoldIsRefused) {
  const std::string few = "train --width 8 --samples 6 --epochs 1 ";
  expect_refused(few + "--max-walltime 1e308h --out r", 2,
                 {"--max-walltime 1e308h is not allowed"});
  expect_refused(few + "--max-walltime 100000000h --out r", 2, {"is not allowed"});
  expect_refused("train --data \"npy:$(printf 'lat\\351n').npy,y.npy\" --out r", 2, {"not UTF-8"});
  expect_refused("bench --json f --csv f", 2, {"the same file"});
}

TEST_F(CliTest, ConfigurationFileMistakes) {
  write_text("run.toml", "width = 64\nepochs = 1\nlerning-rate = 0.1\n");
  expect_refused("train --config run.toml --out run", 2,
                 {"lerning-rate", "run.toml, line 3", "did you mean learning-rate?"});
  write_text("run.toml", "width = \"64\"\n");
  expect_refused("train --config run.toml --out run", 2, {"run.toml, line 1", "an integer from 1"});
  write_text("run.toml", "width = 64\nwidth = 65\n");
  expect_refused("train --config run.toml --out run", 2, {"run.toml, line 2"});
  expect_refused("train --config none.toml --out run", 74, {"none.toml"});
}

TEST_F(CliTest, DataThatCannotBeUsed) {
  const std::string npy = "train --width 64 --epochs 1 --data npy:X.npy,y.npy --out run";
  expect_refused(npy, 74, {"X.npy"});
  write_problem(4, 5, 3);
  write_npy(path("y.npy"), {4}, wave(4, 0.0));
  expect_refused(npy, 3, {"(4,)", "5 samples"});

  write_problem(4, 5, 3);
  auto inputs = wave(15, 0.1);
  inputs[7] = std::nan("");
  write_npy(path("X.npy"), {5, 3}, inputs);
  expect_refused(npy, 3, {"nan", "X.npy"});

  inputs = wave(15, 0.1);
  std::fill(inputs.begin() + 6, inputs.begin() + 9, 0.0);
  write_npy(path("X.npy"), {5, 3}, inputs);
  expect_refused(npy, 3, {"sample 2 is all zeros"});

  inputs = wave(15, 0.1);
  std::copy(inputs.begin(), inputs.begin() + 3, inputs.begin() + 12);
  write_npy(path("X.npy"), {5, 3}, inputs);
  expect_refused(npy, 3, {"samples 0 and 4"});

  write_npy(path("X.npy"), {0, 3}, {});
  expect_refused(npy, 3, {"empty"});
  write_text("X.npy", "this is no array");
  expect_refused(npy, 3, {"X.npy"});

  expect_refused("train --classes 0,11 --out run", 3, {"no class 11"});
  expect_refused("train --samples 9999 --out run", 3, {"9999"});
  expect_refused("train --data mnist:nowhere --out run", 74, {"nowhere"});
  expect_refused("train --data sphere --classes 0,1 --out run", 2, {"--classes"});
}

TEST_F(CliTest, TruncatedArrays) {
  write_problem(4, 5, 3);
  for (const char* name : {"X.npy", "y.npy", "w.npz"}) {
    const std::string whole = read_text(directory / name);
    write_text(name, whole.substr(0, whole.size() - 9));
    expect_refused("solve --weights w.npz --inputs X.npy --targets y.npy --gamma 0.3 --out o.npz",
                   3, {name});
    write_text(name, whole);
  }
}

TEST_F(CliTest, WeightsThatDoNotFit) {
  const std::string solve = "solve --weights w.npz --inputs X.npy --gamma 0.3 --out o.npz";
  write_problem(4, 5, 3);
  write_weights("w.npz", {4, 5}, {4, 3}, 4, 4);
  expect_refused(solve, 3, {"(4, 5)", "square"});
  write_weights("w.npz", {4, 4}, {5, 3}, 4, 4);
  expect_refused(solve, 3, {"W", "(5, 3)", "(4, 4)"});
  write_weights("w.npz", {4, 4}, {4, 3}, 5, 4);
  expect_refused(solve, 3, {"u", "(5,)", "(4, 4)"});
  write_weights("w.npz", {4, 4}, {4, 7}, 4, 4);
  expect_refused(solve, 3, {"(4, 7)", "(5, 3)"});
  expect_refused("train --weights w.npz --data npy:X.npy,y.npy --out run", 3, {"(4, 7)"});
  write_problem(4, 5, 3);
  expect_refused("train --weights w.npz --width 5 --data npy:X.npy,y.npy --out run", 2,
                 {"--width is 5", "(4, 4)"});
  expect_refused("solve --weights none.npz --inputs X.npy --gamma 0.3 --out o.npz", 74,
                 {"none.npz"});

  NpzWriter file(path("w.npz"));
  auto A = wave(16, 0.3);
  A[6] = INFINITY;
  file.add("A", {4, 4}, std::move(A));
  file.add("W", {4, 3}, wave(12, 0.4));
  file.add("u", {4}, wave(4, 0.5));
  file.add("v", {4}, wave(4, 0.6));
  file.finish();
  expect_refused(solve, 3, {"A[1, 2] is inf"});
}

TEST_F(CliTest, PlacesThatCannotBeWritten) {
  write_text("file", "x");
  expect_refused("train --width 64 --epochs 1 --out file/run", 74, {"file"});
  expect_refused("train --width 64 --epochs 1 --out file", 2, {"file"});
  expect_refused("train --width 64 --epochs 1 --out .", 2, {"not empty"});
  write_problem(4, 5, 3);
  expect_refused("solve --weights w.npz --inputs X.npy --gamma 0.3 --out file/o.npz", 74, {"file"});
  if (::geteuid() == 0) return;  // root may write anywhere
  fs::create_directory(path("locked"));
  fs::permissions(path("locked"), fs::perms::owner_read | fs::perms::owner_exec);
  expect_refused("train --width 64 --epochs 1 --out locked/run", 74, {"locked"});
}

TEST_F(CliTest, SolveThatDoesNotConvergeWritesNothing) {
  write_problem(8, 5, 3);
  const std::string solve = "solve --weights w.npz --inputs X.npy --out o.npz ";
  expect_refused(solve + "--gamma 0.3 --max-sweeps 1", 5, {"sample", "residual", "--gamma"});
  const auto before = files();
  const Result result = run(solve + "--gamma 1000");
  EXPECT_TRUE(result.code == 4 || result.code == 5) << result.code << result.error;
  EXPECT_EQ(result.complaints().size(), 1U) << result.error;
  EXPECT_EQ(files(), before);
}

TEST_F(CliTest, UnsupportedBackendIsUsage) {
  // Without a GPU there is one sentence that says why, whether CUDA was built or not.
  if (run("info").output.find("  gpu 0") != std::string::npos)
    GTEST_SKIP() << "this machine has a GPU";
  expect_refused("train --width 64 --backend cuda --out run", 2, {"--backend cpu"});
}

}  // namespace
}  // namespace widedeq::test
