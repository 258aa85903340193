// The lock of a run directory, among real processes and with holders on machines that are made up.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>

#include "host/failure.hpp"
#include "host/run/run_lock.hpp"

namespace widedeq {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A pipe, by which processes wait for each other.
class Pipe {
 public:
  Pipe() {
    if (::pipe(ends_) != 0) std::abort();
  }
  ~Pipe() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void send(char byte = '.') const {
    if (::write(ends_[1], &byte, 1) != 1) std::abort();
  }
  char receive() const {
    char byte = 0;
    return ::read(ends_[0], &byte, 1) == 1 ? byte : '\0';
  }

 private:
  int ends_[2];
};

/// Runs `act` in another process, whose exit code is what it returns.
template <class Act>
pid_t in_child(Act&& act) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  ::_exit(act());
}

int exit_code(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

class RunLockTest : public ::testing::Test {
 protected:
  RunLockTest() {
    std::string name = (fs::temp_directory_path() / "widedeq-lock-XXXXXX").string();
    directory = ::mkdtemp(name.data());
    quick.heartbeat = 40ms;
    quick.attribute_cache = 40ms;
    quick.patience = impatient.patience = 0ms;
  }
  ~RunLockTest() override { fs::remove_all(directory); }

  fs::path file() const { return fs::path(directory) / "LOCK"; }
  void write(const std::string& content) const {
    std::ofstream(file(), std::ios::binary | std::ios::trunc) << content;
  }

  /// 0: had the lock; else the exit code of the failure.
  int code_of_taking(const LockOptions& options, std::string* sentence = nullptr) const {
    try {
      const RunLock lock(directory, options);
      return 0;
    } catch (const Failure& failure) {
      if (sentence) *sentence = failure.what();
      EXPECT_EQ(std::string(failure.what()).find('\n'), std::string::npos);
      return static_cast<int>(failure.code());
    }
  }

  static LockHolder elsewhere() {
    LockHolder holder;
    holder.host = "node7";
    holder.process = 123;
    holder.boot = "11111111-2222-3333-4444-555555555555";
    holder.nonce = "abc";
    holder.started = "2024-05-01T12:00:00Z";
    holder.heartbeat = 5;
    holder.time = static_cast<std::int64_t>(std::time(nullptr)) - 30;
    return holder;
  }

  /// Leaves the lock of a process of this machine that was killed.
  void leave_stale_lock() const {
    const Pipe ready;
    const pid_t child = in_child([&] {
      const RunLock lock(directory);
      ready.send();
      ::pause();
      return 0;
    });
    ready.receive();
    ::kill(child, SIGKILL);
    exit_code(child);
  }

  std::string directory;
  LockOptions impatient;  // with the real times, but for the dying
  LockOptions quick;
  static constexpr int usage = static_cast<int>(ExitCode::usage);
  static constexpr int io = static_cast<int>(ExitCode::io);
};

TEST_F(RunLockTest, ContentIsOneLineOfTheSameLength) {
  LockHolder holder = elsewhere();
  const std::string content = format_lock(holder);
  EXPECT_EQ(content.find('\n'), content.size() - 1);
  const auto again = parse_lock(content);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->host, holder.host);
  EXPECT_EQ(again->process, holder.process);
  EXPECT_EQ(again->boot, holder.boot);
  EXPECT_EQ(again->nonce, holder.nonce);
  EXPECT_EQ(again->started, holder.started);
  EXPECT_EQ(again->heartbeat, holder.heartbeat);
  EXPECT_EQ(again->time, holder.time);
  EXPECT_NEAR(static_cast<double>(again->age()), 30.0, 2.0);
  holder.heartbeat = 1'000'000'000;
  holder.time += 1000;  // a clock that is ahead
  EXPECT_EQ(format_lock(holder).size(), content.size());
  EXPECT_EQ(holder.age(), 0);
}

TEST_F(RunLockTest, IsThereWhileItIsHeld) {
  EXPECT_FALSE(read_lock(directory));
  {
    const RunLock lock(directory);
    const auto holder = read_lock(directory);
    ASSERT_TRUE(holder);
    EXPECT_EQ(holder->process, ::getpid());
    EXPECT_LE(holder->age(), 1);
    EXPECT_FALSE(lock.lost());
  }
  EXPECT_FALSE(fs::exists(file()));
}

TEST_F(RunLockTest, RefusesASecondProcessAndNamesTheFirst) {
  auto lock = std::make_unique<RunLock>(directory);
  EXPECT_EQ(exit_code(in_child([&] {
              std::string sentence;
              const int code = code_of_taking(quick, &sentence);
              const std::string first = "process " + std::to_string(::getppid()) + " on ";
              return sentence.find(first) == std::string::npos ? 1 : code;
            })),
            usage);
  EXPECT_EQ(code_of_taking(quick), usage);  // within a process, too
  EXPECT_TRUE(fs::exists(file()));
  lock.reset();
  EXPECT_EQ(exit_code(in_child([&] { return code_of_taking(quick); })), 0);
}

