// Reports: a page about a run, about two runs side by side, about a study.
//
// Each reads what there is and leaves out what there is not: a run under way, or one of an older
// version, has a shorter report. Nothing in the directories of runs is touched.
#pragma once

#include <optional>
#include <string>

#include "host/study/analysis.hpp"
#include "host/study/page.hpp"
#include "host/study/run_data.hpp"

namespace widedeq {

/// What the run came to: figures and sentences first, then curves, kernels, where it comes from.
Page report_of_run(const RunData& run);

/// Two runs: the settings in which they differ, key figures with their ratios, curves in the same
/// axes, Grams with the same colours.
Page report_of_two(const RunData& a, const RunData& b);

/// A study: verdicts, values against the width with their fits, loss curves of all cells, the table
/// of cells. Links lead from `out`, the directory of the report, to the cells. Cells whose run
/// cannot be read have no curve.
Page report_of_study(const StudyAnalysis& study, const std::string& out);

/// Reads the run or the study in the directory and writes its report to `out`, or to report/ in
/// the directory. Returns the path of the page. Throws Failure: usage where there is neither, and
/// as read_run, analyse_study and Page::write.
std::string write_report(const std::string& directory, const std::optional<std::string>& out);

/// The same for two runs.
std::string write_comparison(const std::string& a, const std::string& b, const std::string& out);

}  // namespace widedeq
