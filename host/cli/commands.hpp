// The subcommands. Each declares its options when it is made and does its work in run().
//
// run() returns the exit code and throws what outcome_of() (host/run/outcome.hpp) understands.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench/run.hpp"
#include "host/run/config.hpp"

namespace widedeq {

/// Settings by name, as they stood on the command line.
using GivenSettings = std::vector<std::pair<std::string, std::string>>;

class TrainCommand {
 public:
  explicit TrainCommand(CLI::App& parent);
  TrainCommand(const TrainCommand&) = delete;  // the parser writes into this one
  TrainCommand& operator=(const TrainCommand&) = delete;
  /// `command_line` is what the user typed, for provenance.
  int run(const std::string& command_line) const;
  CLI::App* app() const { return app_; }

 private:
  CLI::App* app_;
  std::string config_file_, out_;
  std::string resume_;  // "", "true" (no value given), or the value
  bool dry_run_ = false;
  GivenSettings given_;
};

class SolveCommand {
 public:
  explicit SolveCommand(CLI::App& parent);
  SolveCommand(const SolveCommand&) = delete;  // the parser writes into this one
  SolveCommand& operator=(const SolveCommand&) = delete;
  int run() const;
  CLI::App* app() const { return app_; }

 private:
  CLI::App* app_;
  std::string weights_, inputs_, targets_, out_;
  GivenSettings given_;
};

class LimitCommand {
 public:
  explicit LimitCommand(CLI::App& parent);
  LimitCommand(const LimitCommand&) = delete;  // the parser writes into this one
  LimitCommand& operator=(const LimitCommand&) = delete;
  int run() const;
  CLI::App* app() const { return app_; }

 private:
  CLI::App* app_;
  std::string inputs_, out_;
  GivenSettings given_;
};

class BenchCommand {
 public:
  explicit BenchCommand(CLI::App& parent);
  BenchCommand(const BenchCommand&) = delete;  // the parser writes into this one
  BenchCommand& operator=(const BenchCommand&) = delete;
  int run() const;
  CLI::App* app() const { return app_; }

 private:
  CLI::App* app_;
  bench::BenchOptions options_;
  std::string json_, csv_;
  GivenSettings given_;
};

class DoctorCommand {
 public:
  explicit DoctorCommand(CLI::App& parent);
  DoctorCommand(const DoctorCommand&) = delete;  // the parser writes into this one
  DoctorCommand& operator=(const DoctorCommand&) = delete;
  int run() const;
  CLI::App* app() const { return app_; }

 private:
  CLI::App* app_;
  std::string directory_ = ".";
  bool json_ = false;
  GivenSettings given_;
};

class ReportCommand {
 public:
  explicit ReportCommand(CLI::App& parent);
  ReportCommand(const ReportCommand&) = delete;  // the parser writes into this one
  ReportCommand& operator=(const ReportCommand&) = delete;
  int run() const;
  CLI::App* app() const { return app_; }

 private:
  CLI::App* app_;
  std::vector<std::string> words_;
  std::optional<std::string> out_;
};

class StudyCommand {
 public:
  explicit StudyCommand(CLI::App& parent);
  StudyCommand(const StudyCommand&) = delete;  // the parser writes into this one
  StudyCommand& operator=(const StudyCommand&) = delete;
  /// `command_line` is what the user typed, for provenance.
  int run(const std::string& command_line) const;
  CLI::App* app() const { return app_; }

 private:
  void add_common(CLI::App& app);
  void add_resume(CLI::App& app);
  /// Throws Failure (usage) where an option is given that the command below `study` has not.
  void refuse_others(const CLI::App& command) const;
  int run_cells(const std::string& command_line) const;
  int print_slurm() const;
  int print_status() const;

  CLI::App* app_;
  CLI::App* slurm_;
  CLI::App* status_;
  std::string config_file_, out_, cell_, share_, resume_, tasks_, time_;
  bool dry_run_ = false, retry_failed_ = false, wait_ = false, largest_first_ = false;
  GivenSettings given_;
};

class InfoCommand {
 public:
  explicit InfoCommand(CLI::App& parent);
  int run() const;
  CLI::App* app() const { return app_; }

 private:
  CLI::App* app_;
  Index samples_ = 1000;  // for which the widest network is told
};

/// Declares an option with a value; `store` gets it. "--width --out x" is refused instead of taken
/// for the width "--out": the parsing throws Failure (usage).
CLI::Option* add_text_option(CLI::App& app, const std::string& option, const std::string& type,
                             const std::string& help,
                             std::function<void(const std::string&)> store);

/// Declares the setting as an option of the command: what is given lands in `given`, which must
/// outlive the parsing.
void add_setting(CLI::App& app, std::string_view name, GivenSettings& given);

/// Applies them in order. Throws Failure (usage) as apply_setting.
void apply_given(TrainConfig& config, const GivenSettings& given);

}  // namespace widedeq