TEST_F(RunLockTest, TakesOverAtOnceFromAKilledProcessOfThisMachine) {
  leave_stale_lock();
  ASSERT_TRUE(read_lock(directory));
  const auto start = Clock::now();
  {
    const RunLock lock(directory);  // with the real times, which are far longer
    EXPECT_EQ(read_lock(directory)->process, ::getpid());
  }
  EXPECT_LT(Clock::now() - start, 5s);
  EXPECT_FALSE(fs::exists(file()));
}

TEST_F(RunLockTest, AProcessThatWasStartedDoesNotInheritIt) {
  auto lock = std::make_unique<RunLock>(directory);
  const pid_t child = ::fork();
  if (child == 0) {
    ::execl("/bin/sleep", "sleep", "60", nullptr);
    ::_exit(1);
  }
  while (contents("/proc/" + std::to_string(child) + "/cmdline").find("sleep") == std::string::npos)
    std::this_thread::sleep_for(5ms);
  lock.reset();
  EXPECT_EQ(code_of_taking(quick), 0);
  ::kill(child, SIGKILL);
  exit_code(child);
}

TEST_F(RunLockTest, AMovingHeartbeatElsewhereIsRespected) {
  quick.attribute_cache = 10s;  // for a busy machine; one movement ends the wait
  write(format_lock(elsewhere()));
  std::atomic<bool> done{false};
  std::thread other([&] {
    LockHolder holder = elsewhere();
    while (!done) {
      ++holder.heartbeat;
      std::fstream(file(), std::ios::in | std::ios::out | std::ios::binary) << format_lock(holder);
      std::this_thread::sleep_for(quick.heartbeat);
    }
  });
  for (const bool flock : {true, false}) {
    quick.flock = flock;
    std::string sentence;
    EXPECT_EQ(code_of_taking(quick, &sentence), usage);
    EXPECT_NE(sentence.find("process 123 on node7, heartbeat 3"), std::string::npos) << sentence;
  }
  done = true;
  other.join();
  EXPECT_EQ(parse_lock(contents(file()))->nonce, "abc");
}

TEST_F(RunLockTest, AStillHeartbeatElsewhereIsTakenOver) {
  for (const bool flock : {true, false}) {
    quick.flock = flock;
    int notices = 0;
    quick.notice = [&](const std::string& sentence) {
      ++notices;
      EXPECT_NE(sentence.find("node7"), std::string::npos) << sentence;
    };
    LockHolder holder = elsewhere();
    holder.time += 100'000;  // its clock is ahead, which says nothing
    write(format_lock(holder));
    const auto start = Clock::now();
    {
      const RunLock lock(directory, quick);
      EXPECT_GE(Clock::now() - start, quick.watch_time());
      EXPECT_EQ(read_lock(directory)->process, ::getpid());
      EXPECT_EQ(contents(file()).size(), format_lock(holder).size());
    }
    EXPECT_EQ(notices, 1);
    EXPECT_FALSE(fs::exists(file()));
  }
}

TEST_F(RunLockTest, ARestartedMachineIsWatchedLikeAnother) {
  LockHolder holder;
  {
    const RunLock lock(directory);
    holder = *read_lock(directory);
  }
  holder.boot = elsewhere().boot;
  write(format_lock(holder));
  const auto start = Clock::now();
  EXPECT_EQ(code_of_taking(quick), 0);
  EXPECT_GE(Clock::now() - start, quick.watch_time());
}

TEST_F(RunLockTest, WaitingCanBeCancelled) {
  write(format_lock(elsewhere()));
  const auto end = Clock::now() + 50ms;
  LockOptions options;  // with the real times
  options.cancelled = [&] { return Clock::now() > end; };
  EXPECT_EQ(code_of_taking(options), static_cast<int>(ExitCode::stopped));
  EXPECT_LT(Clock::now() - end, 5s);
  EXPECT_EQ(parse_lock(contents(file()))->nonce, "abc");
}

