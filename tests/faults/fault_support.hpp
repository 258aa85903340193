// Runs a program again and again, each time with another of its file operations failing.
//
//   for_each_fault(command, directory, {.what = "ENOSPC"}, prepare, check);
//
// runs `command` with the 1st, 2nd, ... call on `directory` failing, until a run in which no call
// was left to fail, and calls prepare() before and check(pass) after each. What fails, and how, is
// said in fault_library.cpp, which is preloaded.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace widedeq::test {

namespace fs = std::filesystem;

/// A program with its arguments, where it runs, and what its environment has beyond ours.
struct Command {
  std::vector<std::string> arguments;  ///< the program's path first
  fs::path working_directory = "/";
  std::map<std::string, std::string> environment = {};
};

/// What goes wrong. `families`: some of open write fsync close rename truncate unlink mkdir, with
/// commas between, or all. `what`: the name of an errno, short (a write of half of the bytes; only
/// writes count then) or kill (SIGKILL just before the call).
/// `stays`: not this call alone, but all later ones as well, as when a disk is full.
struct Fault {
  std::string families = "all";
  std::string what;
  bool stays = false;
};

/// One run of the command.
struct Pass {
  long n = 0;          ///< which call was to fail, from 1
  bool fired = false;  ///< false: there was no n-th call
  std::string call;    ///< what failed first: "fsync /dir/file"
  long calls = 0;      ///< counted calls; 0 when the program did not live to tell
  int exit_code = -1;  ///< -1: ended by a signal
  int signal = 0;      ///< 0: not ended by a signal
  std::string output, error;

  std::string describe() const {
    std::ostringstream text;
    text << "fault " << n << ": " << (fired ? call : "none") << "; exit code " << exit_code
         << ", signal " << signal << "\nstdout: " << output << "stderr: " << error;
    return text.str();
  }
};

/// Sanitizers must be loaded before any other library and intercept the same functions.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool faults_work_here = false;
#else
constexpr bool faults_work_here = true;
#endif
constexpr const char* why_no_faults = "sanitizers and the fault library exclude each other";

namespace detail {

inline std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// In the child: becomes the command, or ends with 127.
[[noreturn]] inline void become(const Command& command, const fs::path& output,
                                const fs::path& error) {
  const auto redirect = [](int descriptor, const char* path, int flags) {
    const int file = ::open(path, flags, 0666);
    if (file < 0 || ::dup2(file, descriptor) < 0) ::_exit(127);
  };
  redirect(0, "/dev/null", O_RDONLY);
  redirect(1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC);
  redirect(2, error.c_str(), O_WRONLY | O_CREAT | O_TRUNC);
  if (::chdir(command.working_directory.c_str()) != 0) ::_exit(127);
  for (const auto& [name, value] : command.environment)
    ::setenv(name.c_str(), value.c_str(), 1);
  ::alarm(120);  // survives exec: a program that hangs ends by SIGALRM
  std::vector<char*> arguments;
  for (const std::string& argument : command.arguments)
    arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  ::execv(arguments[0], arguments.data());
  ::_exit(127);
}

}  // namespace detail

/// Runs the command with the n-th call on `directory` failing; n = 0: with none failing.
inline Pass run_with_fault(Command command, const fs::path& directory, const Fault& fault, long n) {
  std::string name = (fs::temp_directory_path() / "widedeq-fault-XXXXXX").string();
  if (!::mkdtemp(name.data())) throw std::runtime_error("mkdtemp failed");
  const fs::path place = name;  // outside `directory`
  command.environment["CUDA_VISIBLE_DEVICES"] = "";
  // LD_PRELOAD ends names at spaces, which the folder's may have.
  const fs::path library = WIDEDEQ_FAULT_LIBRARY;
  const char* const before = std::getenv("LD_LIBRARY_PATH");
  command.environment["LD_PRELOAD"] = library.filename().string();
  command.environment["LD_LIBRARY_PATH"] =
      library.parent_path().string() + (before ? ":" + std::string(before) : "");
  command.environment["WIDEDEQ_FAULT_DIR"] = fs::canonical(directory).string();
  command.environment["WIDEDEQ_FAULT_REPORT"] = (place / "report").string();
  if (n > 0)
    command.environment["WIDEDEQ_FAULT"] =
        fault.families + ":" + std::to_string(n) + (fault.stays ? "+:" : ":") + fault.what;

  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child == 0) detail::become(command, place / "output", place / "error");
  int status = 0;
  if (::waitpid(child, &status, 0) != child) throw std::runtime_error("waitpid failed");

  Pass pass;
  pass.n = n;
  if (WIFEXITED(status)) pass.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) pass.signal = WTERMSIG(status);
  pass.output = detail::contents(place / "output");
  pass.error = detail::contents(place / "error");
  bool ended = false;
  std::ifstream report(place / "report");
  for (std::string line; std::getline(report, line);) {
    std::istringstream words(line);
    std::string kind;
    long number = 0;
    words >> kind >> number >> std::ws;
    if (kind == "fault" && !pass.fired) {
      pass.fired = true;
      std::getline(words, pass.call);
    } else if (kind == "calls") {
      pass.calls = number;
      ended = true;
    }
  }
  fs::remove_all(place);
  // Without a report nothing was counted, and no check would see a fault.
  if (!ended && pass.signal == 0)
    throw std::runtime_error("the fault library did not report: " + pass.describe());
  return pass;
}

/// Runs the command until no call is left to fail; returns how many passes had a fault. The last
/// one, without, is checked as well: the command must succeed in it.
inline long for_each_fault(const Command& command, const fs::path& directory, const Fault& fault,
                           const std::function<void()>& prepare,
                           const std::function<void(const Pass&)>& check) {
  constexpr long most = 5000;  // a program that tries again for ever is a finding too
  for (long n = 1; n <= most; ++n) {
    prepare();
    const Pass pass = run_with_fault(command, directory, fault, n);
    SCOPED_TRACE(fault.what + (fault.stays ? " from here on, " : ", ") + pass.describe());
    check(pass);
    if (!pass.fired) {
      EXPECT_EQ(pass.exit_code, 0) << "without a fault";
      return n - 1;
    }
    if (fault.what == "kill") {
      EXPECT_EQ(pass.signal, SIGKILL);
    }
    if (::testing::Test::HasFatalFailure()) return n;
  }
  ADD_FAILURE() << "still not through after " << most << " faults";
  return most;
}

/// A directory for each test, canonical and removed with it.
class FaultTest : public ::testing::Test {
 protected:
  FaultTest() {
    std::string name = (fs::temp_directory_path() / "widedeq-faults-XXXXXX").string();
    if (!::mkdtemp(name.data())) throw std::runtime_error("mkdtemp failed");
    directory = fs::canonical(name);
  }
  ~FaultTest() override { fs::remove_all(directory); }

  void SetUp() override {
    if (!faults_work_here) GTEST_SKIP() << why_no_faults;
  }

  /// The names in the directory, sorted.
  std::vector<std::string> entries() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(directory))
      names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }

  fs::path directory;
};

}  // namespace widedeq::test
