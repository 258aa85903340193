// The batch script, and quoting for it; see slurm.hpp.
#include "host/study/slurm.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "host/failure.hpp"
#include "host/run/provenance.hpp"

namespace widedeq {
namespace {

/// Slurm refuses longer arrays unless told otherwise (MaxArraySize 1001).
constexpr std::size_t most_tasks = 1000;

/// Ahead of the time limit; what a checkpoint of a large cell takes, and the epoch before it.
constexpr int warning_seconds = 300;

/// The estimate of the time is good to a factor of two, and the nodes may be slower than the
/// machine that made it.
constexpr double time_margin = 4.0, least_time = 1800.0, most_time = 86400.0;

/// The estimate of the memory is good to a tenth.
constexpr double memory_margin = 1.25, least_memory = 256e6;

/// "%" stands for itself in a pattern of file names.
std::string in_pattern(const std::string& path) {
  std::string text;
  for (const char c : path)
    text += c == '%' ? std::string("%%") : std::string(1, c);
  return text;
}

/// "1-02:03:00".
std::string slurm_time(double seconds) {
  const auto total = static_cast<long long>(seconds);
  const long long days = total / 86400, hours = total / 3600 % 24, minutes = total / 60 % 60;
  const std::string clock = fmt::format("{:02}:{:02}:{:02}", hours, minutes, total % 60);
  return days > 0 ? fmt::format("{}-{}", days, clock) : clock;
}

double time_of_longest_task(const std::vector<CellPlan>& plan, const StudyEstimate& estimate,
                            int tasks) {
  double longest = 0.0;
  for (const std::vector<int>& share : shares(plan, tasks)) {
    double sum = 0.0;
    for (const int cell : share)
      sum += estimate.seconds[static_cast<std::size_t>(cell)];
    longest = std::max(longest, sum);
  }
  return longest;
}

/// bash. USR1 comes to this shell alone (B: above). TERM comes to every process of the job by
/// itself, and a second signal would end the program without a checkpoint: it is not passed on.
constexpr const char* body = R"sh(
interrupted= cancelled=
trap 'interrupted=yes; kill -s USR1 "$program" 2>/dev/null' USR1
trap 'interrupted=yes; cancelled=yes' TERM INT HUP

# From Slurm 22.05 on, a job knows when it ends.
seconds={seconds}
if [ -n "${{SLURM_JOB_END_TIME:-}}" ]; then
  seconds=$((SLURM_JOB_END_TIME - $(date +%s) - 30))
fi

"$widedeq" study --out "$study" {cells} {options}\
    --max-walltime "${{seconds}}s" &
program=$!
while true; do  # a signal ends the wait, not the program
  interrupted=
  wait "$program"
  code=$?
  [ -n "$interrupted" ] || break
done

# 75: not finished, and whatever there is has been saved. Slurm itself puts a preempted job back
# into the queue, and a cancelled one is not to come back.
if [ "$code" -eq 75 ] && [ -z "$cancelled" ] && [ "${{SLURM_RESTART_COUNT:-0}}" -lt 100 ]; then
  echo "not finished: back into the queue"
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
)sh";

}  // namespace

std::string sbatch_quoted(const std::string& word) {
  std::string quoted = "\"";
  for (const char c : word) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

std::string slurm_script(const Study& study, const std::vector<CellPlan>& plan,
                         const StudyEstimate& estimate, const SlurmOptions& options) {
  for (const std::string& path : {study.directory, options.program})
    if (path.find('\n') != path.npos)
      throw Failure(ExitCode::usage, "a path with a line break does not fit into a batch script",
                    "study slurm", "choose another --out");
  const auto tasks = options.tasks > 0 ? std::min(options.tasks, static_cast<int>(plan.size()))
                                       : static_cast<int>(std::min(plan.size(), most_tasks));
  const bool is_cell_each = static_cast<std::size_t>(tasks) == plan.size();
  const double longest = time_of_longest_task(plan, estimate, tasks);
  const double limit = options.seconds.value_or(
      std::clamp(std::ceil(time_margin * longest / 600.0) * 600.0, least_time, most_time));
  if (limit < 120.0)
    throw Failure(ExitCode::usage, fmt::format("a time limit of {:.0f} s is too short", limit),
                  "--time", "give two minutes or more");
  // Of a short limit, a quarter for the way out.
  const double warning = std::min<double>(warning_seconds, limit / 4.0);
  const double megabytes =
      std::ceil(std::max(least_memory, memory_margin * estimate.memory) / 1e8) * 100.0;
  const std::string name =
      std::filesystem::path(study.directory).lexically_normal().filename().string();

  std::string script = "#!/bin/bash\n";
  const auto line = [&](const std::string& text) { script += "#SBATCH " + text + "\n"; };
  line("--job-name=" + sbatch_quoted("widedeq-" + name));
  line(fmt::format("--array=0-{}", tasks - 1));
  line(fmt::format("--ntasks=1 --cpus-per-task={}", options.threads));
  line(fmt::format("--mem={:.0f}M", megabytes));
  line("--time=" + slurm_time(limit));
  line(fmt::format("--signal=B:USR1@{:.0f}", warning));
  line("--requeue --open-mode=append");
  line("--output=" + sbatch_quoted(in_pattern(study.directory) + "/" + slurm_logs + "/%A_%a.log"));
  script += fmt::format(
      "#\n# {} cells, {}; the longest task takes about {} here, the largest cell {}.\n"
      "# Options of sbatch win over these lines: sbatch --partition=NAME --time=8:00:00 "
      "THIS_FILE\n\n",
      plan.size(), is_cell_each ? "one a task" : fmt::format("in {} tasks", tasks),
      format_seconds(longest), format_bytes(estimate.memory));
  script += "widedeq=" + shell_quoted(options.program) + "\n";
  script += "study=" + shell_quoted(study.directory) + "\n";
  const std::string cells = is_cell_each
                                ? "--cell \"$SLURM_ARRAY_TASK_ID\""
                                : fmt::format("--cells \"$SLURM_ARRAY_TASK_ID/{}\"", tasks);
  const bool has_threads =
      std::ranges::any_of(study.grid, [](const GridSetting& one) { return one.name == "threads"; });
  std::string more =
      has_threads ? ""
                  : fmt::format("--threads \"${{SLURM_CPUS_PER_TASK:-{}}}\" ", options.threads);
  if (!options.resume.empty()) more += "--resume " + options.resume + ' ';
  return script + fmt::format(fmt::runtime(body), fmt::arg("cells", cells),
                              fmt::arg("options", more),
                              fmt::arg("seconds", static_cast<long long>(limit) - 30));
}

}  // namespace widedeq
