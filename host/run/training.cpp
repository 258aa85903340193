// Checkpoints of a run: what goes into them, and the ways back; see training.hpp.
#include "host/run/training.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "host/failure.hpp"
#include "host/run/checkpoint_archive.hpp"
#include "host/run/identity.hpp"

namespace widedeq {
namespace {

void transfer_optional(Archive& archive, const char* name, std::optional<double>& value) {
  std::vector<double> values;
  if (value) values.push_back(*value);
  archive.numbers(name, values);
  value = values.empty() ? std::nullopt : std::optional(values.front());
}

void transfer_scores(Archive& archive, EpochScores& scores) {
  transfer_optional(archive, "error", scores.error);
  transfer_optional(archive, "test_loss", scores.test_loss);
  transfer_optional(archive, "test_error", scores.test_error);
  transfer_optional(archive, "operator_norm", scores.operator_norm);
}

void transfer_json(Archive& archive, const char* name, Json& value) {
  std::string text = to_line(value);
  archive.text(name, text);
  value = Json::parse(text, nullptr, false);
}

void transfer_origin(Archive& archive, CheckpointOrigin& origin) {
  archive.within("run", [&] {
    transfer_json(archive, "identity", origin.identity);
    transfer_json(archive, "settings", origin.settings);
    archive.integer("metrics_bytes", origin.mark.bytes);
    archive.integer("metrics_checksum", origin.mark.checksum);
  });
}

/// A checkpoint of a run that has gone back knows where records of this epoch began; those to come
/// will begin elsewhere.
void forget_later_starts(TrainingState& state) {
  state.starts.resize(std::min(state.starts.size(), static_cast<std::size_t>(state.epoch)));
}

/// Everything the epochs to come depend on.
void transfer_training(Archive& archive, Training& training) {
  archive.within("state", [&] { training.state.transfer(archive); });
  archive.within("model", [&] { training.run.model->transfer(archive); });
  archive.within("trainer", [&] { training.run.trainer->transfer(archive); });
  archive.within("grams", [&] { training.journal->transfer(archive); });
}

}  // namespace

void TrainingState::transfer(Archive& archive) {
  archive.integer("epoch", epoch);
  transfer_optional(archive, "first_eta", first_eta);
  transfer_optional(archive, "eta", eta);
  archive.numbers("losses", losses);
  archive.numbers("first_residual", first_residual);
  transfer_optional(archive, "first_norm", first_norm);
  archive.within("norm", [&] { norm.transfer(archive); });
  archive.within("first_scores", [&] { transfer_scores(archive, first_scores); });
  archive.within("last_scores", [&] { transfer_scores(archive, last_scores); });
  archive.integers("starts", starts);
  archive.integer("last_norm_epoch", last_norm_epoch);
  archive.integer("exact_since", exact_since);
  archive.within("flow", [&] { flow.transfer(archive); });
  std::size_t count = halvings.size();
  archive.integer("halvings", count);
  halvings.resize(count);
  for (std::size_t i = 0; i < count; ++i)
    archive.within(fmt::format("halving_{}", i), [&] {
      archive.integer("epoch", halvings[i].epoch);
      archive.text("reason", halvings[i].reason);
      archive.integer("replaces", halvings[i].replaces);
    });
}

int TrainingState::times_halved() const {
  int times = 0;
  for (const Halving& halving : halvings)
    times += 1 + halving.replaces;
  return times;
}

void save_checkpoint(Training& training, IfUnwritable unwritable) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  TrainingState& state = training.state;
  if (training.saved_epoch == state.epoch) return;
  training.directory.require_held();
  training.journal->wait();
  // An epoch that has begun already, and is to be computed again, has its records there.
  const auto epoch = static_cast<std::size_t>(state.epoch);
  const std::uint64_t bytes =
      state.starts.size() > epoch ? state.start_of(state.epoch) : training.sink.bytes();
  CheckpointOrigin origin{identity(training.run.facts), config_json(training.run.config),
                          training.sink.mark(bytes)};
  // The earliest state a halving may go back to, and what an inexact history begins with.
  const bool needs_way_back = training.run.config.needs_way_back() || state.exact_since > 0;
  try {
    const std::uint64_t size = training.checkpoints.write(
        state.epoch, needs_way_back ? std::optional(state.last_norm_epoch) : std::nullopt,
        [&](CheckpointFileWriter& file) {
          SavingArchive archive(*training.run.backend, file);
          transfer_origin(archive, origin);
          transfer_training(archive, training);
        });
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    training.longest_save = std::max(training.longest_save, seconds);
    training.saved_epoch = state.epoch;
    training.progress.note(fmt::format("checkpoint before epoch {}: {:.1f} MB in {:.2f} s",
                                       state.epoch, static_cast<double>(size) / 1e6, seconds));
  } catch (const Failure& failure) {
    if (unwritable == IfUnwritable::fail || failure.code() != ExitCode::io) throw;
    training.directory.require_held();
    training.progress.warn(failure.what());
  }
}

