// `widedeq solve` under every fault: its output appears whole or not at all, the exit code says
// which, and nothing else is left behind.
#include <set>

#include "tests/cli/cli_support.hpp"
#include "tests/faults/fault_support.hpp"

namespace widedeq::test {
namespace {

class SolveFaultTest : public CliTest {
 protected:
  void SetUp() override {
    if (!faults_work_here) GTEST_SKIP() << why_no_faults;
    write_problem(6, 4, 3);
    // The answer's last bits depend on the number of threads: the same command, with no fault.
    const Pass pass = run_with_fault(solve(), directory, {}, 0);
    ASSERT_EQ(pass.exit_code, 0) << pass.describe();
    whole = read_text(path("o.npz"));
  }

  Command solve() const {
    return {{WIDEDEQ_BINARY, "solve", "--weights", "w.npz", "--inputs", "X.npy", "--targets",
             "y.npy", "--gamma", "0.4", "--precision", "fp64", "--out", "o.npz"},
            directory,
            {{"OMP_NUM_THREADS", "1"}}};
  }

  /// Runs solve under every such fault, without an output or with an old one in its place.
  long solve_under(const Fault& fault, bool replace,
                   const std::function<void(const Pass&)>& check) const {
    const auto prepare = [&] {
      for (const auto& entry : fs::directory_iterator(directory))
        if (!inputs.contains(entry.path().filename().string())) fs::remove(entry);
      if (replace) write_text("o.npz", old_content);
    };
    return for_each_fault(solve(), directory, fault, prepare, check);
  }

  void expect_whole_or_untouched(bool replace) const {
    if (fs::exists(path("o.npz"))) {
      const std::string now = read_text(path("o.npz"));
      EXPECT_TRUE(now == whole || (replace && now == old_content)) << now.size() << " bytes";
    } else {
      EXPECT_FALSE(replace) << "the old output is gone";
    }
  }

  /// The exit code is the truth, a failure is one sentence, and no temporary file is left.
  void expect_true_answer(const Pass& pass, bool replace) const {
    expect_whole_or_untouched(replace);
    EXPECT_EQ(names(), fs::exists(path("o.npz")) ? inputs_and_output : inputs);
    if (pass.exit_code == 0) {
      EXPECT_TRUE(fs::exists(path("o.npz")) && read_text(path("o.npz")) == whole);
      return;
    }
    EXPECT_EQ(pass.exit_code, 74);
    EXPECT_EQ(Result({pass.exit_code, pass.output, pass.error}).complaints().size(), 1U);
    // The output has its name before the directory is flushed: failing there it is whole, and may
    // not survive a loss of power.
    const bool flushing = pass.error.find("flush the directory") != pass.error.npos;
    EXPECT_EQ(fs::exists(path("o.npz")), replace || flushing);
  }

  std::set<std::string> names() const {
    std::set<std::string> found;
    for (const auto& entry : fs::directory_iterator(directory))
      found.insert(entry.path().filename().string());
    return found;
  }

  const std::set<std::string> inputs = {"X.npy", "y.npy", "w.npz"};
  const std::set<std::string> inputs_and_output = {"X.npy", "y.npy", "w.npz", "o.npz"};
  const std::string old_content = "an old file\n";
  std::string whole;  // what solve writes
};

// Three inputs opened and closed, an archive and its temporary file made, written, flushed,
// renamed.
constexpr long fewest_calls = 12;

TEST_F(SolveFaultTest, AnErrorAnywhereIsSaidAndLeavesNothingByHalves) {
  for (const std::string what : {"ENOSPC", "EIO"}) {
    const bool replace = what == "EIO";
    EXPECT_GE(solve_under({"all", what}, replace,
                          [&](const Pass& pass) { expect_true_answer(pass, replace); }),
              fewest_calls);
  }
}

TEST_F(SolveFaultTest, ADiskThatStaysFullLeavesNothingByHalves) {
  EXPECT_GE(solve_under({"write,fsync,close", "ENOSPC", true}, true,
                        [&](const Pass& pass) { expect_true_answer(pass, true); }),
            fewest_calls / 2);
}

// libzip writes through the C library's streams, which give up where a write is interrupted.
TEST_F(SolveFaultTest, InterruptionsLeaveNothingByHalves) {
  EXPECT_GE(solve_under({"open,write,fsync,close", "EINTR"}, false,
                        [&](const Pass& pass) { expect_true_answer(pass, false); }),
            fewest_calls);
}

TEST_F(SolveFaultTest, ACrashLeavesTheOutputWholeOrUntouched) {
  for (const bool replace : {false, true})
    EXPECT_GE(solve_under({"all", "kill"}, replace,
                          [&](const Pass&) { expect_whole_or_untouched(replace); }),
              fewest_calls);
}

}  // namespace
}  // namespace widedeq::test
