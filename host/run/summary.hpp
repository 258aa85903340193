// What a run comes to, and the table at its end.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host/gram_monitor.hpp"
#include "host/run/record.hpp"

namespace widedeq {

struct RunSummary {
  std::string directory;
  bool stopped = false;                   // by a signal or for lack of time, before its last epoch
  bool was_done = false;                  // there was nothing left to do
  std::string passed_over;                // then: settings that have changed, to no effect
  bool is_flow = false;                   // epochs are the learning rate in time
  bool in_batches = false;                // losses are sums over batches
  int halvings = 0;                       // of the step
  double tolerance = 0.0;                 // of solves
  std::vector<double> losses;             // of every epoch, before its update
  EpochScores first_scores, last_scores;  // of the first epoch and of the last
  std::optional<double> learning_rate;    // none without an epoch
  std::vector<double> first_residual;     // r = yhat - y at epoch 0
  std::optional<GramStatistics> first_gram, last_gram;
};

/// Losses, eigenvalues, and the measured fall of the loss beside the one predicted from H(0), as
/// host/run/prediction.hpp defines them. Without the prediction when it would take long.
std::string summary_table(const RunSummary& summary);

}  // namespace widedeq
