// One process at a time in a run directory, also where several machines share the file system.
//
// DIRECTORY/LOCK holds one line of JSON: who holds it, and a heartbeat that is rewritten in place
// every 10 s. Two things together say whether the holder lives:
//
//   flock      decides among the processes of one machine: the kernel drops it with its holder,
//              however that ended. Between machines it may mean nothing (Lustre's localflock, some
//              NFS), or be missing altogether.
//   heartbeat  decides between machines. It is watched by the watcher's own steady clock, so clocks
//              that differ do not matter: what moves is alive, what stands still is dead.
//
// Whoever was suspended so long that another one took over finds another nonce in the file: lost().
// The lock is removed when it is given back, and stays behind when its holder is killed; the next
// one takes it over.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "host/failure.hpp"

namespace widedeq {

/// Another process holds the lock.
class Busy : public Failure {
 public:
  using Failure::Failure;
};

/// Times are parameters so that tests need not wait.
struct LockOptions {
  std::chrono::milliseconds heartbeat{10'000};
  /// How long another machine may show an old copy of the file. Every look opens it anew, for which
  /// NFS asks the server, so this is ample.
  std::chrono::milliseconds attribute_cache{30'000};
  /// How long to wait for one on this machine who has been killed and is not quite dead.
  std::chrono::milliseconds patience{500};
  bool flock = true;  // false: by the heartbeat alone, as where the file system has no flock
  /// Told, once, that a holder elsewhere is being watched, which takes up to watch_time().
  std::function<void(const std::string& sentence)> notice;
  /// Asked while watching; true gives up.
  std::function<bool()> cancelled;

  std::chrono::milliseconds watch_time() const { return 3 * heartbeat + attribute_cache; }
};

/// What LOCK says.
struct LockHolder {
  std::string host;
  std::int64_t process = 0;
  std::string boot;            // /proc/sys/kernel/random/boot_id: the machine, since it was started
  std::string nonce;           // of this one lock, random
  std::string started;         // UTC, "2024-05-01T12:00:00Z"
  std::int64_t heartbeat = 0;  // how many there have been
  std::int64_t time = 0;       // of the last one, seconds since 1970 by the holder's clock

  /// Seconds since the last heartbeat, by this machine's clock; at least 0.
  std::int64_t age() const;
  /// "process 123 on node7, heartbeat 4 s ago"
  std::string describe() const;
};

/// The file's content, of the same length whoever holds it; and back, nothing when it is no such
/// content.
std::string format_lock(const LockHolder& holder);
std::optional<LockHolder> parse_lock(std::string_view content);

/// Who holds the directory, or held it when he was killed: age() tells which is likelier. Nothing
/// when there is no lock or its content cannot be read. Takes no lock, disturbs nobody.
std::optional<LockHolder> read_lock(const std::string& directory);

class RunLock {
 public:
  /// Takes the lock of a directory that is there. At once where it is free or its holder died on
  /// this machine; otherwise after watching the heartbeat for options.watch_time().
  /// Throws Busy (usage) when another process holds it, naming that one; Failure: io when the file
  /// cannot be made or written; stopped when options.cancelled says so.
  explicit RunLock(const std::string& directory, LockOptions options = {});
  /// Gives the lock back and removes the file, unless the lock is lost.
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  /// Whether another process has taken over: nothing in the directory may be written any more. As
  /// the last heartbeat found it, and for good.
  bool lost() const { return lost_; }
  /// The same, looked up now: for use before something that must not go wrong.
  bool check();

 private:
  enum class Flock : std::uint8_t { taken, busy, missing };

  void acquire();
  /// One attempt; false: the file was removed or replaced under our hands.
  bool try_acquire();
  bool open_file();  // sets descriptor_ and created_
  bool create_whole();
  Flock take_flock();
  bool is_current() const;
  bool take_over(const std::string& content);
  bool write_content();
  void heartbeats();
  void start_thread();
  void close_file();
  [[noreturn]] void refuse(const std::optional<LockHolder>& holder) const;
  [[noreturn]] void fail(const std::string& what, int error) const;

  std::string path_;
  LockOptions options_;
  LockHolder mine_;
  int descriptor_ = -1;
  bool created_ = false;  // by this process
  int empty_looks_ = 0;   // at a file its creator has not written to yet
  std::atomic<bool> lost_{false};

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace widedeq
