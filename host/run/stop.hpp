// Stopping a run from outside: Ctrl-C, or the signal of a batch system.
#pragma once

namespace widedeq {

/// From now on the first SIGINT, SIGTERM or SIGHUP only asks for a stop; a second one ends the
/// process as usual.
void stop_on_signals();

/// Whether a stop was asked for.
bool stop_requested();

}  // namespace widedeq
