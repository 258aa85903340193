// What the cells of a study will need, each and in all; who does which of them; and the table of
// `study --dry-run`. By the formulas of host/run/estimate.hpp, with their errors.
#pragma once

#include <string>
#include <vector>

#include "host/run/estimate.hpp"
#include "host/study/study_config.hpp"

namespace widedeq {

struct CellPlan {
  Workload work;
  WorkEstimate operations;
  double memory = 0.0, disk = 0.0;  // bytes at most
  double device = 0.0;              // of a GPU's memory, where the backend is one
  /// Seconds on a machine that is the same everywhere, so that all who share a study agree on them:
  /// good for comparing cells, not for a clock.
  double cost = 0.0;
};

/// Of every cell, by number. Data that cells share are loaded once. Throws as plan() where a cell
/// could not be started: what is wrong with a study shows before its first cell.
std::vector<CellPlan> plan_cells(const Study& study);

/// The numbers of the cells of each of n shares, ascending: shares are disjoint, together all, and
/// about equally costly. Greedy: the costliest cell left goes to the share that has least (Graham,
/// 1969, at most 4/3 of the best).
std::vector<std::vector<int>> shares(const std::vector<CellPlan>& plan, int n);

/// Floating-point operations (integer ones too) of a cell, Grams included.
double operations_of(const CellPlan& plan);

struct StudyEstimate {
  std::vector<double> seconds;                      // of each cell chosen
  double memory = 0.0, device = 0.0;                // of the one that needs most, bytes
  double operations = 0.0, disk = 0.0, time = 0.0;  // of all chosen
  std::optional<double> memory_available, device_available, disk_available;  // bytes
};

/// Of the chosen cells, one after the other, at the speed this machine shows now; it is measured
/// once for every precision.
StudyEstimate estimate_study(const Study& study, const std::vector<CellPlan>& plan,
                             const std::vector<int>& chosen);

/// Whether memory and disk are large enough, as far as the system tells.
bool fits(const StudyEstimate& estimate);

/// One line a cell, then the sums. Ends with a newline.
std::string format_estimate(const Study& study, const std::vector<CellPlan>& plan,
                            const std::vector<int>& chosen, const StudyEstimate& estimate);

}  // namespace widedeq
