// Signals set a flag, and a second one a second later ends the program; see stop.hpp.
#include "host/run/stop.hpp"

#include <atomic>
#include <csignal>
#include <cstdint>
#include <ctime>

#include "host/data/ending.hpp"

namespace widedeq {
namespace {

// SIGXCPU: the soft limit of processor time; the hard one follows.
constexpr int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGXCPU};
constexpr std::int64_t nanoseconds = 1'000'000'000;

/// Of a clock that never stands at zero, when the stop was asked for; 0: it was not.
std::atomic<std::int64_t> requested{0};
static_assert(std::atomic<std::int64_t>::is_always_lock_free, "a handler may touch no other");

extern "C" void request_stop(int signal) {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  const std::int64_t now = nanoseconds * time.tv_sec + time.tv_nsec + 1;
  std::int64_t first = 0;
  if (requested.compare_exchange_strong(first, now)) return;
  // The kernel sends SIGXCPU every second from the first one on.
  if (signal == SIGXCPU || now - first < nanoseconds) return;
  end_by_signal(signal);
}

/// Those that were ignored stay so where `may_stay_ignored` (by nohup, or in a shell's background).
void handle_signals(void (*handler)(int), bool (*may_stay_ignored)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;  // a write under way is not to fail
  sigemptyset(&action.sa_mask);
  for (const int signal : signals)  // one handler at a time
    sigaddset(&action.sa_mask, signal);
  for (const int signal : signals) {
    struct sigaction before {};
    ::sigaction(signal, nullptr, &before);
    const bool stays_ignored = before.sa_handler == SIG_IGN && may_stay_ignored(signal);
    if (!stays_ignored) ::sigaction(signal, &action, nullptr);
  }
}

}  // namespace

void stop_on_signals() {
  handle_signals(request_stop, [](int signal) { return signal == SIGHUP; });
  // A reader of the progress lines is gone: a write will say so.
  std::signal(SIGPIPE, SIG_IGN);
}

void clean_up_on_signals() {
  handle_signals(end_by_signal, [](int) { return true; });
}

bool stop_requested() {
  return requested != 0;
}

}  // namespace widedeq