CheckpointOrigin origin_of(CheckpointFileReader& file, Backend& backend) {
  CheckpointOrigin origin;
  LoadingArchive archive(backend, file);
  transfer_origin(archive, origin);
  return origin;
}

void begin(Training& training) {
  TrainingState& state = training.state;
  state.first_eta = state.eta = training.run.facts.learning_rate =
      training.run.config.learning_rate;
  if (state.eta || training.run.config.epochs == 0)
    training.sink.write(run_record(training.run.config, training.run.facts));
}

void restore(Training& training, CheckpointFileReader& file) {
  LoadingArchive archive(*training.run.backend, file);
  transfer_training(archive, training);
  forget_later_starts(training.state);
  training.saved_epoch = training.state.epoch;
  if (!training.run.facts.learning_rate)
    training.run.facts.learning_rate = training.state.first_eta;
}

void restore_weights(Training& training, CheckpointFileReader& file, const TrainConfig& before) {
  const TrainConfig config = training.run.config;
  LoadingArchive archive(*training.run.backend, file);
  archive.within("state", [&] { training.state.transfer(archive); });
  forget_later_starts(training.state);
  release(training);
  // Masters in mixed are those of single precision, and mixed may not run here.
  TrainConfig readable = before;
  if (before.precision == Precision::mixed) readable.precision = Precision::fp32;
  PreparedRun old =
      prepare({readable, std::move(training.run.data), std::move(training.run.backend)},
              WeightsFrom::checkpoint);
  LoadingArchive old_archive(*old.backend, file);
  old_archive.within("model", [&] { old.model->transfer(old_archive); });
  const Weights weights = download_weights(*old.backend, *old.model);
  old.held_out.reset();
  old.monitor.reset();
  old.flow.reset();
  old.trainer.reset();
  old.model.reset();
  training.run = prepare({config, std::move(old.data), std::move(old.backend)}, weights);
  open_journal(training);
  LoadingArchive grams(*training.run.backend, file);
  grams.within("grams", [&] { training.journal->transfer(grams); });
}

double estimate_norm(Training& training) {
  const Model& model = *training.run.model;
  return training.state.norm.estimate(*training.run.backend, model.A.view()) /
         std::sqrt(static_cast<double>(model.width()));
}

void open_journal(Training& training) {
  training.journal = std::make_unique<GramJournal>(training.run.monitor.get(), training.directory,
                                                   training.sink, training.progress);
}

void release(Training& training) {
  training.journal.reset();
  training.run.held_out.reset();
  training.run.monitor.reset();
  training.run.flow.reset();
  training.run.trainer.reset();
  training.run.model.reset();
}

bool go_back(Training& training, int epoch) {
  const auto file = training.checkpoints.newest(
      epoch, [&](const Failure& failure) { training.progress.warn(failure.what()); });
  const int exact_since = training.state.exact_since;
  if (exact_since > 0 && (!file || file->epoch() < exact_since)) return false;
  const std::string weights = training.run.facts.weights_checksum;
  const bool reads_weights = !file && training.run.config.weights_from_file();
  if (reads_weights && weights.empty()) return false;

  const TrainingState gone = std::move(training.state);
  training.state = TrainingState();
  release(training);
  const TrainConfig config = training.run.config;
  training.run = prepare({config, std::move(training.run.data), std::move(training.run.backend)},
                         file ? WeightsFrom::checkpoint : WeightsFrom::config);
  if (reads_weights && training.run.facts.weights_checksum != weights)
    throw Failure(ExitCode::bad_data, "the weights are no longer those the run began with",
                  config.weights, "start it anew with the file as it was");
  training.run.facts.weights_checksum = weights;
  open_journal(training);
  TrainingState& state = training.state;
  state.first_eta = state.eta = config.learning_rate;
  if (file) restore(training, *file);
  training.saved_epoch = -1;
  state.starts.assign(gone.starts.begin(), gone.starts.begin() + epoch + 1);
  state.halvings = gone.halvings;
  if (state.epoch < epoch)
    training.progress.note(
        fmt::format("computing epochs {} to {} again, to get back to what they "
                    "came to",
                    state.epoch, epoch - 1));
  training.sink.pause();
  train(training, epoch);
  return true;
}

}  // namespace widedeq
