// A study: one configuration whose grid of settings makes many runs, its cells.
//
//   data = "digits"            settings of train, the same for all cells
//   epochs = 200
//   [grid]
//   width = [256, 512, 1024]   settings with their values
//   gamma = [0.3, 0.5]
//   seed = "1..5"              or a range of integers: "1..5", "500..2000 step 500",
//                              "256..8192 times 2"; also among others: ["1..3", 7]
//
// Every combination is a cell. Cells are numbered from 0 with the settings in the order of the
// table in host/run/settings_table.cpp, whatever the file's, the last one changing fastest, values
// in the order of the file. A cell's run is in cells/NAME, NAME being its values:
// cells/width-512_seed-3. The number is for the study as it is; the name is for good: values, and
// settings, may be added to the grid later, and the cells there are stay what they are.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/run/config.hpp"

namespace widedeq {

/// One setting of the grid.
struct GridSetting {
  std::string name;                 // "learning-rate"
  std::vector<std::string> values;  // as Setting::get() gives them; no two are the same
  /// It joined the grid later, before which all cells had this value: those that have it go on
  /// without it in their name.
  std::optional<std::string> unnamed;

  bool operator==(const GridSetting&) const = default;
};

struct StudyCell {
  int number = 0;
  std::string name;       // "width-512_seed-3"
  std::string directory;  // of its run; there or not
  TrainConfig config;     // resolved; `out` is the directory
  /// The grid's settings and their values here, in the order of the table.
  std::vector<std::pair<std::string, std::string>> varied;

  /// "width 512, seed 3"
  std::string describe() const;
};

struct Study {
  std::string directory;
  TrainConfig common;             // what cells have in common; the grid's settings mean nothing
  std::vector<GridSetting> grid;  // in the order of the table
  std::vector<StudyCell> cells;   // by number

  /// The cell of that number or name. Throws Failure (usage).
  const StudyCell& cell(const std::string& number_or_name) const;
};

/// The study that a file's text describes; `name` stands for the file in errors, `directory` is
/// where the study is or will be. Nothing on the disk is looked at. Throws Failure (usage), naming
/// file and line, as apply_config_text, and for a grid that is missing, empty or too large, lists
/// without or with repeated values, settings that are no part of what a run computes, and
/// combinations that make no sense.
Study parse_study(std::string_view text, const std::string& name, const std::string& directory);

/// A file that parse_study() turns back into the same study, from any working directory.
std::string to_toml(const Study& study);

/// The study `now`, going on in the place of `before`: cells that were there keep their names.
/// Throws Failure (usage), saying what has changed, unless every cell of `before` is one of `now`.
/// How runs are kept safe, and the number of threads, may change.
Study extended(const Study& before, const Study& now);

/// The study in that directory: what its study.toml says. Throws Failure: usage when there is none,
/// io.
Study open_study(const std::string& directory);

/// The study of that file as it would be in that directory: a new one, the one there, or that one
/// extended. Nothing is written. Throws Failure: usage as parse_study() and extended(), or when
/// something else is in the directory; io.
Study preview_study(const std::string& config_file, const std::string& directory);

/// The same, with the directory made and study.toml written where it has changed. One process at a
/// time does this; others wait for a moment. Throws Failure likewise.
Study begin_study(const std::string& config_file, const std::string& directory);

/// Where a cell's run goes: the varied settings' values in a name that any file system takes.
/// Values that are not just letters, digits, dots, signs and commas (paths, say) become their last
/// part and a checksum; too long a name is cut off and gets one too.
std::string cell_name(const std::vector<std::pair<std::string, std::string>>& values);

}  // namespace widedeq
