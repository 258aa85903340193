// The processor, the system's limits and the batch system; the report. See doctor.hpp.
#include "host/run/doctor.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <thread>

#include "host/run/config.hpp"
#include "host/run/estimate.hpp"
#include "host/run/machine.hpp"
#include "host/run/progress.hpp"
#include "kernels/error.hpp"

namespace widedeq {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Finding examine_threads(int threads) {
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  const int allowed = allowed_cores();
  const std::string wanted = environment("OMP_NUM_THREADS");
  Finding finding{.name = "threads", .text = {}, .remedy = {}};
  finding.text = fmt::format("{} on {} of {} cores, OMP_NUM_THREADS {}", threads, allowed, cores,
                             wanted.empty() ? "not set" : wanted);
  const auto number = parse_integer(wanted.substr(0, wanted.find(',')), 1, 1 << 20);
  const auto warn = [&](const std::string& remedy) {
    finding.severity = Severity::warn;
    finding.remedy = remedy;
  };
  if (!wanted.empty() && !number) {
    warn("OMP_NUM_THREADS is no number: set it to the cores of the job");
  } else if (threads > allowed || number.value_or(0) > allowed) {
    warn("more threads than cores only wait for each other: ask for more cores or fewer threads");
  } else if (threads < allowed) {
    warn("cores are left idle: raise OMP_NUM_THREADS or --threads unless that is meant");
  }
  return finding;
}

Finding examine_precisions(const Backend& backend) {
  const std::string why_not = backend.why_not_mixed();
  if (why_not.empty())
    return {
        .name = "precisions",
        .text = fmt::format("fp64, fp32, mixed; auto is {}", name_of(backend.fastest_precision())),
        .remedy = {}};
  return {.name = "precisions",
          .severity = Severity::warn,
          .text = "fp64, fp32; mixed is not exact: " + why_not,
          .remedy = "a processor with AMX or AVX512-VNNI is several times as fast"};
}

Finding examine_gpu() {
  try {
    return {.name = "gpu", .text = make_cuda_backend()->description(), .remedy = {}};
  } catch (const BusyDevice& error) {
    return {.name = "gpu",
            .severity = Severity::warn,
            .text = error.what(),
            .remedy = "runs stop for that, unless they say --backend cpu"};
  } catch (const std::exception& error) {
    std::error_code ignored;
    const bool is_there = std::filesystem::exists("/dev/nvidia0", ignored);
    return {.name = "gpu",
            .severity = is_there ? Severity::warn : Severity::ok,
            .text = std::string(is_there ? "there is one, but: " : "none: ") + error.what(),
            .remedy = is_there ? "the processor will do all the work" : ""};
  }
}

Finding examine_memory() {
  const auto available = available_memory_bytes();
  const auto limit = memory_limit();
  Finding finding{.name = "memory", .text = {}, .remedy = {}};
  finding.text = available ? format_bytes(*available) + " available" : "the system does not tell";
  finding.text += limit ? fmt::format("; the control group {} allows {}, {} in use", limit->source,
                                      format_bytes(limit->limit), format_bytes(limit->used))
                        : "; no control group limits it";
  constexpr double little = 1e9;
  if (available && *available < little) {
    finding.severity = Severity::warn;
    finding.remedy = "train --dry-run says what a run needs";
  }
  return finding;
}

/// The soft limit; "unlimited" is nothing.
std::optional<double> soft_limit(int resource) {
  rlimit limit{};
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) return std::nullopt;
  if (limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  return static_cast<double>(limit.rlim_cur);
}

Finding examine_ulimits() {
  const auto in_bytes = [](int resource) {
    const auto limit = soft_limit(resource);
    return limit ? format_bytes(*limit) : std::string("unlimited");
  };
  constexpr double fewest_files = 64.0;
  const auto files = soft_limit(RLIMIT_NOFILE);
  const auto seconds = soft_limit(RLIMIT_CPU);
  Finding finding{.name = "ulimits", .text = {}, .remedy = {}};
  finding.text =
      fmt::format("open files {}, virtual memory {}, file size {}, processor time {}, core {}",
                  files ? fmt::format("{:.0f}", *files) : "unlimited", in_bytes(RLIMIT_AS),
                  in_bytes(RLIMIT_FSIZE), seconds ? format_duration(*seconds) : "unlimited",
                  in_bytes(RLIMIT_CORE));
  std::vector<std::string> low;
  if (files && *files < fewest_files) low.emplace_back("ulimit -n");
  if (soft_limit(RLIMIT_AS)) low.emplace_back("ulimit -v");
  if (soft_limit(RLIMIT_FSIZE)) low.emplace_back("ulimit -f");
  if (seconds) low.emplace_back("ulimit -t");
  if (!low.empty()) {
    finding.severity = Severity::warn;
    finding.remedy = fmt::format("a run may be ended by {}: raise it", fmt::join(low, ", "));
  }
  return finding;
}

/// What a batch system calls a job and its cores.
struct BatchSystem {
  const char* name;
  const char* job;
  std::array<const char*, 2> cores;
};
constexpr std::array batch_systems{
    BatchSystem{"Slurm", "SLURM_JOB_ID", {"SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"}},
    BatchSystem{"PBS", "PBS_JOBID", {"NCPUS", "PBS_NUM_PPN"}},
    BatchSystem{"LSF", "LSB_JOBID", {"LSB_DJOB_NUMPROC", "LSB_DJOB_NUMPROC"}},
    BatchSystem{"Grid Engine", "SGE_TASK_ID", {"NSLOTS", "NSLOTS"}},
    BatchSystem{"Flux", "FLUX_JOB_ID", {"FLUX_TASK_CORES", "FLUX_TASK_CORES"}},
};

/// Slurm's variables beyond the common ones; adds what they say and what is wrong.
void examine_slurm(std::string& text, std::vector<std::string>& remedies) {
  for (const char* name : {"SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU"}) {
    // Megabytes of 2^20; 0 is all of the node's.
    const auto megabytes = parse_integer(environment(name), 1, std::int64_t{1} << 40);
    if (megabytes)
      text +=
          fmt::format(", {}: {}", name, format_bytes(static_cast<double>(*megabytes) * (1 << 20)));
  }
  const auto end = parse_integer(environment("SLURM_JOB_END_TIME"), 1, std::int64_t{1} << 40);
  if (!end) return;
  const auto left = static_cast<double>(*end - std::time(nullptr));
  text += left > 0.0 ? ", ends in " + format_duration(left) : ", should have ended";
  constexpr double soon = 600.0;
  if (left < soon) remedies.emplace_back("little time is left: ask for more");
}

}  // namespace