TEST_F(RunLockTest, AnUnreadableLockIsTakenOver) {
  const std::string whole = format_lock(elsewhere());
  for (const std::string& content :
       {std::string(), std::string("garbage"), std::string("\0\xff\n", 3), std::string("[1, 2]"),
        std::string("{}"), whole.substr(0, 40), std::string(100'000, 'x')}) {
    write(content);
    EXPECT_FALSE(read_lock(directory));
    {
      const RunLock lock(directory, quick);
      const auto holder = read_lock(directory);
      ASSERT_TRUE(holder) << content.substr(0, 40);
      EXPECT_EQ(holder->process, ::getpid());
    }
    EXPECT_FALSE(fs::exists(file()));
  }
}

TEST_F(RunLockTest, AnUnreadableLockIsWatchedToo) {
  write("");
  std::thread other([&] {
    std::this_thread::sleep_for(600ms);  // past the time a creator is given
    write(format_lock(elsewhere()));
  });
  quick.attribute_cache = 10s;
  EXPECT_EQ(code_of_taking(quick), usage);
  other.join();
}

/// Two processes start at the same time; how many get the lock. The winner keeps it until the other
/// one has been refused.
template <class Take>
int winners(Take take) {
  const Pipe go;
  const Pipe said;
  std::array<Pipe, 2> finish;
  std::array<pid_t, 2> children{};
  for (std::size_t i = 0; i < 2; ++i)
    children[i] = in_child([&, i] {
      go.receive();
      try {
        const auto lock = take();
        said.send('w');
        finish[i].receive();
      } catch (const Failure& failure) {
        said.send(failure.code() == ExitCode::usage ? 'r' : '?');
      }
      return 0;
    });
  go.send();
  go.send();
  int count = 0;
  for (int i = 0; i < 2; ++i) {
    const char answer = said.receive();
    EXPECT_TRUE(answer == 'w' || answer == 'r') << answer;
    count += answer == 'w' ? 1 : 0;
  }
  for (std::size_t i = 0; i < 2; ++i) {
    finish[i].send();
    EXPECT_EQ(exit_code(children[i]), 0);
  }
  return count;
}

TEST_F(RunLockTest, OneOfTwoWinsAStaleLock) {
  LockHolder holder;
  {
    const RunLock lock(directory);
    holder = *read_lock(directory);
  }
  for (int round = 0; round < 200; ++round) {
    write(format_lock(holder));
    ASSERT_EQ(winners([&] { return std::make_unique<RunLock>(directory, impatient); }), 1) << round;
    ASSERT_FALSE(fs::exists(file())) << round;
  }
}

TEST_F(RunLockTest, OneOfTwoWinsANewLock) {
  for (int round = 0; round < 200; ++round) {
    ASSERT_EQ(winners([&] { return std::make_unique<RunLock>(directory, impatient); }), 1) << round;
    ASSERT_FALSE(fs::exists(file())) << round;
  }
}

TEST_F(RunLockTest, OneOfTwoWinsByTheHeartbeatAlone) {
  quick.flock = false;
  quick.heartbeat = 500ms;
  for (int round = 0; round < 2; ++round) {
    write(format_lock(elsewhere()));
    ASSERT_EQ(winners([&] { return std::make_unique<RunLock>(directory, quick); }), 1) << round;
  }
}

TEST_F(RunLockTest, NoticesThatAnotherHasTakenOver) {
  {
    const RunLock lock(directory, quick);
    const auto end = Clock::now() + 20s;
    while (read_lock(directory)->heartbeat < 3 && Clock::now() < end)
      std::this_thread::sleep_for(1ms);
    EXPECT_GE(read_lock(directory)->heartbeat, 3);
    EXPECT_FALSE(lock.lost());
    // Again and again, for a heartbeat may have been under way.
    while (!lock.lost() && Clock::now() < end) {
      std::fstream(file(), std::ios::in | std::ios::out | std::ios::binary)
          << format_lock(elsewhere());
      std::this_thread::sleep_for(10ms);
    }
    EXPECT_TRUE(lock.lost());
    std::this_thread::sleep_for(3 * quick.heartbeat);
  }
  // It neither writes to the other's lock nor removes it.
  EXPECT_EQ(parse_lock(contents(file()))->nonce, "abc");
}

TEST_F(RunLockTest, CheckLooksAtOnce) {
  RunLock lock(directory);
  EXPECT_FALSE(lock.check());
  fs::remove(file());
  EXPECT_FALSE(lock.check());  // nobody else has it
  write(format_lock(elsewhere()));
  EXPECT_FALSE(lock.lost());
  EXPECT_TRUE(lock.check());
  EXPECT_TRUE(lock.lost());
}

TEST_F(RunLockTest, IsGivenBackPromptly) {
  const auto start = Clock::now();
  for (int i = 0; i < 50; ++i)
    const RunLock lock(directory);  // heartbeats are 10 s apart
  EXPECT_LT(Clock::now() - start, 5s);
}

TEST_F(RunLockTest, ItsThreadLeavesSignalsToOthers) {
  static std::atomic<pthread_t> handled_by;
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) { handled_by = ::pthread_self(); };
  ::sigaction(SIGUSR1, &action, &before);
  {
    const RunLock lock(directory);
    for (int i = 0; i < 20; ++i) {
      handled_by = pthread_t{};
      ::kill(::getpid(), SIGUSR1);
      EXPECT_EQ(handled_by, ::pthread_self());
    }
  }
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_F(RunLockTest, WhatCannotBeMadeIsAFailureOfInput) {
  const std::string good = directory;
  std::ofstream(good + "/file") << "x";
  directory = good + "/file";
  std::string sentence;
  EXPECT_EQ(code_of_taking(quick, &sentence), io);
  EXPECT_NE(sentence.find("/file/LOCK"), std::string::npos) << sentence;
  directory = good + "/missing";
  EXPECT_EQ(code_of_taking(quick), io);
  directory = good;
  fs::create_directory(file());
  EXPECT_EQ(code_of_taking(quick), io);
  fs::remove(file());
  fs::permissions(good, fs::perms::owner_read | fs::perms::owner_exec);
  if (::access(good.c_str(), W_OK) != 0) {
    EXPECT_EQ(code_of_taking(quick), io);  // root writes anyway
  }
  fs::permissions(good, fs::perms::owner_all);
}

}  // namespace
}  // namespace widedeq
