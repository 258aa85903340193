// How far a study's cells are, as their directories say. Takes no lock, disturbs nobody.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "host/study/study_config.hpp"

namespace widedeq {

enum class CellStatus : std::uint8_t {
  waiting,      // nothing there yet, or no longer its records
  running,      // another process is at it, as far as one can see from here
  interrupted,  // its process was killed
  stopped,      // with a checkpoint
  failed,
  done,
};

struct CellState {
  CellStatus status = CellStatus::waiting;
  std::string note;          // of a failure, its reason; of a running cell, by whom; else a remark
  int exit_code = 0;         // of a failure that is a result, which a study keeps: 4 or 5; else 0
  std::string outcome = {};  // of a STATUS that says failed: the text of outcome.json
  bool has_lost_records = false;  // the cell was done, and metrics.jsonl is no longer there
};

/// Of the cell's directory as it is now.
CellState state_of(const StudyCell& cell);

/// Whether a failure is a result: training that runs away (4), or equilibria that are not reached
/// (5), would do so again.
bool is_result(int exit_code);

/// The word, as tables have it: "waiting", "running", ...
std::string_view name_of(CellStatus status);

/// The last epoch record of a cell's metrics.
struct LastEpoch {
  int epoch = 0;
  double loss = 0.0;
};
std::optional<LastEpoch> last_epoch(const StudyCell& cell);

/// `widedeq study status`: one line a cell, then how many there are of each kind. Ends with a
/// newline.
std::string format_status(const Study& study);

/// "24 cells: 20 done, 1 failed, 3 waiting: DIRECTORY", with a newline.
std::string format_counts(const Study& study);

}  // namespace widedeq
