// Chunks, warm starts and audits from sizes and tolerance alone; see training_plan.hpp.
#include "host/training_plan.hpp"

#include <algorithm>

#include "host/drift.hpp"

namespace widedeq {
namespace {

/// Whether so many warm epochs leave of the tolerance what their solves need.
bool has_room(double epochs, Index width, Precision precision, double tolerance) {
  return drift_after(epochs, epochs * sweeps_to_expect, width, precision, tolerance) <=
         most_drift * tolerance;
}

Index chunk_of(Index samples, Index width, bool can_start_warm, const TrainerOptions& how) {
  constexpr Index small = 1024;                   // products gain nothing from more columns
  constexpr Index largest = Index{32} << 20;      // entries of a matrix, of which mixed has 18
  constexpr Index warm_most = 3, warm_share = 2;  // n / m
  if (how.chunk > 0) return std::min(samples, how.chunk);
  // Warm starts want all samples at once. They pay where following an update, two n x n Grams and
  // two products with them, costs less than they save. (Measured, 2 cores, Zen 5, mixed, mean
  // seconds of 10 epochs in chunks and in one: 1024 x 1100 0.080 and 0.060, 2048 x 2000 0.54 and
  // 0.39, 4096 x 2000 1.91 and 1.21; 2048 x 4000 1.05 and 1.11, 1024 x 4000 0.30 and 0.44.)
  const bool at_once =
      warm_share * samples <= warm_most * width && samples <= largest / width && can_start_warm;
  if (samples <= small || at_once) return samples;
  // No part much smaller than the others, and a batch that fits is one.
  const auto equal_parts = [](Index count) {
    const Index parts = (count + small - 1) / small;
    return (count + parts - 1) / parts;
  };
  if (how.batch > small) return equal_parts(std::min(samples, how.batch));
  return std::max(how.batch, equal_parts(samples));
}

/// The audit comes with the last epoch after which there would be no room for another one.
int audit_interval(Index width, Precision precision, double tolerance, int most) {
  Index interval = 1, too_long = Index{most} + 1;
  while (too_long - interval > 1) {
    const Index middle = interval + (too_long - interval) / 2;
    const bool fits = has_room(static_cast<double>(middle), width, precision, tolerance);
    (fits ? interval : too_long) = middle;
  }
  return static_cast<int>(interval);
}

}  // namespace

TrainingPlan plan_training(Index samples, Index width, Precision precision, double tolerance,
                           const TrainerOptions& how) {
  // One epoch from audit to audit is enough: a warm start saves more than an audit costs, two
  // products in double for each solve.
  const bool can_start_warm = how.warm_start && has_room(1.0, width, precision, tolerance);
  TrainingPlan plan;
  plan.chunk = chunk_of(samples, width, can_start_warm, how);
  plan.starts_warm = can_start_warm && plan.chunk == samples;
  plan.audit_every = audit_interval(width, precision, tolerance, how.audit_every);
  return plan;
}

}  // namespace widedeq
