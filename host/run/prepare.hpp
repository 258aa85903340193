// Everything a run needs before there is a directory: whatever fails here leaves nothing behind.
#pragma once

#include <memory>
#include <vector>

#include "host/data/dataset.hpp"
#include "host/gram_monitor.hpp"
#include "host/run/config.hpp"
#include "host/run/record.hpp"
#include "host/trainer.hpp"

namespace widedeq {

/// A run before the weights: what it takes to say what it will need.
struct PlannedRun {
  TrainConfig config;  // resolved; without a width where a weights file has it
  Dataset data;
  std::unique_ptr<Backend> backend;
};

/// Checks the configuration, loads and checks the data. Throws Failure and Unsupported.
PlannedRun plan(TrainConfig config);

struct PreparedRun {
  TrainConfig config;  // resolved: it names the width, threads, precision and backend in use
  RunFacts facts;
  std::vector<double> targets;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Model> model;
  std::unique_ptr<Trainer> trainer;
  std::unique_ptr<GramMonitor> monitor;  // none when no Gram will be due
};

/// Whether epoch's Gram is wanted: every gram_every epochs, and the first one for the learning rate
/// `auto` whatever gram_every says.
bool is_gram_due(const TrainConfig& config, int epoch);

/// plan(), then draws or reads the weights, and allocates.
/// Called again with the configuration that came of it, it prepares the same. Throws Failure,
/// Unsupported and std::bad_alloc. `weights` are taken instead of those the configuration names.
PreparedRun prepare(TrainConfig config, const Weights* weights = nullptr);

}  // namespace widedeq
