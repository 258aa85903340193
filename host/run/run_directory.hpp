// A run's directory: made for one run, and only where nothing else is.
//
//   config.toml       the resolved configuration; `train --config` repeats the run with it
//   provenance.json   what computed it: version, build, machine, time, command line
//   metrics.jsonl     one record a line (host/run/record.hpp)
//   gram/             eigenvalues-000010.npy (n), ascending, of the Gram of epoch 10, and so on;
//                     ntk-first.npy and ntk-last.npy (n, n)
//   weights.npz       A, W, u, v after the last update
//   log.txt           what was said on the terminal, with times
//   STATUS            running, done, stopped, or failed: REASON
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/matrix_view.hpp"

namespace widedeq {

class RunDirectory {
 public:
  /// Looks whether a run directory could be made there, and changes nothing: to be asked before the
  /// work of loading data. Throws Failure: usage when the place is taken (by a run, by other files,
  /// by something that is no directory), io when it cannot be written to.
  static void check(const std::string& path);

  /// Makes the directory and its parents, with STATUS "running". Throws as check().
  explicit RunDirectory(const std::string& path);

  const std::filesystem::path& path() const { return path_; }
  std::string file(std::string_view name) const { return (path_ / name).string(); }

  /// Writes a file, whole or not at all. Throws Failure (io).
  void write_text(std::string_view name, std::string_view text) const;
  /// The line of STATUS, newline excluded. Throws Failure (io).
  void set_status(std::string_view status) const;
  /// STATUS becomes "failed: REASON" if that is possible at all. Where there is no space for
  /// another file, which may be the reason, the one there is gets overwritten.
  void mark_failed(std::string_view reason) const noexcept;

 private:
  std::filesystem::path path_;
};

}  // namespace widedeq
