// widedeq doctor: whether machine, directory and batch job are fit for a run.
#include "host/run/doctor.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "host/cli/commands.hpp"
#include "host/failure.hpp"

namespace widedeq {

DoctorCommand::DoctorCommand(CLI::App& parent)
    : Command(
          parent.add_subcommand("doctor", "Check machine, libraries, directory and batch job")) {
  add_text_option(*app_, "--out", "DIR", "directory where runs would go [.]",
                  [this](const std::string& text) { directory_ = text; });
  add_setting(*app_, "threads", given_);
  app_->add_flag("--json", json_, "print a JSON document instead");
  app_->footer(
      R"(Prints one line for each thing looked at: ok, warn or fail. In the directory a small file is made,
flushed, renamed, locked and removed again.

Exit codes: 0 nothing fails, 74 the directory does, 2 something else does. Warnings change nothing.

Example:
  srun --cpus-per-task 16 widedeq doctor --out /scratch/$USER/runs)");
}

int DoctorCommand::run(const std::string&) const {
  TrainConfig config;
  apply_given(config, given_);
  const Diagnosis diagnosis = examine(directory_, config.threads);
  fmt::print("{}",
             json_ ? to_json(diagnosis).dump(2, ' ', false, Json::error_handler_t::replace) + "\n"
                   : format_diagnosis(diagnosis));
  std::fflush(stdout);
  if (const Finding* finding = diagnosis.worst())
    throw Failure(diagnosis.exit_code(), finding->text, finding->name, finding->remedy);
  return static_cast<int>(ExitCode::done);
}

}  // namespace widedeq
