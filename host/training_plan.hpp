// How training goes about its samples: how many at a time, and whether solves start where the last
// epoch's ended.
#pragma once

#include "kernels/backend.hpp"

namespace widedeq {

struct TrainerOptions {
  TrainerOptions(Index samples_at_a_time = 0)
      : chunk(samples_at_a_time) {}  // NOLINT: a chunk will do
  Index chunk;                       // samples at a time; 0: as plan_training() has it
  Index batch = 0;                   // the samples of evaluate_batch(), where there are to be such
  bool warm_start = true;  // start solves where the last epoch's ended, when there is one chunk
  int audit_every = 25;  // warm epochs to an audit; fewer where the tolerance has no room for more
};

struct TrainingPlan {
  /// Samples at a time: as the options say; else all, where warm starts are possible and pay, and
  /// m x n stays moderate; else equal parts of at most 1024, of a batch where there are batches.
  Index chunk = 0;
  /// Whether every epoch but the first is to start warm: one chunk holds all samples, and the
  /// tolerance leaves room for the rounding that states gather between audits.
  bool starts_warm = false;
  /// For estimates: from how many warm epochs one is audited, if they take as many sweeps as is to
  /// be expected; as the options say, or fewer. (A run goes by AuditSchedule.)
  int audit_every = 1;
};

TrainingPlan plan_training(Index samples, Index width, Precision precision, double tolerance,
                           const TrainerOptions& how);

/// Sweeps of a warm epoch, for one that has not been yet.
inline constexpr int sweeps_to_expect = 8;

}  // namespace widedeq
