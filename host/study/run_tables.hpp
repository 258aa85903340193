// Tables about runs that several reports have.
#pragma once

#include <string>

#include "host/study/page.hpp"
#include "host/study/run_data.hpp"

namespace widedeq {

/// "digits, 512 units", for titles; plain text.
std::string run_title(const RunData& run);

/// What computed it: version, commit, machine, data, sessions. Empty where there is no provenance.
Table provenance_table(const RunData& run);

/// Every setting and its value.
Table settings_table(const RunData& run);

/// Certificates by epoch: verdict, value and how it was proved or why not.
Table certificate_table(const RunData& run);

/// What happened on the way: halvings, changed conditions, what ended it.
Table event_table(const RunData& run);

/// The command that repeats the run, plain; empty where nothing says.
std::string repeating_command(const RunData& run);

}  // namespace widedeq
