// What `widedeq train` can be told. Names, allowed values and help are one table,
// settings_table.cpp.
//
// The command line and the TOML file go through its entries, so that they accept the same
// values and refuse the others with the same sentence. A key of the file is the option's long name:
// `--learning-rate 0.1` on the command line is `learning-rate = 0.1` in the file, `--no-skip` is
// `skip = false`. Options win over the file. Relative paths count from the working directory in
// both.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/run/parse.hpp"
#include "host/trainer.hpp"

namespace widedeq {

enum class BackendChoice : std::uint8_t { automatic, cpu, cuda };

/// What to do when training runs away: stop, or go on from the last good state with half the step.
enum class OnDivergence : std::uint8_t { stop, halve };

/// How weights move: steps of gradient descent, or along the gradient flow, their limit.
enum class Optimizer : std::uint8_t { descent, flow };

/// When to write checkpoints beside those at the end of a run: after so many epochs, or so many
/// seconds; both 0: none.
struct CheckpointEvery {
  int epochs = 0;
  double seconds = 600.0;

  bool is_never() const { return epochs == 0 && seconds == 0.0; }
  bool operator==(const CheckpointEvery&) const = default;
};

struct TrainConfig {
  std::string data = "digits";
  std::optional<std::vector<int>> classes;  // none: 0,1 for digits and mnist, no filter elsewhere
  std::optional<Index> samples;             // none: all of them
  Index test_samples = 0;                   // held out
  std::optional<Index> width;               // none: the weights file's, else default_width
  double gamma = 0.5;
  Injection injection = Injection::relu;
  bool skip = true;
  std::string weights = "lattice";  // lattice, gaussian or a file's name
  int epochs = 100;
  std::optional<double> learning_rate;  // none: 1 / lambda_max(H(0))
  Optimizer optimizer = Optimizer::descent;
  Index batch_size = 0;          // 0: all samples at once
  double flow_tolerance = 1e-3;  // of gradient flow; see host/gradient_flow.hpp
  double tolerance = 1e-6;
  int max_sweeps = 1000;
  std::optional<Precision> precision;  // none: the backend's fastest
  BackendChoice backend = BackendChoice::automatic;
  int gram_every = 10;  // 0: no Gram beyond what the learning rate needs
  int test_every = 1;   // epochs, where there are held-out samples
  int norm_every = 0;   // 0: with the Grams alone
  std::int64_t seed = 1;
  int threads = 0;  // 0: default_threads()
  Index chunk = 0;  // samples at a time; 0: chosen
  bool warm_start = true;
  int audit_every = TrainerOptions().audit_every;
  OnDivergence on_divergence = OnDivergence::stop;
  int certify_every = 0;  // 0: never
  // How a run is kept safe is no part of what it computes.
  CheckpointEvery checkpoint_every;
  int keep = 2;                        // checkpoints
  std::optional<double> max_walltime;  // seconds from the start of the program
  // Where it goes is not in the file either.
  std::string out;

  static constexpr Index default_width = 1024;

  /// Of the initial A, unless a file gives it.
  WeightLaw law() const { return weights == "gaussian" ? WeightLaw::gaussian : WeightLaw::lattice; }
  /// How A(0) was drawn; nothing where a file has it.
  std::optional<Draw> draw() const {
    if (weights_from_file()) return std::nullopt;
    return Draw{law(), static_cast<std::uint64_t>(seed)};
  }
  bool weights_from_file() const { return weights != "lattice" && weights != "gaussian"; }
  ModelOptions model_options() const { return {gamma, injection, skip}; }
  SolveOptions solve_options() const { return {tolerance, max_sweeps}; }
  /// Checkpoints that may lie on the disk, before an old one makes room for a new one.
  int checkpoints_at_once() const {
    if (checkpoint_every.is_never()) return 0;
    return keep + (needs_way_back() ? 1 : 0);
  }
  /// Whether the state before the last look at the norm has to stay in a checkpoint: to go back to
  /// it and on from there, or because the way from the start leads through a file.
  bool needs_way_back() const {
    return on_divergence == OnDivergence::halve || weights_from_file();
  }
  /// Whether epochs of so many samples go in batches. A batch that holds them all is none.
  bool in_batches(Index of_samples) const { return batch_size > 0 && batch_size < of_samples; }
  /// Flow and batches start every solve cold.
  TrainerOptions trainer_options(Index of_samples) const {
    TrainerOptions options(chunk);
    options.warm_start = warm_start && optimizer == Optimizer::descent && !in_batches(of_samples);
    options.audit_every = audit_every;
    if (in_batches(of_samples)) options.batch = batch_size;
    return options;
  }
};

/// What a value looks like in a TOML or JSON file.
enum class SettingKind : std::uint8_t { integer, number, text, boolean, integers, span };

/// One option of `train` that is also a key of its configuration file.
struct Setting {
  std::string_view name;  // "learning-rate"
  SettingKind kind;
  std::string_view placeholder;  // "ETA|auto", for --help
  std::string_view allowed;      // "a positive number or auto", for errors
  std::string_view help;
  /// Sets the value and returns true, or returns false when it is not an allowed one.
  bool (*set)(TrainConfig&, std::string_view text);
  /// The value as set() takes it; nothing when it was not given and has no default.
  std::optional<std::string> (*get)(const TrainConfig&);
  /// Whether results depend on it. Those of settings that only say how a run is kept safe do not:
  /// they are in no record, and may be others when a run is resumed.
  bool computes = true;
};

/// All settings, in the order in which help and files show them.
std::span<const Setting> settings();

/// The setting of that name. Throws std::out_of_range.
const Setting& setting(std::string_view name);

/// Sets a value. `shown` is how the user wrote it ("--width -3"), `where` where he did. Throws
/// Failure (usage) when the value is not allowed.
void apply_setting(TrainConfig& config, const Setting& setting, std::string_view text,
                   const std::string& shown, const std::string& where);

/// Fills in what depends on other settings: the classes; and makes paths absolute, so that the
/// resolved configuration means the same from any working directory. Throws Failure (usage) for
/// combinations that make no sense: classes of unlabelled data, batches of a flow.
void resolve(TrainConfig& config);

/// Throws Failure (usage) unless the precision can reach the tolerance.
void check_tolerance(double tolerance, Precision precision);

/// Throws Failure (usage) unless the solves at that precision are accurate enough for the flow's
/// error control; nothing to check without a flow.
void check_flow_tolerance(const TrainConfig& config, Precision precision);

/// The backend asked for; `automatic` takes CUDA where the build and the machine have it, and
/// `choice` becomes what it took. Throws Unsupported when the one asked for is not there,
/// BusyDevice when it is and does not start.
std::unique_ptr<Backend> make_backend(BackendChoice& choice, int threads);

/// The precision asked for on that backend. Throws Failure (usage) when the machine has no mixed.
Precision choose_precision(const std::optional<Precision>& asked, const Backend& backend);

const char* name_of(Precision precision);

}  // namespace widedeq
