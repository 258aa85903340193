// Limits of control groups, as files of the test's own tell them.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "host/run/machine.hpp"

namespace widedeq {
namespace {

namespace fs = std::filesystem;

class MachineTest : public ::testing::Test {
 protected:
  MachineTest() {
    std::string name = (fs::temp_directory_path() / "widedeq-machine-XXXXXX").string();
    root = ::mkdtemp(name.data());
  }
  ~MachineTest() override { fs::remove_all(root); }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories(fs::path(root + name).parent_path());
    std::ofstream(root + name) << text;
  }

  std::string root;
};

TEST_F(MachineTest, NoGroupsNoLimit) {
  EXPECT_FALSE(memory_limit(root));
}

TEST_F(MachineTest, VersionTwoTakesTheTightestOfAllAbove) {
  write("/proc/self/cgroup", "0::/slurm/job/step\n");
  write("/proc/self/mounts", "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n");
  write("/sys/fs/cgroup/slurm/job/step/memory.max", "max\n");
  write("/sys/fs/cgroup/slurm/job/memory.max", "8000000000\n");
  write("/sys/fs/cgroup/slurm/job/memory.current", "3000000000\n");
  write("/sys/fs/cgroup/slurm/job/memory.stat", "anon 1\ninactive_file 1000000000\n");
  write("/sys/fs/cgroup/slurm/memory.max", "9000000000\n");
  write("/sys/fs/cgroup/slurm/memory.current", "1000000000\n");
  const auto limit = memory_limit(root);
  ASSERT_TRUE(limit);
  EXPECT_EQ(limit->limit, 8e9);
  EXPECT_EQ(limit->used, 2e9);  // pages of files can be dropped
  EXPECT_EQ(limit->source, root + "/sys/fs/cgroup/slurm/job");
}

TEST_F(MachineTest, VersionOne) {
  write("/proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/batch/7\n0::/\n");
  write("/proc/self/mounts",
        "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"
        "cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n");
  write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("/sys/fs/cgroup/memory/batch/7/memory.limit_in_bytes", "4000000000\n");
  write("/sys/fs/cgroup/memory/batch/7/memory.usage_in_bytes", "500000000\n");
  const auto limit = memory_limit(root);
  ASSERT_TRUE(limit);
  EXPECT_EQ(limit->limit, 4e9);
  EXPECT_EQ(limit->used, 5e8);
}

TEST_F(MachineTest, AvailableMemoryIsPositiveHere) {
  const auto available = available_memory_bytes();
  ASSERT_TRUE(available);
  EXPECT_GT(*available, 1e6);
}

}  // namespace
}  // namespace widedeq
