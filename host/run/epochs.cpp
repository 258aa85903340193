// The epoch loop; see training.hpp.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "host/failure.hpp"
#include "host/run/guards.hpp"
#include "host/run/step.hpp"
#include "host/run/stop.hpp"
#include "host/run/time_limit.hpp"
#include "host/run/training.hpp"

namespace widedeq {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<double> minus(std::vector<double> a, const std::vector<double>& b) {
  for (std::size_t j = 0; j < a.size(); ++j)
    a[j] -= b[j];
  return a;
}

bool is_due(int every, int epoch) {
  return every > 0 && epoch % every == 0;
}

CertifyOptions certify_options(const TrainConfig& config) {
  CertifyOptions options;
  options.norm.draw = config.draw();
  return options;
}

/// Seconds that stopping takes: a checkpoint, and the weights, of about the same size.
double time_to_stop(const Training& training) {
  return training.longest_save > 0.0 ? 2.0 * training.longest_save
                                     : seconds_to_stop(training.run.facts.width);
}

bool is_time_to_stop(const Training& training) {
  if (stop_requested()) return true;
  const auto& limit = training.run.config.max_walltime;
  if (has_time(limit, 1.5 * training.longest_epoch + time_to_stop(training))) return false;
  training.progress.note(fmt::format("stopping: of {} there is no time left for another epoch",
                                     format_duration(*limit)));
  return true;
}

/// ||A||_2 / sqrt(m) from below; nothing when it is not due: every norm_every epochs, with every
/// Gram, and, in a run without Grams, as often as audits come at least.
std::optional<double> norm_if_due(Training& training, bool has_gram) {
  const TrainConfig& config = training.run.config;
  const int epoch = training.state.epoch;
  const bool is_guard = config.gram_every == 0 && is_due(config.audit_every, epoch);
  if (!has_gram && !is_guard && !is_due(config.norm_every, epoch)) return std::nullopt;
  return estimate_norm(training);
}

/// Where A stands. ||A - A(0)||_F costs a pass over A.
WeightNorms weight_norms(const Training& training, double operator_norm) {
  WeightNorms norms{operator_norm};
  if (const auto draw = training.run.config.draw())
    norms.distance = training.run.model->A.distance_from(*draw);
  return norms;
}

/// The share of misclassified samples, where there are classes; by the predictions an epoch has
/// seen.
std::optional<double> training_error(const Training& training, const Evaluation& seen) {
  const Dataset& data = training.run.data;
  if (data.class_targets.size() < 2) return std::nullopt;
  return classification_error(seen.predictions, data.targets, data.class_targets);
}

/// What held-out samples say of the weights as they are; nothing when they are not due.
EpochScores held_out_scores(Training& training, bool is_last) {
  const TrainConfig& config = training.run.config;
  const Dataset& data = training.run.data;
  EpochScores scores;
  const int epoch = training.state.epoch;
  if (!training.run.held_out || !(is_last || is_due(config.test_every, epoch))) return scores;

  const HeldOutScore test = training.run.held_out->evaluate(*training.run.model);
  require_solved(test, config, epoch);
  scores.test_loss = test.loss;
  if (data.class_targets.size() > 1)
    scores.test_error =
        classification_error(test.predictions, data.held_out.targets, data.class_targets);
  return scores;
}

/// Writes a checkpoint if one is due, `seconds` after the last one; not while epochs are computed
/// again.
bool keep_safe(Training& training, double seconds) {
  if (training.sink.is_paused()) return false;
  const CheckpointEvery& every = training.run.config.checkpoint_every;
  const bool by_epoch = every.epochs > 0 && training.state.epoch % every.epochs == 0;
  const bool by_time = every.seconds > 0.0 && seconds >= every.seconds;
  if (!by_epoch && !by_time) return false;
  save_checkpoint(training, IfUnwritable::warn);
  return true;
}

}  // namespace

// What a warm epoch in mixed costs, one m x m times m x n product being the unit:
//
//   int8   forward   1/2 + 1 for every sweep but the closing one, and 1/2; settling 1, or
//                    none where that may wait; the guess is made of what products have given before
//          adjoint   the same; settling 3 where units have switched
//          Samples that stop early leave products out.
//   fp32   A -= eta s (L diag r) Z'  1;  what follows it in P and Q  3 n/(2 m) each: a Gram at half
//          price and a thin product;  Phi and dW  d/m each. Where int8 is fast enough (AMX, GPUs)
//          all but Phi and, on CPUs, the Grams are six int8 products each
//          (kernels/digit_update.hpp)
//   bytes  m^2 for every product, 13 m^2 for a new plane (change 8, a look 5) and 9 m^2 for every
//          digit of it that is made and packed; 34 m n a sweep: P, Z and what they gain read and
//          written, increments
//
// Measured by `widedeq bench --stages epoch --shapes 4096x1000 --precision mixed --json FILE` (its
// products_int8, products_fp32), 14 epochs: 10.7 int8; fp32 1.76, by formula 1 + 3 n/m + 2 d/m =
// 1.76. Bytes are by formula alone: the machine at hand counts none.

