// A report that replaces one, under every fault: there is the old report or the new one, whole, and
// the run is as it was.
#include "tests/faults/fault_support.hpp"

namespace widedeq::test {
namespace {

constexpr int exit_code_io = 74;

class ReportFaultTest : public FaultTest {
 protected:
  const std::string old_page =
      "<meta name=\"generator\" content=\"widedeq report\"><a href=\"figures/old.svg\"></html>\n";

  fs::path run() const { return directory / "run"; }
  fs::path page() const { return run() / "report" / "index.html"; }

  Command report() const { return {{WIDEDEQ_BINARY, "report", run().string()}, directory, {}}; }

  /// A run that has just begun, of which there is nothing to draw, with an old report.
  void prepare() const {
    fs::remove_all(run());
    fs::create_directories(run() / "report" / "figures");
    std::ofstream(run() / "STATUS") << "running\n";
    std::ofstream(run() / "config.toml") << "width = 16\n";
    std::ofstream(page()) << old_page;
    std::ofstream(run() / "report" / "figures" / "old.svg") << "<svg/>";
  }

  /// True when it is the new one.
  bool expect_a_whole_report() const {
    const std::string now = detail::contents(page());
    const bool is_new = now != old_page;
    EXPECT_TRUE(now.ends_with("</html>\n")) << now.size();
    EXPECT_EQ(fs::exists(run() / "report" / "figures" / "old.svg"), !is_new);
    EXPECT_EQ(detail::contents(run() / "STATUS"), "running\n");
    EXPECT_EQ(detail::contents(run() / "config.toml"), "width = 16\n");
    return is_new;
  }
};

TEST_F(ReportFaultTest, AnErrorLeavesTheOldReportOrTheNewOne) {
  for (const std::string families : {"write,fsync,close,rename,mkdir", "open"}) {
    const long faults = for_each_fault(
        report(), directory, {families, "ENOSPC"}, [this] { prepare(); },
        [&](const Pass& pass) {
          const bool is_new = expect_a_whole_report();
          EXPECT_TRUE(pass.exit_code == exit_code_io || (pass.exit_code == 0 && is_new));
          EXPECT_EQ(pass.exit_code == exit_code_io,
                    pass.error.find("widedeq: ") != std::string::npos);
          // Nothing is left behind, unless a folder cannot be opened to be emptied.
          const auto files = std::distance(fs::directory_iterator(run()), {});
          EXPECT_TRUE(files == 3 || (files == 4 && families == "open")) << files;
        });
    EXPECT_GE(faults, 4) << families;  // the page alone is created, written, flushed and renamed
  }
}

TEST_F(ReportFaultTest, ToBeKilledLeavesTheOldReportOrTheNewOne) {
  for_each_fault(
      report(), directory, {"all", "kill"}, [this] { prepare(); },
      [this](const Pass&) { expect_a_whole_report(); });
}

}  // namespace
}  // namespace widedeq::test
