// The Grams of a run, from the monitor's thread to the files.
//
// A Gram is announced and its eigenvalues are saved as soon as it is done. Its record waits for a
// place that does not depend on time: before the next Gram is begun, or the end of the run, so that
// equal runs write equal metrics. For the same reason no Gram is skipped: the next one waits.
#pragma once

#include <optional>

#include "host/gram_monitor.hpp"
#include "host/run/progress.hpp"
#include "host/run/run_directory.hpp"
#include "host/run/sink.hpp"

namespace widedeq {

class GramJournal {
 public:
  /// Without a monitor, in a session that looks at no Gram, it keeps those of sessions before.
  GramJournal(GramMonitor* monitor, const RunDirectory& directory, Sink& sink, Progress& progress);

  /// Announces the Gram in flight if it is done; never waits. Throws what went wrong in computing
  /// it, and Failure (io).
  void look();
  /// Waits for the Gram in flight and announces it; its record is still to come. Throws as look().
  void wait();
  /// wait(), then writes the record of the last Gram if it is not written yet. Throws as look().
  void write_pending();
  /// Saves or restores the Grams announced so far, and those of the monitor. To be called after
  /// wait().
  void transfer(Archive& archive);
  /// Saves the last Gram as gram/ntk-last.npy. Throws Failure (io).
  void save_last() const;

  /// The first and the last Gram announced, empty before that.
  const std::optional<GramStatistics>& first() const { return first_; }
  const std::optional<GramStatistics>& last() const { return last_; }

 private:
  void announce(GramStatistics gram);

  GramMonitor* monitor_;
  const RunDirectory& directory_;
  Sink& sink_;
  Progress& progress_;
  std::optional<GramStatistics> first_, last_;
  bool unwritten_ = false;
  FirstGram carried_;  // where there is no monitor to keep it: there may be one again
};

}  // namespace widedeq
