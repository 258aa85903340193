// One run's training: what it works with, what it carries from epoch to epoch, and its checkpoints.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/operator_norm.hpp"
#include "host/run/checkpoints.hpp"
#include "host/run/gram_journal.hpp"
#include "host/run/prepare.hpp"
#include "host/run/progress.hpp"
#include "host/run/run_directory.hpp"
#include "host/run/sink.hpp"

namespace widedeq {

/// The step was halved before the update of an epoch.
struct Halving {
  int epoch = 0;
  std::string reason;
  int replaces = 0;  // halvings at later epochs that were given up for it
};

/// What the loop itself carries from epoch to epoch; the rest is in model, trainer and journal.
struct TrainingState {
  int epoch = 0;                       // the next one
  std::optional<double> first_eta;     // none until the first Gram, where it says the learning rate
  std::optional<double> eta;           // after halvings
  std::vector<double> losses;          // of every epoch before
  std::vector<double> first_residual;  // r at epoch 0; none where steps have changed since
  std::optional<double> first_norm;    // ||A||_2 / sqrt(m) at the first Gram
  int last_norm_epoch = 0;             // when it was last looked at
  OperatorNorm norm;                   // which looks
  EpochScores first_scores, last_scores;
  std::vector<std::int64_t> starts;  // where in metrics.jsonl the records of epochs begin
  std::vector<Halving> halvings;     // ascending
  int exact_since = 0;               // there is no way back to an epoch before
  FlowState flow;                    // where gradient flow stands
  bool weights_are_good = false;     // there has been an update, and it went well; not saved

  /// How often the step was halved, given up or not.
  int times_halved() const;
  /// Where an epoch that has begun has its records, in bytes.
  std::uint64_t start_of(int begun) const {
    return static_cast<std::uint64_t>(starts.at(static_cast<std::size_t>(begun)));
  }
  void transfer(Archive& archive);
};

struct Training {
  PreparedRun& run;
  const RunDirectory& directory;
  Sink& sink;
  Progress& progress;
  Checkpoints checkpoints;
  std::unique_ptr<GramJournal> journal = nullptr;
  TrainingState state = {};
  double longest_epoch = 0.0, longest_save = 0.0;  // seconds
  int saved_epoch = -1;                            // of the newest checkpoint of this session
};

/// ||A||_2 / sqrt(m) from below, as A is now; the next look starts from this one's.
double estimate_norm(Training& training);

/// A journal of the run's monitor.
void open_journal(Training& training);

/// Frees model, trainer, monitor and journal.
void release(Training& training);

/// Epochs from state.epoch to `end`; fewer when a stop is asked for or the time runs out. Writes
/// checkpoints when they are due. Throws Divergence, Failure and std::bad_alloc.
void train(Training& training, int end);

/// What comes of a checkpoint whose file cannot be written: Failure (io), or a warning, for those
/// before are still there and the next may succeed.
enum class IfUnwritable { fail, warn };

/// Writes the checkpoint of state.epoch unless there is one. First the Gram in flight and all
/// records get to the disk: where they cannot, or another process has the run, it is Failure (io)
/// in any case.
void save_checkpoint(Training& training, IfUnwritable unwritable = IfUnwritable::fail);

/// What a checkpoint says of the run it is of.
struct CheckpointOrigin {
  Json identity;  // host/run/identity.hpp
  Json settings;  // config_json()
  SinkMark mark;  // metrics.jsonl at that time
};

/// Throws Failure: io, bad_data.
CheckpointOrigin origin_of(CheckpointFileReader& file, Backend& backend);

/// Takes weights, states and Grams from a checkpoint. What throws may leave the run half restored.
void restore(Training& training, CheckpointFileReader& file);

/// Starts from epoch 0; without a record of the run where `auto` waits for the first Gram, which
/// says the learning rate.
void begin(Training& training);

/// Takes only what does not depend on the configuration's numerics: the weights, by way of doubles,
/// and the history. `before` is the configuration the checkpoint was written with.
void restore_weights(Training& training, CheckpointFileReader& file, const TrainConfig& before);

/// Goes back to the state before an epoch that has been: prepares the run anew, takes the newest
/// checkpoint that is not later, and computes the epochs from there again; fewer when a stop is
/// asked for. Records stay as they are, the sink paused; checkpoints stay too. Returns false,
/// nothing done, when history cannot be computed again because it was an inexact one and the
/// checkpoint is gone, or when it is not known with which weights a file has given it began. Throws
/// Failure; bad_data where they are others now.
bool go_back(Training& training, int epoch);

}  // namespace widedeq
