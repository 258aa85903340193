// What a cell's files and lock say of it, and the table of all; see study_status.hpp.
#include "host/study/study_status.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "host/run/json.hpp"
#include "host/run/machine.hpp"
#include "host/run/run_directory.hpp"
#include "host/run/run_lock.hpp"

namespace widedeq {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view failed = "failed: ";

/// A lock whose holder is not known to be dead. A guess where he is on another machine, whose
/// clock may differ; whoever wants to be sure takes the lock.
bool seems_alive(const LockHolder& holder) {
  constexpr std::int64_t silence = 60;  // seconds; heartbeats come every 10
  const bool is_here = holder.host == host_name();
  const auto process = static_cast<pid_t>(holder.process);
  if (is_here && ::kill(process, 0) != 0 && errno == ESRCH) return false;
  return holder.age() < silence;
}

/// A field of a file that somebody else may have written.
std::optional<int> integer_in(const Json& object, const char* name) {
  const auto entry = object.find(name);
  return entry != object.end() && entry->is_number_integer() ? std::optional(entry->get<int>())
                                                             : std::nullopt;
}

std::string first_line(const fs::path& file) {
  std::ifstream stream(file);
  std::string line;
  std::getline(stream, line);
  return line;
}

std::string text_of_file(const fs::path& file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace

bool is_result(int exit_code) {
  return exit_code == 4 || exit_code == 5;  // ExitCode::diverged, not_converged
}

CellState state_of(const StudyCell& cell) {
  const fs::path place(cell.directory);
  const auto holder = read_lock(cell.directory);
  const std::string status = first_line(place / "STATUS");
  CellState state;
  if (status.starts_with(failed))  // which outcome.json is written before: it is at least as new
    state.outcome = text_of_file(place / "outcome.json");
  if (holder && seems_alive(*holder)) {
    state.status = CellStatus::running;
    state.note = holder->describe();
  } else if (status == "done" && !RunDirectory::has_records(cell.directory)) {
    state.note = "was done, and its metrics.jsonl is gone";
    state.has_lost_records = true;
  } else if (status == "done") {
    state.status = CellStatus::done;
  } else if (status == "stopped") {
    state.status = CellStatus::stopped;
  } else if (status.starts_with(failed)) {
    state.status = CellStatus::failed;
    state.note = status.substr(failed.size());
    const Json outcome = Json::parse(state.outcome, nullptr, false);
    // One that could not be written with STATUS is of another reason.
    if (outcome.is_object() && text_of(outcome, "reason") == state.note)
      state.exit_code = integer_in(outcome, "exit_code").value_or(0);
  } else {
    state.status = status.empty() && !holder ? CellStatus::waiting : CellStatus::interrupted;
  }
  return state;
}

std::string_view name_of(CellStatus status) {
  constexpr std::array<std::string_view, 6> names{"waiting", "running", "interrupted",
                                                  "stopped", "failed",  "done"};
  return names.at(static_cast<std::size_t>(status));
}

std::optional<LastEpoch> last_epoch(const StudyCell& cell) {
  constexpr std::streamoff enough = 16'384;  // a record is some hundred bytes
  std::ifstream file(cell.directory + "/metrics.jsonl", std::ios::binary | std::ios::ate);
  const std::streamoff size = file.tellg();
  if (size <= 0) return std::nullopt;
  file.seekg(std::max<std::streamoff>(0, size - enough));
  std::optional<LastEpoch> last;
  for (std::string line; std::getline(file, line);) {  // the first one may be a part
    const Json record = Json::parse(line, nullptr, false);
    if (!record.is_object() || text_of(record, "kind") != "epoch") continue;
    if (!record.contains("loss") || !record["loss"].is_number()) continue;
    last = LastEpoch{integer_in(record, "epoch").value_or(0), record["loss"].get<double>()};
  }
  return last;
}

namespace {

std::string counts(const std::array<int, 6>& count, std::size_t cells,
                   const std::string& directory) {
  std::string text = fmt::format("{} cell{}: ", cells, cells == 1 ? "" : "s");
  bool is_first = true;
  for (std::size_t i = count.size(); i-- > 0;) {
    if (count[i] == 0) continue;
    text +=
        fmt::format("{}{} {}", is_first ? "" : ", ", count[i], name_of(static_cast<CellStatus>(i)));
    is_first = false;
  }
  return text + ": " + directory + "\n";
}

}  // namespace

std::string format_status(const Study& study) {
  std::size_t wide = 4;
  for (const StudyCell& cell : study.cells)
    wide = std::max(wide, cell.describe().size());
  std::string table = fmt::format("{:>6}  {:<{}}  {:>11}  {:>11}  {:<11}\n", "cell", "", wide,
                                  "epochs", "loss", "status");
  std::array<int, 6> count{};
  for (const StudyCell& cell : study.cells) {
    const CellState state = state_of(cell);
    ++count.at(static_cast<std::size_t>(state.status));
    const auto last = last_epoch(cell);
    table += fmt::format("{:>6}  {:<{}}  {:>11}  {:>11}  {}{}\n", cell.number, cell.describe(),
                         wide, fmt::format("{}/{}", last ? last->epoch + 1 : 0, cell.config.epochs),
                         last ? fmt::format("{:.4g}", last->loss) : "-", name_of(state.status),
                         state.note.empty() ? "" : ": " + state.note);
  }
  return table + "\n" + counts(count, study.cells.size(), study.directory);
}

std::string format_counts(const Study& study) {
  std::array<int, 6> count{};
  for (const StudyCell& cell : study.cells)
    ++count.at(static_cast<std::size_t>(state_of(cell).status));
  return counts(count, study.cells.size(), study.directory);
}

}  // namespace widedeq
