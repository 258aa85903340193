// Taking, keeping and giving back a run directory; see run_lock.hpp.
#include "host/run/run_lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <random>
#include <system_error>
#include <utility>

#include "host/data/atomic_file.hpp"
#include "host/failure.hpp"
#include "host/run/json.hpp"
#include "host/run/machine.hpp"

namespace widedeq {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t content_bytes = 512;
constexpr std::size_t longest_host = 128;

/// How long a file just created may stay empty, and its creator be kept from its lock by one who
/// looks at it.
constexpr auto creation_step = 10ms;
constexpr int creation_steps = 50;

constexpr int most_tries = 1000;

constexpr int open_flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;

/// The file as it is on the server now: NFS looks there whenever a file is opened. Nothing when it
/// is not there or cannot be read.
std::optional<std::string> read_content(const std::string& path) {
  const int descriptor =
      uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); });
  if (descriptor < 0) return std::nullopt;
  std::string content(content_bytes, '\0');
  std::size_t size = 0;
  ssize_t count = 0;
  do {
    count = uninterrupted(
        [&] { return ::read(descriptor, content.data() + size, content.size() - size); });
    if (count > 0) size += static_cast<std::size_t>(count);
  } while (count > 0 && size < content.size());
  ::close(descriptor);
  if (count < 0) return std::nullopt;
  content.resize(size);
  return content;
}

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

std::string random_nonce() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

LockHolder this_process() {
  LockHolder holder;
  holder.host = host_name().substr(0, longest_host);
  holder.process = ::getpid();
  holder.boot = boot_id();
  holder.nonce = random_nonce();
  holder.started = timestamp();
  return holder;
}

}  // namespace

std::int64_t LockHolder::age() const {
  return std::max<std::int64_t>(0, static_cast<std::int64_t>(std::time(nullptr)) - time);
}

std::string LockHolder::describe() const {
  return fmt::format("process {} on {}, heartbeat {} s ago", process, host, age());
}

std::string format_lock(const LockHolder& holder) {
  const Json record{{"host", holder.host},       {"process", holder.process},
                    {"boot", holder.boot},       {"nonce", holder.nonce},
                    {"started", holder.started}, {"heartbeat", holder.heartbeat},
                    {"time", holder.time}};
  std::string line = to_line(record);
  line.resize(content_bytes - 1, ' ');  // rewriting it needs no space on the disk
  return line + '\n';
}

std::optional<LockHolder> parse_lock(std::string_view content) try {
  const Json record = Json::parse(content);
  LockHolder holder;
  record.at("host").get_to(holder.host);
  record.at("process").get_to(holder.process);
  record.at("boot").get_to(holder.boot);
  record.at("nonce").get_to(holder.nonce);
  record.at("started").get_to(holder.started);
  record.at("heartbeat").get_to(holder.heartbeat);
  record.at("time").get_to(holder.time);
  return holder;
} catch (const Json::exception&) {
  return std::nullopt;
}

std::optional<LockHolder> read_lock(const std::string& directory) {
  const auto content = read_content(directory + "/LOCK");
  return content ? parse_lock(*content) : std::nullopt;
}

RunLock::RunLock(const std::string& directory, LockOptions options)
    : path_(directory + "/LOCK"), options_(std::move(options)), mine_(this_process()) {
  try {
    acquire();
    start_thread();
  } catch (...) {
    close_file();
    throw;
  }
}

RunLock::~RunLock() {
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
  // While the lock is still held, so that nobody takes the file in between; what another one has
  // taken over is not ours to remove.
  if (!check() && is_current()) ::unlink(path_.c_str());
  close_file();
}

bool RunLock::check() {
  const auto content = read_content(path_);
  const auto holder = content ? parse_lock(*content) : std::nullopt;
  // A file that was removed or cannot be read has no other holder.
  if (holder && holder->nonce != mine_.nonce) lost_ = true;
  return lost_;
}

