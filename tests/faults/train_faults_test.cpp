// `widedeq train` under every fault: whatever happens, a checkpoint that was there stays good, and
// the run, resumed, ends with the bytes of an undisturbed one.
#include <map>

#include "tests/cli/cli_support.hpp"
#include "tests/faults/fault_support.hpp"

namespace widedeq::test {
namespace {

class TrainFaultTest : public CliTest {
 protected:
  void SetUp() override {
    if (!faults_work_here) GTEST_SKIP() << why_no_faults;
  }

  std::vector<std::string> arguments(int epochs) const {
    return {"train",
            "--width",
            "24",
            "--samples",
            "12",
            "--gram-every",
            "2",
            "--threads",
            "1",
            "--checkpoint-every",
            "1",
            "--epochs",
            std::to_string(epochs),
            "--resume",
            "--out",
            "run"};
  }

  /// What does not tell the time.
  std::map<std::string, std::string> results() const {
    std::map<std::string, std::string> files;
    for (const char* name : {"STATUS", "config.toml", "weights.npz", "gram/ntk-first.npy",
                             "gram/ntk-last.npy", "gram/eigenvalues-000000.npy"})
      files[name] = read_text(directory / "run" / name);
    files["metrics.jsonl"] = without_times(read_text(directory / "run/metrics.jsonl"));
    return files;
  }

  void expect_same(const std::map<std::string, std::string>& wanted, const Pass& pass,
                   const char* when) const {
    const auto is = results();
    for (const auto& [name, content] : wanted)
      ASSERT_TRUE(is.at(name) == content) << name << " differs " << when << ", " << pass.describe();
  }

  /// Trains under every such fault, and resumes what that has stopped.
  void train_under(const Fault& fault, int epochs) const {
    const std::vector<std::string> words = arguments(epochs);
    std::string line;
    for (const std::string& word : words)
      line += word + " ";
    ASSERT_EQ(run(line).code, 0);
    const auto wanted = results();

    Command command{{WIDEDEQ_BINARY}, directory};
    command.arguments.insert(command.arguments.end(), words.begin(), words.end());
    int stopped = 0;
    const auto check = [&](const Pass& pass) {
      if (HasFatalFailure()) return;
      if (pass.exit_code == 0) return expect_same(wanted, pass, "although nothing failed");
      ++stopped;
      ASSERT_TRUE(pass.signal == SIGKILL || pass.exit_code == 74) << pass.describe();
      if (pass.signal == 0) {
        EXPECT_EQ(Result({pass.exit_code, pass.output, pass.error}).complaints().size(), 1U)
            << pass.describe();
      }
      const Result rest = run(line);
      ASSERT_EQ(rest.code, 0) << pass.describe() << "\nresumed: " << rest.error;
      expect_same(wanted, pass, "after it was resumed");
    };
    const long passes = for_each_fault(
        command, directory, fault, [&] { fs::remove_all(directory / "run"); }, check);
    // The files of a run, and a checkpoint an epoch: made, written, flushed, renamed.
    EXPECT_GE(passes, fault.what == "short" ? 10 : 40);
    if (fault.what != "short") {
      EXPECT_GE(stopped, 5);
    }
  }
};

TEST_F(TrainFaultTest, NoSpaceLeft) {
  train_under({"all", "ENOSPC"}, 2);
}

TEST_F(TrainFaultTest, KilledAtAnyCall) {
  train_under({"all", "kill"}, 2);
}

TEST_F(TrainFaultTest, SlowEveryFaultOfALongerRun) {
  for (const char* what : {"ENOSPC", "EIO", "EINTR", "short", "kill"})
    train_under({"all", what}, 5);
}

TEST_F(TrainFaultTest, SlowADiskThatStaysFull) {
  train_under({"write,fsync,close", "ENOSPC", true}, 4);
}

}  // namespace
}  // namespace widedeq::test
