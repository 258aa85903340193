// `study slurm`: a batch script that does a study as a job array.
//
// Every task of the array is one cell, or one share of the cells (--cells K/N). Ahead of the time
// limit Slurm sends USR1 to the script alone, which passes it on; the study saves a checkpoint and
// ends with 75, and the script puts its task back into the queue. So the limit may be shorter than
// the work.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host/study/study_plan.hpp"

namespace widedeq {

struct SlurmOptions {
  std::string program;            // absolute path of widedeq
  int tasks = 0;                  // of the array; 0: one a cell, at most 1000
  int threads = 4;                // of a task; where the grid has them, the most
  std::optional<double> seconds;  // time limit; none: from the estimate
  std::string resume;             // --resume of every task; empty: the default
};

/// The script, for bash. `estimate` is of all cells. The directory must be absolute. Throws Failure
/// (usage) for a path with a line break, and a time limit below two minutes.
std::string slurm_script(const Study& study, const std::vector<CellPlan>& plan,
                         const StudyEstimate& estimate, const SlurmOptions& options);

/// Where the tasks' output goes, below the study's directory: Slurm does not make directories.
inline constexpr const char* slurm_logs = "slurm";

/// A word as sbatch takes it in an #SBATCH line: in double quotes, which, like backslashes, are
/// escaped inside. Source: get_argument() in Slurm's src/sbatch/opt.c.
std::string sbatch_quoted(const std::string& word);

}  // namespace widedeq
