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

class Command {
 public:
  explicit Command(CLI::App* app) : app_(app) {}
  virtual ~Command() = default;
  Command(const Command&) = delete;  // the parser writes into this one
  Command& operator=(const Command&) = delete;

  /// `command_line` is what the user typed, for provenance.
  virtual int run(const std::string& command_line) const = 0;
  CLI::App* app() const { return app_; }

 protected:
  CLI::App* app_;
};

class TrainCommand final : public Command {
 public:
  explicit TrainCommand(CLI::App& parent);
  int run(const std::string& command_line) const override;

 private:
  std::string config_file_, out_;
  std::string resume_;  // "", "true" (no value given), or the value
  bool dry_run_ = false;
  GivenSettings given_;
};

class SolveCommand final : public Command {
 public:
  explicit SolveCommand(CLI::App& parent);
  int run(const std::string& command_line) const override;

 private:
  std::string weights_, inputs_, targets_, out_;
  GivenSettings given_;
};

class LimitCommand final : public Command {
 public:
  explicit LimitCommand(CLI::App& parent);
  int run(const std::string& command_line) const override;

 private:
  std::string inputs_, out_;
  GivenSettings given_;
};

class BenchCommand final : public Command {
 public:
  explicit BenchCommand(CLI::App& parent);
  int run(const std::string& command_line) const override;

 private:
  bench::BenchOptions options_;
  std::string json_, csv_;
  GivenSettings given_;
};

class DoctorCommand final : public Command {
 public:
  explicit DoctorCommand(CLI::App& parent);
  int run(const std::string& command_line) const override;

 private:
  std::string directory_ = ".";
  bool json_ = false;
  GivenSettings given_;
};

class ReportCommand final : public Command {
 public:
  explicit ReportCommand(CLI::App& parent);
  int run(const std::string& command_line) const override;

 private:
  std::vector<std::string> words_;
  std::optional<std::string> out_;
};

class StudyCommand final : public Command {
 public:
  explicit StudyCommand(CLI::App& parent);
  int run(const std::string& command_line) const override;

 private:
  void add_common(CLI::App& app);
  void add_resume(CLI::App& app);
  /// Throws Failure (usage) where an option is given that the command below `study` has not.
  void refuse_others(const CLI::App& command) const;
  int run_cells(const std::string& command_line) const;
  int print_slurm() const;
  int print_status() const;

  CLI::App* slurm_;
  CLI::App* status_;
  std::string config_file_, out_, cell_, share_, resume_, tasks_, time_;
  bool dry_run_ = false, retry_failed_ = false, wait_ = false, largest_first_ = false;
  GivenSettings given_;
};

class InfoCommand final : public Command {
 public:
  explicit InfoCommand(CLI::App& parent);
  int run(const std::string& command_line) const override;

 private:
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

/// Whether the setting stood on the command line.
bool has_setting(const GivenSettings& given, std::string_view name);

/// Throws Failure (usage) where an option that the command, "widedeq solve", cannot do without was
/// not given.
void require_option(const std::string& command, const std::string& option, bool is_given);

/// Applies them in order. Throws Failure (usage) as apply_setting.
void apply_given(TrainConfig& config, const GivenSettings& given);

}  // namespace widedeq