std::vector<Finding> examine_processor(int threads) {
  const auto features = processor_features();
  std::vector<Finding> findings;
  findings.push_back(
      {.name = "processor",
       .text = fmt::format("{}; {}", processor_model(),
                           features.empty() ? "no vector instructions known here"
                                            : fmt::format("{}", fmt::join(features, " "))),
       .remedy = {}});
  findings.push_back(examine_threads(threads));
  return findings;
}

std::vector<Finding> examine_limits() {
  return {examine_memory(), examine_ulimits()};
}

std::vector<Finding> examine_scheduler(int threads) {
  std::vector<Finding> findings;
  for (const BatchSystem& system : batch_systems) {
    const std::string job = environment(system.job);
    if (job.empty() || job == "undefined") continue;
    std::string text = fmt::format("{} job {}", system.name, job);
    std::vector<std::string> remedies;
    for (const char* variable : system.cores) {
      const auto cores = parse_integer(environment(variable), 1, 1 << 20);
      if (!cores) continue;
      text += fmt::format(", {}: {} cores", variable, *cores);
      if (*cores != threads)
        remedies.push_back(fmt::format(
            "{} threads on {} cores: give --threads {}, or ask for as many cores as threads",
            threads, *cores, *cores));
      break;
    }
    if (std::string_view(system.name) == "Slurm") examine_slurm(text, remedies);
    findings.push_back({.name = "batch system",
                        .severity = remedies.empty() ? Severity::ok : Severity::warn,
                        .text = text,
                        .remedy = fmt::format("{}", fmt::join(remedies, "; "))});
  }
  if (findings.empty()) findings.push_back({.name = "batch system", .text = "none", .remedy = {}});
  return findings;
}

Diagnosis examine(const std::string& directory, int threads) {
  if (threads == 0) threads = default_threads();
  Diagnosis diagnosis{directory, {}};
  const auto add = [&](std::vector<Finding> findings) {
    for (Finding& finding : findings)
      diagnosis.findings.push_back(std::move(finding));
  };
  const auto backend = make_cpu_backend(threads);
  add(examine_processor(threads));
  add({examine_precisions(*backend), examine_gpu()});
  add(examine_libraries(backend->description()));
  add(examine_limits());
  add(examine_scheduler(threads));
  add(examine_directory(directory));
  return diagnosis;
}

int Diagnosis::count(Severity severity) const {
  return static_cast<int>(
      std::ranges::count_if(findings, [&](const Finding& f) { return f.severity == severity; }));
}

const Finding* Diagnosis::worst() const {
  const Finding* worst = nullptr;
  for (const Finding& finding : findings) {
    if (finding.severity != Severity::fail) continue;
    if (worst == nullptr || (finding.about_directory && !worst->about_directory)) worst = &finding;
  }
  return worst;
}

ExitCode Diagnosis::exit_code() const {
  const Finding* finding = worst();
  if (finding == nullptr) return ExitCode::done;
  return finding->about_directory ? ExitCode::io : ExitCode::usage;
}

namespace {

const char* name_of(Severity severity) {
  switch (severity) {
    case Severity::ok:
      return "ok";
    case Severity::warn:
      return "warn";
    case Severity::fail:
      return "fail";
  }
  return "?";
}

}  // namespace

std::string format_diagnosis(const Diagnosis& diagnosis) {
  std::string text;
  for (const Finding& finding : diagnosis.findings)
    text += fmt::format("{:<5} {:<13} {}{}{}\n", name_of(finding.severity), finding.name,
                        finding.text, finding.remedy.empty() ? "" : "; ", finding.remedy);
  const auto counted = [&](Severity severity, const char* word) {
    const int count = diagnosis.count(severity);
    return fmt::format("{} {}{}", count == 0 ? "no" : std::to_string(count), word,
                       count == 1 ? "" : "s");
  };
  return text + "\n" + counted(Severity::fail, "failure") + ", " +
         counted(Severity::warn, "warning") + "\n";
}

Json to_json(const Diagnosis& diagnosis) {
  Json findings = Json::array();
  for (const Finding& finding : diagnosis.findings)
    findings.push_back({{"name", finding.name},
                        {"severity", name_of(finding.severity)},
                        {"text", finding.text},
                        {"remedy", finding.remedy}});
  return {{"directory", diagnosis.directory},
          {"failures", diagnosis.count(Severity::fail)},
          {"warnings", diagnosis.count(Severity::warn)},
          {"findings", findings}};
}

}  // namespace widedeq
