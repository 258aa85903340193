// The loop over cells, and what becomes of each; see study.hpp.
#include "host/study/study.hpp"

#include <fmt/format.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <map>
#include <memory>
#include <thread>
#include <utility>

#include "host/failure.hpp"
#include "host/run/identity.hpp"
#include "host/run/machine.hpp"
#include "host/run/outcome.hpp"
#include "host/run/progress.hpp"
#include "host/run/run.hpp"
#include "host/run/run_directory.hpp"
#include "host/run/stop.hpp"
#include "host/run/time_limit.hpp"
#include "host/study/study_status.hpp"

namespace widedeq {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// stderr, and log.txt of the study, which all its processes write to.
class StudyLog {
 public:
  explicit StudyLog(const std::string& directory) {
    const std::string file = directory + "/log.txt";
    try {
      file_ = std::make_shared<spdlog::logger>(
          "study", std::make_shared<spdlog::sinks::basic_file_sink_st>(file));
    } catch (const spdlog::spdlog_ex& error) {
      throw Failure(ExitCode::io, "cannot make the log", file, error.what());
    }
    file_->set_pattern("%Y-%m-%d %H:%M:%S.%e " + host_name() + " %P %v");
    file_->flush_on(spdlog::level::info);
    file_->set_error_handler([](const std::string&) {});  // a full disk shows elsewhere
  }
  void say(const std::string& text) {
    record(text);
    std::fputs((text + "\n").c_str(), stderr);
  }
  void record(const std::string& text) { file_->info("{}", text); }

 private:
  std::shared_ptr<spdlog::logger> file_;
};

std::string label_of(const StudyCell& cell) {
  return fmt::format("cell {}, {}", cell.number, cell.describe());
}

std::string plural(std::size_t count) {
  return fmt::format("{} cell{}", count, count == 1 ? "" : "s");
}

/// A cell's directory may hold what somebody else has put there.
void require_same_run(const StudyCell& cell) {
  const auto before = stored_config(cell.directory);
  if (!before) return;
  TrainConfig now = cell.config;
  keep_choices(now, *before);
  now.threads = before->threads;
  const auto changes = changes_between(config_json(*before), config_json(now));
  if (!changes.empty())
    throw Failure(ExitCode::usage, "the directory holds another run: " + describe(changes),
                  cell.directory, "move it away, and the cell will be done");
}

/// What to make of a cell that somebody seems to be at.
enum class Claims : std::uint8_t {
  believed,  // it is his
  tested,    // only the lock can tell: he may be dead
};

/// How an attempt at a cell ended.
enum class Ending : std::uint8_t { done, failed, busy, stopped };

class Session {
 public:
  Session(const Study& study, const std::vector<CellPlan>& plan, const StudyOptions& options)
      : study_(study), plan_(plan), options_(options), log_(study.directory) {}

  StudySummary run();

 private:
  const StudyCell& cell(int number) const { return study_.cells[index(number)]; }
  static std::size_t index(int number) { return static_cast<std::size_t>(number); }

  /// What is left of the cells; says so.
  std::vector<int> look();
  /// Whether a failed cell is to be begun again: it had failed when it was first looked at, and
  /// nobody has tried again since.
  bool is_to_retry(int number, const CellState& state) const;
  /// Attempts the cells in order, until told to stop. Returns those that others are at.
  std::vector<int> attempt_all(const std::vector<int>& numbers, Claims claims);
  Ending attempt(int number, Claims claims);
  /// Runs a cell that is left to do, from the beginning or from where it was left, if nobody has
  /// tried it since it was in that state.
  RunSummary run_cell(const StudyCell& cell, Resume resume, const CellState& state) const;
  enum class When : std::uint8_t { now, before };
  Ending fail(const StudyCell& cell, int exit_code, const std::string& reason, When when);
  bool is_time_to_stop(int number) const;
  void say_done(const StudyCell& cell, const RunSummary& summary, double seconds);
  std::string left() const;