void RunLock::acquire() {
  for (int tries = 0; tries < most_tries; ++tries) {
    if (try_acquire()) return;
    close_file();
  }
  fail("the lock file keeps being replaced", 0);
}

bool RunLock::try_acquire() {
  if (!open_file()) return false;
  const Flock flock = take_flock();
  const std::string content = read_content(path_).value_or("");
  const auto holder = parse_lock(content);
  if (flock == Flock::busy) refuse(holder);
  if (!is_current()) return false;
  if (!created_ && content.empty() && empty_looks_ < creation_steps) {
    // Its creator is about to lock it: let him, if he lives.
    ++empty_looks_;
    close_file();
    std::this_thread::sleep_for(creation_step);
    return false;
  }
  const bool is_here = holder && holder->host == mine_.host && holder->boot == mine_.boot;
  const bool is_dead = flock == Flock::taken && is_here && !mine_.boot.empty();
  if (!created_ && !is_dead) return take_over(content);
  if (!write_content()) {
    const int error = errno;
    if (created_) ::unlink(path_.c_str());
    fail("cannot write the lock file", error);
  }
  return true;
}

/// Makes the file under another name, with content and lock, and gives it its name in one step,
/// which fails where there is one: whoever is killed on the way leaves no file that says nothing of
/// him. False where there is one already, or the file system has no links.
bool RunLock::create_whole() {
  const std::filesystem::path place(path_);
  const std::string temporary = (place.parent_path() / (".LOCK." + mine_.nonce + ".tmp")).string();
  descriptor_ =
      uninterrupted([&] { return ::open(temporary.c_str(), open_flags | O_CREAT | O_EXCL, 0666); });
  if (descriptor_ < 0) fail("cannot make the lock file", errno);
  const bool written = write_content();
  const int error = errno;
  if (written && options_.flock)
    uninterrupted([&] { return ::flock(descriptor_, LOCK_EX | LOCK_NB); });
  created_ = written && ::link(temporary.c_str(), path_.c_str()) == 0;
  ::unlink(temporary.c_str());
  if (!written) fail("cannot write the lock file", error);
  if (!created_) close_file();
  return created_;
}

/// Exactly one process, on whatever machine, creates the file. False: it has just been removed.
bool RunLock::open_file() {
  const auto open = [&](int more) {
    return uninterrupted([&] { return ::open(path_.c_str(), open_flags | more, 0666); });
  };
  struct stat there {};
  created_ = false;
  if (::stat(path_.c_str(), &there) != 0 && create_whole()) return true;
  descriptor_ = open(O_CREAT | O_EXCL);
  created_ = descriptor_ >= 0;
  if (descriptor_ < 0 && errno == EEXIST) {
    descriptor_ = open(0);
    if (descriptor_ < 0 && (errno == ENOENT || errno == ESTALE)) return false;
  }
  if (descriptor_ < 0) fail("cannot open the lock file", errno);
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) fail("cannot look at the lock file", errno);
  if (!S_ISREG(status.st_mode)) fail("the lock is not a regular file", 0);
  return true;
}

RunLock::Flock RunLock::take_flock() {
  if (!options_.flock) return Flock::missing;
  // Who has just created the file waits for those who look at it and find it empty.
  const int steps = created_ ? creation_steps : static_cast<int>(options_.patience / creation_step);
  for (int step = steps;; --step) {
    if (uninterrupted([&] { return ::flock(descriptor_, LOCK_EX | LOCK_NB); }) == 0)
      return Flock::taken;
    switch (errno) {
      case EWOULDBLOCK:
        if (step <= 0) return Flock::busy;
        std::this_thread::sleep_for(creation_step);
        break;
      case ENOLCK:
      case ENOSYS:
      case EOPNOTSUPP:
      case EINVAL:
        return Flock::missing;
      default:
        fail("cannot lock the lock file", errno);
    }
  }
}