void train(Training& training, int end) {
  const TrainConfig& config = training.run.config;
  TrainingState& state = training.state;
  Sink& sink = training.sink;
  GramJournal& journal = *training.journal;
  const int first = state.epoch;  // which has its checkpoint, if there are any
  auto last_save = Clock::now();

  for (; state.epoch < end; ++state.epoch) {
    const int epoch = state.epoch;
    if (epoch > first && keep_safe(training, seconds_since(last_save))) last_save = Clock::now();
    if (is_time_to_stop(training)) break;
    const auto start = Clock::now();
    const Range range(*training.run.backend, "epoch");
    training.directory.require_held();
    if (static_cast<int>(state.starts.size()) == epoch)  // not when it is computed again
      state.starts.push_back(static_cast<std::int64_t>(sink.bytes()));

    GramMonitor* const monitor = is_gram_due(config, epoch) ? training.run.monitor.get() : nullptr;
    if (monitor) {
      journal.write_pending();  // at most one Gram in flight
      monitor->begin(epoch);
    }

    // Z = relu(s A Z + Phi)    L = D o (u 1' + s A' L)    r = u'Z + v'Phi - y    loss = 1/2 |r|^2
    // of all samples: in batches only where something is asked of them all at once
    const bool in_batches = config.in_batches(training.run.facts.samples);
    const bool is_certificate_due = is_due(config.certify_every, epoch);
    const bool is_last = epoch + 1 == config.epochs;
    std::optional<Evaluation> now;
    if (!in_batches || monitor || is_certificate_due) {
      now = training.run.trainer->evaluate(monitor, is_last);
      require_solved(*now, config, epoch);
    }

    // H = s^2 (L'L) o (Z'Z) + (B'B) o (X'X)/m + Z'Z + Phi'Phi, while the next epochs run
    const auto norm = norm_if_due(training, monitor != nullptr);
    const bool is_awaited = !state.eta;  // the learning rate `auto` is this Gram's
    if (monitor)
      monitor->submit(*training.run.model, training.run.trainer->X(), weight_norms(training, *norm),
                      is_awaited);

    // q = gamma ||A||_2 / sqrt(m) < 1
    if (norm) {
      if (!state.first_norm) state.first_norm = norm;
      require_well_posed(*state.first_norm, *norm, config, epoch, state.last_norm_epoch);
      state.last_norm_epoch = epoch;
    }

    // eta = 1 / lambda_max(H(0))
    if (!state.eta) {
      journal.wait();
      training.run.facts.learning_rate = automatic_rate(*journal.first());
      state.first_eta = state.eta = training.run.facts.learning_rate;
      sink.write(run_record(config, training.run.facts));
    }
    for (const Halving& halving : state.halvings)
      if (halving.epoch == epoch) {
        *state.eta /= 2.0;
        sink.write(halved_record(epoch, *state.eta, halving.replaces, halving.reason));
      }
    // ||z - z*|| <= ||f(z) - z|| / (1 - q), q = gamma ||A||_2 / sqrt(m), and what follows for H
    if (is_certificate_due && !sink.is_paused())
      sink.write(
          certificate_record(epoch, certify(*training.run.backend, *training.run.model,
                                            *training.run.trainer, certify_options(config))));

    EpochScores scores = held_out_scores(training, is_last);
    if (is_due(config.norm_every, epoch)) scores.operator_norm = norm;
    if (epoch == 0 && now)
      state.first_residual = minus(now->predictions, training.run.data.targets);
    state.weights_are_good = false;

    // theta <- theta - eta dloss/dtheta,    theta = A, W, u, v; or as flow and batches have it
    const Step step = take_step(training, now);
    state.weights_are_good = true;
    training.directory.require_held();  // an epoch is long, and the records are one process's own

    const double seconds = seconds_since(start);
    training.longest_epoch = std::max(training.longest_epoch, seconds);
    scores.error = training_error(training, step.seen);
    if (epoch == 0) state.first_scores = scores;
    state.last_scores = scores;
    Json record = epoch_record(epoch, step.seen, scores, step.gradient_norm, seconds);
    add_to(record, step);
    sink.write(record);
    training.progress.epoch(epoch, step.seen, seconds);
    journal.look();
  }
}

}  // namespace widedeq