  const Study& study_;
  const std::vector<CellPlan>& plan_;
  const StudyOptions& options_;
  StudyLog log_;
  StudySummary summary_;
  std::vector<int> todo_;                          // not ended yet
  std::map<int, std::string> outcomes_;            // CellState::outcome as it was at first
  double seconds_spent_ = 0.0, cost_spent_ = 0.0;  // on cells done whole in this session
};

std::vector<int> Session::look() {
  std::vector<int> todo, settled;
  for (const int number : options_.cells) {
    const CellState state = state_of(cell(number));
    const bool has_failed = state.status == CellStatus::failed && is_result(state.exit_code);
    outcomes_[number] = state.outcome;
    const bool is_settled =
        state.status == CellStatus::done || (has_failed && !options_.retry_failed);
    (is_settled ? settled : todo).push_back(number);
  }
  const std::string some = options_.cells.size() < study_.cells.size()
                               ? fmt::format("{} of ", options_.cells.size())
                               : "";
  log_.say(fmt::format("{}{}, {} to do: {}", some, plural(study_.cells.size()), todo.size(),
                       study_.directory));
  for (const int number : settled)  // nothing to do but to count them
    attempt(number, Claims::believed);
  return todo;
}

bool Session::is_to_retry(int number, const CellState& state) const {
  return options_.retry_failed && outcomes_.at(number) == state.outcome;
}

bool Session::is_time_to_stop(int number) const {
  if (stop_requested()) return true;
  // A run saves its weights and a checkpoint before the time is over; see host/run/epochs.cpp.
  const double saving = seconds_to_stop(plan_[index(number)].work.width);
  return !has_time(cell(number).config.max_walltime, saving);
}

RunSummary Session::run_cell(const StudyCell& cell, Resume resume, const CellState& state) const {
  TrainConfig config = cell.config;
  const auto before = stored_config(cell.directory);
  if (before && resume == Resume::exact) config.threads = before->threads;
  // Whoever is at it may just be writing why he failed: that has not been looked at.
  const bool has_failed = state.status == CellStatus::failed;
  const std::string& seen = has_failed ? state.outcome : outcomes_.at(cell.number);
  return widedeq::run(std::move(config), resume, options_.command_line,
                      OneOfMany{label_of(cell), seen});
}

Ending Session::fail(const StudyCell& cell, int exit_code, const std::string& reason, When when) {
  summary_.failed.push_back({cell.number, exit_code, reason});
  log_.say(fmt::format("{}: failed{}: {}", label_of(cell), when == When::before ? " before" : "",
                       reason));
  return Ending::failed;
}

std::string Session::left() const {
  if (todo_.empty()) return "";
  std::string text = fmt::format("; {} left", todo_.size());
  double cost = 0.0;
  for (const int number : todo_)
    cost += plan_[index(number)].cost;
  if (cost_spent_ > 0.0) text += ", about " + format_duration(cost * seconds_spent_ / cost_spent_);
  return text;
}

void Session::say_done(const StudyCell& cell, const RunSummary& summary, double seconds) {
  ++summary_.done;
  const std::string loss =
      summary.losses.empty() ? "" : fmt::format(", loss {:.4g}", summary.losses.back());
  log_.say(
      fmt::format("{}: done in {}{}{}", label_of(cell), format_seconds(seconds), loss, left()));
}

Ending Session::attempt(int number, Claims claims) {
  const StudyCell& cell = this->cell(number);
  const CellState state = state_of(cell);
  const auto start = Clock::now();
  try {
    if (state.status == CellStatus::done) {
      require_same_run(cell);
      ++summary_.done;
      return Ending::done;
    }
    if (state.status == CellStatus::running && claims == Claims::believed) return Ending::busy;
    Resume resume = options_.when_changed == WhenChanged::go_on ? Resume::inexact : Resume::exact;
    if (state.status == CellStatus::failed && is_result(state.exit_code)) {
      if (!is_to_retry(number, state)) return fail(cell, state.exit_code, state.note, When::before);
      resume = Resume::again;
    }
    if (state.has_lost_records) {
      log_.say(label_of(cell) + ": begun again: it " + state.note);
      resume = Resume::again;
    }
    // How wide weights of a file are is known here alone; a run of others looks for itself.
    if (cell.config.weights_from_file())
      require_memory(plan_[index(number)].memory, "call the study again where there is more");
    log_.record(label_of(cell) + ": begun");
    RunSummary run;
    try {
      run = run_cell(cell, resume, state);
    } catch (const CannotResume& changed) {
      if (options_.when_changed != WhenChanged::begin_again) throw;
      log_.say(label_of(cell) + ": begun again: " + changed.what());
      run = run_cell(cell, Resume::again, state);
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (run.stopped) {
      log_.say(fmt::format("{}: stopped before epoch {}, with a checkpoint", label_of(cell),
                           run.losses.size()));
      return Ending::stopped;
    }
    if (run.was_done) {  // by another process, since it was looked at
      ++summary_.done;
      return Ending::done;
    }
    std::erase(todo_, number);
    if (state.status == CellStatus::waiting) {
      seconds_spent_ += seconds;
      cost_spent_ += plan_[index(number)].cost;
    }
    say_done(cell, run, seconds);
    return Ending::done;
  } catch (const Busy&) {
    log_.record(label_of(cell) + ": in other hands");
    return Ending::busy;
  } catch (const std::exception& error) {
    const Outcome outcome = outcome_of(error);
    if (outcome.exit_code == static_cast<int>(ExitCode::stopped)) return Ending::stopped;
    if (outcome.exit_code == static_cast<int>(ExitCode::io)) {
      log_.record(label_of(cell) + ": " + outcome.sentence);
      throw;
    }
    // Another process has begun the cell while this one was about to, and may be done with it.
    const CellState now = state_of(cell);
    const bool is_own = now.status == CellStatus::failed && now.note == outcome.sentence;
    if (state.status == CellStatus::waiting && now.status != CellStatus::waiting && !is_own)
      return Ending::busy;
    return fail(cell, outcome.exit_code, outcome.sentence, When::now);
  }
}

std::vector<int> Session::attempt_all(const std::vector<int>& numbers, Claims claims) {
  std::vector<int> busy;
  for (const int number : numbers) {
    if (is_time_to_stop(number)) {
      log_.say(stop_requested() ? "stopped" : "stopped: there is no time left for another cell");
      summary_.stopped = true;
      return {};
    }
    const Ending ending = attempt(number, claims);
    if (ending == Ending::stopped) {
      summary_.stopped = true;
      return {};
    }
    if (ending == Ending::busy) {
      busy.push_back(number);
    } else {
      std::erase(todo_, number);
    }
  }
  return busy;
}

StudySummary Session::run() {
  const std::vector<int> todo = look();
  todo_ = todo;
  std::vector<int> busy = attempt_all(todo, Claims::believed);
  // Whoever seemed to be at them may be done, or dead.
  if (!busy.empty()) busy = attempt_all(busy, Claims::tested);
  if (options_.wait && !busy.empty())
    log_.say(fmt::format("waiting for {} in other hands", plural(busy.size())));
  while (options_.wait && !busy.empty()) {
    constexpr int pause = 20;
    for (int i = 0; i < pause && !stop_requested(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    busy = attempt_all(busy, Claims::believed);
  }
  for (const int number : busy) {
    const CellState state = state_of(cell(number));
    log_.say(fmt::format("{}: in other hands: {}", label_of(cell(number)),
                         state.note.empty() ? "just now" : state.note));
  }
  summary_.busy = static_cast<int>(busy.size());
  std::ranges::sort(summary_.failed, {}, &FailedCell::number);
  return std::move(summary_);
}

}  // namespace

StudySummary run_study(const Study& study, const std::vector<CellPlan>& plan,
                       const StudyOptions& options) {
  return Session(study, plan, options).run();
}

bool is_finished(const Study& study) {
  return std::ranges::all_of(study.cells, [](const StudyCell& cell) {
    const CellState state = state_of(cell);
    return state.status == CellStatus::done ||
           (state.status == CellStatus::failed && is_result(state.exit_code));
  });
}

}  // namespace widedeq