/// Whether the path still names the file that is open: a holder removes it when he is done.
bool RunLock::is_current() const {
  struct stat named {};
  struct stat opened {};
  return ::stat(path_.c_str(), &named) == 0 && ::fstat(descriptor_, &opened) == 0 &&
         named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

/// Waits and sees: whether the heartbeat of a holder on another machine moves. Returns as
/// try_acquire.
bool RunLock::take_over(const std::string& content) {
  const auto pause = [&](Clock::time_point end) {
    constexpr Clock::duration step = 200ms;
    if (options_.cancelled && options_.cancelled())
      throw Failure(ExitCode::stopped, "stopped while waiting for the directory's lock", path_,
                    "start again when its holder is done");
    std::this_thread::sleep_until(
        std::min({end, Clock::now() + step, Clock::now() + options_.heartbeat / 4}));
    return Clock::now() < end;
  };
  if (options_.notice) {
    const auto holder = parse_lock(content);
    options_.notice(
        fmt::format("{} has a lock by {}; watching up to {} s whether it is alive", path_,
                    holder ? holder->describe() : "an unknown process",
                    std::chrono::ceil<std::chrono::seconds>(options_.watch_time()).count()));
  }
  const auto end = Clock::now() + options_.watch_time();
  for (bool is_over = false; !is_over;) {
    is_over = !pause(end);
    const auto now = read_content(path_);
    if (!now || !is_current()) return false;  // given back
    if (*now != content) refuse(parse_lock(*now));
  }

  if (!write_content()) fail("cannot write the lock file", errno);
  // Somebody on yet another machine may have waited as we have, and just as long. The last one to
  // write has it.
  for (const auto settled = Clock::now() + options_.heartbeat; pause(settled);) {
  }
  const auto now = read_content(path_);
  if (!now) return false;
  const auto holder = parse_lock(*now);
  if (!holder || holder->nonce != mine_.nonce) refuse(holder);
  return true;
}

/// The next heartbeat, in place. False, with errno, when it cannot be written.
bool RunLock::write_content() {
  ++mine_.heartbeat;
  mine_.time = static_cast<std::int64_t>(std::time(nullptr));
  const std::string content = format_lock(mine_);
  std::size_t written = 0;
  while (written < content.size()) {
    const ssize_t count = uninterrupted([&] {
      return ::pwrite(descriptor_, content.data() + written, content.size() - written,
                      static_cast<off_t>(written));
    });
    if (count <= 0) return false;
    written += static_cast<std::size_t>(count);
  }
  // A longer file would leave its end behind ours; and other machines see nothing before the sync.
  uninterrupted([&] { return ::ftruncate(descriptor_, static_cast<off_t>(content.size())); });
  return uninterrupted([&] { return ::fdatasync(descriptor_); }) == 0 || errno == EINVAL;
}

void RunLock::start_thread() {
  // A thread inherits the mask: signals are for the threads there have been before.
  sigset_t all{};
  sigset_t before{};
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread_ = std::thread([this] { heartbeats(); });
  } catch (...) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ::unlink(path_.c_str());
    throw;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void RunLock::heartbeats() {
  std::unique_lock guard(mutex_);
  while (!wake_.wait_for(guard, options_.heartbeat, [this] { return stopping_; })) {
    guard.unlock();
    // A heartbeat that cannot be written is no reason to stop: the next one may succeed.
    if (!check()) static_cast<void>(write_content());
    guard.lock();
    if (lost_) return;
  }
}

void RunLock::close_file() {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
}

void RunLock::refuse(const std::optional<LockHolder>& holder) const {
  throw Busy(ExitCode::usage,
             "another process is at work in the directory: " +
                 (holder ? holder->describe() : "it has not said which"),
             path_, "wait for it, stop it there, or choose another --out");
}

void RunLock::fail(const std::string& what, int error) const {
  throw Failure(ExitCode::io,
                error == 0 ? what : what + ": " + std::generic_category().message(error), path_,
                "check the directory and its permissions");
}

}  // namespace widedeq
