// Everything a run needs before there is a directory: whatever fails here leaves nothing behind.
#pragma once

#include <memory>
#include <vector>

#include "host/data/dataset.hpp"
#include "host/gradient_flow.hpp"
#include "host/gram_monitor.hpp"
#include "host/held_out.hpp"
#include "host/run/config.hpp"
#include "host/run/record.hpp"
#include "host/trainer.hpp"

namespace widedeq {

/// The data of a resolved configuration, loaded and checked: no sample of zeros, no two parallel
/// ones. Throws Failure as load_dataset.
Dataset load_data(const TrainConfig& config);

/// A run before the weights: what it takes to say what it will need.
struct PlannedRun {
  TrainConfig config;  // resolved; without a width where a weights file has it
  Dataset data;
  std::unique_ptr<Backend> backend;
};

/// Chooses the precision that is left open, and checks tolerances against it. Throws Failure
/// (usage).
void check_numerics(TrainConfig& config, const Backend& backend);

/// Checks the configuration, loads and checks the data. Throws Failure and Unsupported.
PlannedRun plan(TrainConfig config);

struct PreparedRun {
  TrainConfig config;  // resolved: it names the width, threads, precision and backend in use
  RunFacts facts;
  Dataset data;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Model> model;
  std::unique_ptr<Trainer> trainer;
  std::unique_ptr<GradientFlow> flow;    // none where gradient descent trains
  std::unique_ptr<GramMonitor> monitor;  // none when no Gram will be due
  std::unique_ptr<HeldOut> held_out;     // none without held-out samples
};

/// Whether epoch's Gram is wanted: every gram_every epochs, and the first one for the learning rate
/// `auto` whatever gram_every says.
bool is_gram_due(const TrainConfig& config, int epoch);

/// Where the weights come from.
enum class WeightsFrom : std::uint8_t {
  config,      // drawn, or read from the file the configuration names
  checkpoint,  // about to be restored: a file is not looked at
};

/// Draws or reads the weights, and allocates. What comes of it can be planned again: {config, data,
/// backend} prepare the same. Throws Failure, Unsupported and std::bad_alloc.
PreparedRun prepare(PlannedRun plan, WeightsFrom from = WeightsFrom::config);
/// The same with these weights.
PreparedRun prepare(PlannedRun plan, const Weights& weights);

}  // namespace widedeq
