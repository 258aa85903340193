// What a study has come to, in files: results.json for programs, cells.csv for tables; and as text.
#pragma once

#include <string>

#include "host/run/json.hpp"
#include "host/study/analysis.hpp"

namespace widedeq {

/// {"schema":1,"cells":[{"number":...,"directory":...,"status":...,"settings":{...}},...],
///  "groups":[{"label":...,"settings":{...},"cells":[...],
///    "quantities":[{"name":...,"label":...,"formula":...,"limit":...,"expected_exponent":...,
///      "fit":{"exponent":...,"low":...,"high":...,"factor":...,"cells":...,"widths":...,"seeds":...},
///      "values":[{"cell":...,"width":...,"seed":...,"value":...},...]},...],
///    "verdicts":[{"finding":"holds","statement":...,"evidence":...},...]},...],
///  "remarks":[...]}
/// Directories are relative to the study's. What is not known is left out.
Json results_json(const StudyAnalysis& analysis);

/// A line a cell: number, directory, status, the varied settings, and every quantity of the study,
/// empty where the cell has none. With a header; RFC 4180.
std::string cells_csv(const StudyAnalysis& analysis);

/// results.json and cells.csv into the study's directory, whole or not at all. Throws Failure (io).
void write_results(const StudyAnalysis& analysis);

/// The verdicts of every group, a line each, and the exponents. Ends with a newline.
std::string format_analysis(const StudyAnalysis& analysis);

/// "holds", "fails", "open"
const char* name_of(StudyFinding finding);

}  // namespace widedeq
