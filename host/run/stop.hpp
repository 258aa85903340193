// Stopping a run from outside: Ctrl-C, or the signal of a batch system.
#pragma once

namespace widedeq {

/// From now on the first SIGINT, SIGTERM, SIGHUP, SIGUSR1 (which batch systems send ahead of a
/// time limit) or SIGXCPU only asks for a stop; a second one, whichever it is, ends the process at
/// once.
void stop_on_signals();

/// Whether a stop was asked for.
bool stop_requested();

}  // namespace widedeq
