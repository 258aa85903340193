// Doing the cells of a study, by one process or by many at once, on one machine or on several.
//
// A cell is a run (host/run/run.hpp) in a directory of its own, and that directory's lock is the
// claim to it: a cell that another process is at is passed over and looked at again at the end; one
// whose process was killed is taken over. So every process does whatever is left to do, and no cell
// is done twice.
//
//   done, or failed by its own nature     stays: training that ran away, equilibria not reached
//   stopped, killed                       goes on from its newest checkpoint, bit by bit
//   failed otherwise (memory, settings)   is tried again by the next call
//   an input/output failure               ends the study at once: the next cell would have it too
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/study/study_config.hpp"
#include "host/study/study_plan.hpp"

namespace widedeq {

/// What to do with a half-done cell that cannot go on bit by bit, because program, machine or
/// settings have changed: leave it as it is and report a failure; go on all the same, which its
/// metrics say; or begin it again.
enum class WhenChanged : std::uint8_t { leave, go_on, begin_again };

struct StudyOptions {
  std::vector<int> cells;  // to do, in this order
  WhenChanged when_changed = WhenChanged::leave;
  bool retry_failed = false;  // begin cells again that failed by their own nature
  bool wait = false;          // for cells that others are at, to the end of the study
  std::string command_line;   // for the runs' provenance
};

struct FailedCell {
  int number = 0;
  int exit_code = 0;
  std::string reason;
};

/// Of the cells that were to be done.
struct StudySummary {
  int done = 0;                    // here, before, or by others
  int busy = 0;                    // others are at them
  bool stopped = false;            // by a signal, or for lack of time; the rest is left
  std::vector<FailedCell> failed;  // here or before, by number
};

/// Does the cells that are left of options.cells. On stderr, and with the time in the study's
/// log.txt, one line a cell: how it ended, after how long, and about how long the rest will take.
/// A stop asked for (host/run/stop.hpp), or a time that runs out, ends it with a checkpoint of the
/// cell under way. Threads of a half-done cell are what they were, unless it goes on anyhow.
/// `plan` is plan_cells(study). Throws Failure (io).
StudySummary run_study(const Study& study, const std::vector<CellPlan>& plan,
                       const StudyOptions& options);

/// Whether nothing is left to do: every cell of the study is done, or has failed by its own nature.
bool is_finished(const Study& study);

}  // namespace widedeq
