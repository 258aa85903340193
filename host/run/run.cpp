// The epoch loop, and what surrounds it.
#include "host/run/run.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <utility>

#include "host/failure.hpp"
#include "host/run/config_file.hpp"
#include "host/run/gram_journal.hpp"
#include "host/run/machine.hpp"
#include "host/run/outcome.hpp"
#include "host/run/prepare.hpp"
#include "host/run/progress.hpp"
#include "host/run/provenance.hpp"
#include "host/run/run_directory.hpp"
#include "host/run/sink.hpp"
#include "host/run/solve_failure.hpp"
#include "host/run/stop.hpp"
#include "host/run/weights_file.hpp"

namespace widedeq {
namespace {

constexpr double hopeless_loss = 1e3;  // times the first loss: it will not come back

void require_solved(const Evaluation& now, const TrainConfig& config, int epoch) {
  if (now.converged()) return;
  const bool forward = now.forward.status != SolveStatus::converged;
  throw solve_failure(forward ? "forward" : "adjoint", forward ? now.forward : now.adjoint,
                      config.model_options(), config.solve_options(),
                      fmt::format("epoch {}, ", epoch), epoch > 0);
}

void require_hope(double first_loss, double loss, double eta, int epoch) {
  if (std::isfinite(loss) && loss <= hopeless_loss * first_loss) return;
  throw Failure(
      ExitCode::diverged, fmt::format("the loss went from {:.4g} to {:.4g}", first_loss, loss),
      fmt::format("epoch {}", epoch), fmt::format("lower --learning-rate, {:.4g} here", eta));
}

double automatic_rate(const GramStatistics& gram) {
  const double eta = 1.0 / gram.lambda_max;
  if (std::isfinite(eta) && eta > 0.0) return eta;
  throw Failure(ExitCode::usage,
                fmt::format("the NTK's largest eigenvalue is {:.4g}, from which no learning rate "
                            "follows",
                            gram.lambda_max),
                "--learning-rate auto", "give a number, or a larger --width");
}

std::vector<double> minus(std::vector<double> a, const std::vector<double>& b) {
  for (std::size_t j = 0; j < a.size(); ++j)
    a[j] -= b[j];
  return a;
}

// What a warm epoch in mixed costs, one m x m times m x n product being the unit:
//
//   int8   forward   1/2 + 1 for every sweep but the closing one, and 1/2; the guess 1; settling 1
//          adjoint   the same without a guess; settling 3, and 1 to end with
//          Samples that stop early leave products out.
//   fp32   A -= eta s (L diag r) Z'  1;  what follows it in P and Q  3 n/(2 m) each: a Gram at half
//          price and a thin product;  Phi and dW  d/m each
//   bytes  m^2 for every product and 14 m^2 more for a new plane (change 8, a look 5, digits and
//          their packing 9 a digit); 18 m n a sweep: P and Z read and written, increments
//
// Measured by `widedeq bench --stages epoch --shapes 4096x1000 --precision mixed --json FILE` (its
// products_int8, products_fp32): 16.3 int8, for 6 + 13 sweeps 16.5 by the lines above; fp32 1.76,
// by formula 1 + 3 n/m + 2 d/m = 1.76. Bytes are by formula alone: the machine at hand counts none.

/// All epochs. `summary` follows along, so that it tells how far a failed run has come;
/// `weights_are_good` says whether the weights are worth saving.
void train(PreparedRun& run, GramJournal& journal, Sink& sink, Progress& progress,
           RunSummary& summary, bool& weights_are_good) {
  using Clock = std::chrono::steady_clock;
  const TrainConfig& config = run.config;
  std::optional<double>& eta = run.facts.learning_rate;
  // With `auto`, the run's record waits for the first Gram, which says the learning rate.
  if (eta || config.epochs == 0) sink.write(run_record(config, run.facts));

  for (int epoch = 0; epoch < config.epochs && !stop_requested(); ++epoch) {
    const auto start = Clock::now();
    GramMonitor* const monitor = is_gram_due(config, epoch) ? run.monitor.get() : nullptr;
    if (monitor) {
      journal.settle();  // at most one Gram in flight
      monitor->begin(epoch);
    }

    // Z = relu(s A Z + Phi)    L = D o (u 1' + s A' L)    r = u'Z + v'Phi - y    loss = 1/2 |r|^2
    const bool is_last = epoch + 1 == config.epochs;
    const Evaluation now = run.trainer->evaluate(monitor, is_last);
    require_solved(now, config, epoch);

    // H = s^2 (L'L) o (Z'Z) + (B'B) o (X'X)/m + Z'Z + Phi'Phi, while the next epochs run
    if (monitor) monitor->submit(*run.model, run.trainer->X());

    // eta = 1 / lambda_max(H(0))
    if (!eta) {
      journal.wait();
      eta = automatic_rate(*journal.first());
      sink.write(run_record(config, run.facts));
    }
    if (epoch == 0) summary.first_residual = minus(now.predictions, run.targets);
    summary.losses.push_back(now.loss);
    weights_are_good = false;
    require_hope(summary.losses.front(), now.loss, *eta, epoch);

    // theta <- theta - eta dloss/dtheta,    theta = A, W, u, v
    const double gradient_norm = run.trainer->update(*eta);
    // No entry moves by more than eta times the norm; in single precision that must fit a float.
    if (!std::isfinite(static_cast<float>(*eta * gradient_norm)))
      throw Failure(ExitCode::diverged, "the step is not finite", fmt::format("epoch {}", epoch),
                    "lower --learning-rate or --gamma");
    weights_are_good = true;

    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    sink.write(epoch_record(epoch, now, gradient_norm, seconds));
    progress.epoch(epoch, now, seconds);
    journal.look();
  }
  if (!eta && config.epochs > 0) sink.write(run_record(config, run.facts));  // stopped at once
  journal.settle();
}

/// Ends training: its buffers make room for the m x m weights in double that saving needs.
void save_final_weights(PreparedRun& run, const RunDirectory& directory) {
  run.monitor.reset();
  run.trainer.reset();
  run.model->A.release_operand();
  release_free_memory();
  save_weights(directory.file("weights.npz"), *run.backend, *run.model);
}

/// Keeps what a failed run has to show. Best effort: the failure itself is what gets reported.
void salvage(PreparedRun& run, GramJournal& journal, Sink& sink, const RunDirectory& directory,
             bool weights_are_good) {
  try {
    if (!run.facts.learning_rate) sink.write(run_record(run.config, run.facts));
    journal.settle();
    journal.save_last();
    if (weights_are_good) save_final_weights(run, directory);
  } catch (const std::exception&) {
  }
}

RunSummary train_in(const RunDirectory& directory, PreparedRun& run,
                    const std::string& command_line) {
  directory.write_text("config.toml", to_toml(run.config));
  directory.write_text("provenance.json",
                       provenance(run.config, run.facts, command_line)
                               .dump(2, ' ', false, Json::error_handler_t::replace) +
                           "\n");
  Sink sink(directory.file("metrics.jsonl"));
  Progress progress(directory.file("log.txt"), run.config.epochs);
  GramJournal journal(run.monitor.get(), directory, sink, progress);
  progress.note(fmt::format("{}; width {}, {}, {}", run.facts.data, run.facts.width,
                            name_of(run.facts.precision), run.facts.backend));

  RunSummary summary;
  summary.directory = run.config.out;
  bool weights_are_good = false;
  try {
    train(run, journal, sink, progress, summary, weights_are_good);
  } catch (const std::exception& error) {
    progress.record("failed: " + outcome_of(error).sentence);
    salvage(run, journal, sink, directory, weights_are_good);
    throw;
  }
  summary.stopped = static_cast<int>(summary.losses.size()) < run.config.epochs;
  summary.learning_rate = run.facts.learning_rate;
  summary.first_gram = journal.first();
  summary.last_gram = journal.last();
  journal.save_last();
  progress.record(summary_table(summary));
  save_final_weights(run, directory);
  return summary;
}

}  // namespace

RunSummary run(TrainConfig config, const std::string& command_line) {
  PreparedRun prepared = prepare(std::move(config));
  const RunDirectory directory(prepared.config.out);
  try {
    RunSummary summary = train_in(directory, prepared, command_line);
    directory.set_status(summary.stopped ? "stopped" : "done");
    return summary;
  } catch (const std::exception& error) {
    directory.mark_failed(outcome_of(error).sentence);
    throw;
  }
}

}  // namespace widedeq
