// Stopping a run from outside: Ctrl-C, or the signal of a batch system.
#pragma once

namespace widedeq {

/// From now on the first SIGINT, SIGTERM, SIGHUP, SIGUSR1 (which batch systems send ahead of a
/// time limit) or SIGXCPU only asks for a stop. A second one ends the process at once when it comes
/// a second later or more: what comes sooner is the same request by another way, as a closing
/// terminal's, or that of a launcher who signals a process and then its group. SIGXCPU never does.
/// Half-written files go with it.
/// SIGHUP stays ignored where it was (nohup).
void stop_on_signals();

/// Whether a stop was asked for.
bool stop_requested();

/// For a command that has nothing to save: the same signals end it at once, as ever, but what it
/// has begun to write goes with it (host/data/ending.hpp).
void clean_up_on_signals();

}  // namespace widedeq
