#include "host/run/stop.hpp"

#include <csignal>

namespace widedeq {
namespace {

volatile std::sig_atomic_t requested = 0;

extern "C" void request_stop(int signal) {
  requested = 1;
  std::signal(signal, SIG_DFL);
}

}  // namespace

void stop_on_signals() {
  std::signal(SIGINT, request_stop);
  std::signal(SIGTERM, request_stop);
  std::signal(SIGHUP, request_stop);  // the terminal is gone; the run is worth keeping
  std::signal(SIGPIPE,
              SIG_IGN);  // a reader of the progress lines is gone: that is no reason to stop
}

bool stop_requested() {
  return requested != 0;
}

}  // namespace widedeq
