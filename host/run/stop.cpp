#include "host/run/stop.hpp"

#include <csignal>

namespace widedeq {
namespace {

// SIGXCPU: the soft limit of processor time; the hard one follows.
constexpr int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGXCPU};

volatile std::sig_atomic_t requested = 0;

extern "C" void request_stop(int) {
  requested = 1;
  for (const int signal : signals)
    std::signal(signal, SIG_DFL);
}

}  // namespace

void stop_on_signals() {
  struct sigaction action {};
  action.sa_handler = request_stop;
  action.sa_flags = SA_RESTART;  // a write under way is not to fail
  sigemptyset(&action.sa_mask);
  for (const int signal : signals)  // one handler at a time
    sigaddset(&action.sa_mask, signal);
  for (const int signal : signals) {
    struct sigaction before {};
    ::sigaction(signal, nullptr, &before);
    const bool nohup = signal == SIGHUP && before.sa_handler == SIG_IGN;
    if (!nohup) ::sigaction(signal, &action, nullptr);
  }
  // A reader of the progress lines is gone, a file grows beyond a limit: a write will say so.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

bool stop_requested() {
  return requested != 0;
}

}  // namespace widedeq
