// What a study comes to: every quantity that the theory speaks of, over widths and seeds, with its
// fit, and a verdict on each statement. A pure function of the directories of its cells.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "host/study/power_fit.hpp"

namespace widedeq {

/// What one cell says of a quantity.
struct CellValue {
  int cell = 0;  // its number
  std::int64_t width = 0, seed = 0;
  double value = 0.0;
};

struct Quantity {
  std::string name;     // "error_state", in files
  std::string label;    // "relative error of Z'Z", for people
  std::string formula;  // "||Z'Z - K||_F / ||K||_F"
  std::vector<CellValue> values;
  std::optional<PowerFit> fit;     // against the width; none as fit_power() says
  std::optional<double> expected;  // the exponent that theory gives
  std::optional<double> limit;     // the value at infinite width
};

enum class StudyFinding : std::uint8_t { holds, fails, open };

/// One statement, and what the cells say to it.
struct StudyVerdict {
  StudyFinding finding = StudyFinding::open;
  std::string statement;  // "well-posed throughout: gamma ||A||_2/sqrt(m) < 1"
  std::string evidence;   // "largest 0.998 (m = 512, seed 3, epoch 40), 12 of 12 cells"
};

/// The cells that differ in width and seed only.
struct StudyGroup {
  std::string label;                                          // "gamma 0.5, injection relu"
  std::vector<std::pair<std::string, std::string>> settings;  // those the study varies
  std::vector<int> cells;
  std::vector<Quantity> quantities;
  std::vector<StudyVerdict> verdicts;
};

struct AnalysedCell {
  int number = 0;
  std::string directory;  // of its run
  std::string status;     // of that: "done", "failed: ..."; "waiting" for none, or "unreadable"
  std::vector<std::pair<std::string, std::string>> settings;  // those the study varies
  std::string commit = {}, backend = {};  // by what it was computed; "" before there is a record
};

struct StudyAnalysis {
  std::string directory;
  std::vector<AnalysedCell> cells;
  std::vector<StudyGroup> groups;
  std::vector<std::string> remarks;  // why cells are left out, or have no limit
};

/// Reads the cells of the study in that directory, as far as they have come, and fits. A cell that
/// cannot be read is left out, which a remark says. Throws Failure for the study itself: usage
/// where there is none, io, bad_data.
StudyAnalysis analyse_study(const std::string& directory);

}  // namespace widedeq
