// A run's directory: made for one run, and only where nothing else is; one process at a time.
//
//   config.toml       the resolved configuration; `train --config` repeats the run with it
//   provenance.json   what computed it: version, build, machine, time, command line, sessions
//   metrics.jsonl     one record a line (host/run/record.hpp)
//   gram/             eigenvalues-000010.npy (n), ascending, of the Gram of epoch 10, and so on;
//                     ntk-first.npy and ntk-last.npy, state-first.npy (Z'Z) and adjoint-first.npy
//                     (L'L/m), (n, n) each
//   checkpoints/      epoch-000040.ckpt, the state before epoch 40 (host/run/checkpoints.hpp)
//   weights.npz       A, W, u, v after the last update
//   log.txt           what was said on the terminal, with times
//   STATUS            running, done, stopped, or failed: REASON
//   outcome.json      of a failed one: exit code, reason, when and where (host/run/outcome.hpp)
//   LOCK              who is at it (host/run/run_lock.hpp); gone when nobody is
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/run/outcome.hpp"
#include "host/run/run_lock.hpp"
#include "kernels/matrix_view.hpp"

namespace widedeq {

class RunDirectory {
 public:
  enum class Mode : std::uint8_t { make, go_on };

  /// Looks whether a run directory could be made there, and changes nothing: to be asked before the
  /// work of loading data. Throws Failure: usage when the place is taken (by a run, by other files,
  /// by something that is no directory), io when it cannot be written to.
  static void check(const std::string& path);

  /// Whether there are records of a run, metrics.jsonl.
  static bool has_records(const std::string& path);
  /// Whether a run was begun there, however far it came.
  static bool holds_run(const std::string& path);

  /// make: makes the directory and its parents, takes its lock, STATUS becomes "running". Throws as
  /// check().
  /// go_on: takes the lock of a run that is there and removes what a killed process left half
  /// written. Throws Busy when another process holds the lock, Failure (io).
  RunDirectory(const std::string& path, Mode mode);

  const std::filesystem::path& path() const { return path_; }
  std::string file(std::string_view name) const { return (path_ / name).string(); }

  /// Writes a file, whole or not at all. Throws Failure (io).
  void write_text(std::string_view name, std::string_view text) const;
  /// The line of STATUS, newline excluded; "unknown" when there is none. Throws Failure (io).
  std::string status() const;
  /// The text of outcome.json, empty where there is none. Throws Failure (io).
  std::string outcome() const;
  /// Removes the run that is there. What is killed on the way leaves one that begins again, or one
  /// that still has failed: checkpoints go first, outcome.json goes last. Throws Failure (io).
  void clear() const;
  /// Also removes outcome.json, which is of a failed run. Throws Failure (io).
  void set_status(std::string_view status) const;
  /// Writes outcome.json, then STATUS, which becomes "failed: SENTENCE", if that is possible at
  /// all. Where there is no space for another file, which may be the reason, the STATUS there is
  /// gets overwritten.
  void mark_failed(const Outcome& outcome) const noexcept;

  /// Throws Failure (io) when another process has taken the directory over: this one was suspended
  /// for too long, and must not write any more.
  void require_held() const;

 private:
  std::filesystem::path path_;
  std::unique_ptr<RunLock> lock_;
};

}  // namespace widedeq
