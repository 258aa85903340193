// write_file_atomically under every fault: the destination is the old file or the new one, and what
// the exit code says is true.
#include <algorithm>

#include "tests/faults/fault_support.hpp"

namespace widedeq::test {
namespace {

constexpr std::size_t new_size = 5000;
constexpr int exit_code_io = 74;

class AtomicFileFaultTest : public FaultTest {
 protected:
  const std::string old_content = "the old content\n";
  const std::string new_content = std::string(new_size, 'n');

  fs::path file() const { return directory / "file"; }

  Command writer() const {
    return {{WIDEDEQ_ATOMIC_WRITER, file().string(), std::to_string(new_size)}, directory, {}};
  }

  /// An old file and nothing else.
  void prepare() const {
    for (const auto& entry : fs::directory_iterator(directory))
      fs::remove(entry);
    std::ofstream(file(), std::ios::binary) << old_content;
  }

  long replace_under(const Fault& fault, const std::function<void(const Pass&)>& check) const {
    return for_each_fault(
        writer(), directory, fault, [this] { prepare(); }, check);
  }

  std::string content() const { return detail::contents(file()); }

  void expect_whole() const {
    const std::string now = content();
    EXPECT_TRUE(now == old_content || now == new_content)
        << now.size() << " bytes: " << now.substr(0, 40);
  }

  void expect_nothing_else() const { EXPECT_EQ(entries(), std::vector<std::string>{"file"}); }
};

// Create, write, close, flush, rename, flush the directory: at the very least these.
constexpr long fewest_calls = 8;

TEST_F(AtomicFileFaultTest, AnErrorLeavesTheOldFileOrTheNewOne) {
  for (const bool stays : {false, true}) {
    for (const std::string what : {"ENOSPC", "EIO", "EDQUOT"}) {
      // When everything fails from some call on, the temporary file cannot be removed either.
      const std::string families = stays ? "open,write,fsync,close,rename" : "all";
      const long faults = replace_under({families, what, stays}, [&](const Pass& pass) {
        expect_whole();
        expect_nothing_else();
        // What becomes of the file itself must be said. Only what comes after the rename, to make
        // it durable, may go wrong in silence.
        const bool writes =
            pass.call.find(".tmp") != std::string::npos && !pass.call.starts_with("close");
        if (writes || pass.call.starts_with("rename")) {
          EXPECT_EQ(pass.exit_code, exit_code_io);
        }
        if (pass.exit_code == 0) {
          EXPECT_EQ(content(), new_content);
        } else {
          EXPECT_EQ(pass.exit_code, exit_code_io);
        }
      });
      EXPECT_GE(faults, fewest_calls) << what;
    }
  }
}

// The first close is the writer's own: network file systems and quotas report a failed write there.
TEST_F(AtomicFileFaultTest, AFailureAtTheWritersCloseIsNotOverlooked) {
  prepare();
  const Pass pass = run_with_fault(writer(), directory, {"close", "ENOSPC"}, 1);
  EXPECT_EQ(pass.exit_code, exit_code_io) << pass.describe();
  EXPECT_EQ(content(), old_content);
  expect_nothing_else();
}

TEST_F(AtomicFileFaultTest, AnInterruptedCallIsNoFailure) {
  const long faults = replace_under({"open,write,fsync,close", "EINTR"}, [&](const Pass& pass) {
    EXPECT_EQ(pass.exit_code, 0);
    EXPECT_EQ(content(), new_content);
    expect_nothing_else();
  });
  EXPECT_GE(faults, fewest_calls - 1);
}

TEST_F(AtomicFileFaultTest, AShortWriteIsGoneOnWith) {
  for (const bool stays : {false, true}) {
    const long faults = replace_under({"write", "short", stays}, [&](const Pass& pass) {
      EXPECT_EQ(pass.exit_code, 0);
      EXPECT_EQ(content(), new_content);
      expect_nothing_else();
    });
    EXPECT_GE(faults, 1);
  }
}

// A crash at any point: the file is whole, and what was left behind is not in the next one's way.
TEST_F(AtomicFileFaultTest, ACrashLeavesTheOldFileOrTheNewOne) {
  const long faults = replace_under({"all", "kill"}, [&](const Pass& pass) {
    expect_whole();
    EXPECT_LE(entries().size(), pass.fired ? 2U : 1U);
    const Pass again = run_with_fault(writer(), directory, {}, 0);
    EXPECT_EQ(again.exit_code, 0) << again.describe();
    EXPECT_EQ(content(), new_content);
  });
  EXPECT_GE(faults, fewest_calls);
}

}  // namespace
}  // namespace widedeq::test
