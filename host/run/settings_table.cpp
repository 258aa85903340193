// The table of settings: what each is called, takes, says in --help and puts where.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <limits>
#include <stdexcept>

#include "host/failure.hpp"
#include "host/run/config.hpp"

namespace widedeq {
namespace {

// Wider than any machine's memory allows, and safely below where m * m would overflow.
constexpr std::int64_t most_width = std::int64_t{1} << 20;
constexpr std::int64_t most_int = std::numeric_limits<int>::max();

using Text = std::optional<std::string>;

/// Puts a parsed value in its place; false when there is none.
template <class Place, class Value>
bool put(Place& place, const std::optional<Value>& value) {
  if (!value) return false;
  place = static_cast<Place>(*value);
  return true;
}

template <class Place>
bool put_integer(std::optional<Place>& place, std::string_view text, std::int64_t least,
                 std::int64_t most) {
  const auto value = parse_integer(text, least, most);
  if (value) place = static_cast<Place>(*value);
  return value.has_value();
}

std::optional<std::vector<int>> parse_classes(std::string_view text) {
  std::vector<int> classes;
  while (true) {
    const std::size_t comma = text.find(',');
    const auto value = parse_integer(text.substr(0, comma), 0, most_int);
    if (!value) return std::nullopt;
    classes.push_back(static_cast<int>(*value));
    if (comma == std::string_view::npos) return classes;
    text.remove_prefix(comma + 1);
  }
}

std::optional<bool> parse_boolean(std::string_view text) {
  return parse_word<bool>(text, {{"true", true}, {"false", false}});
}

template <class Value>
Text integer_text(const std::optional<Value>& value) {
  return value ? Text(std::to_string(*value)) : Text();
}

constexpr auto table = std::to_array<Setting>({
    {"data", SettingKind::text, "digits|mnist:DIR|npy:INPUTS.npy,TARGETS.npy|sphere",
     "digits, mnist:DIR, npy:INPUTS.npy,TARGETS.npy or sphere",
     "what to learn: the built-in handwritten digits, MNIST's IDX files, your own arrays as they "
     "are (no sample of zeros, none twice), or random points on a sphere",
     [](TrainConfig& c, std::string_view text) {
       const bool known = text == "digits" || text == "sphere" ||
                          (text.starts_with("mnist:") && text.size() > 6) ||
                          (text.starts_with("npy:") && text.find(',') != text.npos);
       return known && (c.data = text, true);
     },
     [](const TrainConfig& c) { return Text(c.data); }},
    {"classes", SettingKind::integers, "0,1", "class labels separated by commas, such as 0,1",
     "labels to keep of digits and mnist (0,1 when not given)",
     [](TrainConfig& c, std::string_view text) { return put(c.classes, parse_classes(text)); },
     [](const TrainConfig& c) {
       return c.classes ? Text(fmt::format("{}", fmt::join(*c.classes, ","))) : Text();
     }},
    {"samples", SettingKind::integer, "N", "an integer from 1 to 2147483647",
     "use only so many samples (not given: all; sphere: 256)",
     [](TrainConfig& c, std::string_view text) {
       return put_integer(c.samples, text, 1, most_int);
     },
     [](const TrainConfig& c) { return integer_text(c.samples); }},
    {"test-samples", SettingKind::integer, "N", "an integer from 0 to 2147483647",
     "hold out the N samples after them, and say how the network does on those",
     [](TrainConfig& c, std::string_view text) {
       return put(c.test_samples, parse_integer(text, 0, most_int));
     },
     [](const TrainConfig& c) { return Text(std::to_string(c.test_samples)); }},
    {"test-every", SettingKind::integer, "K", "an integer from 1 to 2147483647",
     "look at the held-out samples every K epochs and in the last one",
     [](TrainConfig& c, std::string_view text) {
       return put(c.test_every, parse_integer(text, 1, most_int));
     },
     [](const TrainConfig& c) { return Text(std::to_string(c.test_every)); }},
    {"width", SettingKind::integer, "M", "an integer from 1 to 1048576",
     "m, the number of hidden units (1024, or what the weights file has)",
     [](TrainConfig& c, std::string_view text) {
       return put_integer(c.width, text, 1, most_width);
     },
     [](const TrainConfig& c) { return integer_text(c.width); }},
    {"gamma", SettingKind::number, "G", "a finite number above 0",
     "scale of the recurrence, s = gamma/sqrt(m); below 1/2 is safe at the start",
     [](TrainConfig& c, std::string_view text) {
       const auto value = parse_number(text);
       return value && *value > 0 && put(c.gamma, value);
     },
     [](const TrainConfig& c) { return Text(format_number(c.gamma)); }},
    {"injection", SettingKind::text, "relu|linear", "relu or linear",
     "how the input enters: relu(W X)/sqrt(m) or W X/sqrt(m)",
     [](TrainConfig& c, std::string_view text) {
       return put(c.injection, parse_word<Injection>(text, {{"relu", Injection::relu},
                                                            {"linear", Injection::linear}}));
     },
     [](const TrainConfig& c) { return Text(c.injection == Injection::relu ? "relu" : "linear"); }},
    {"skip", SettingKind::boolean, "", "true or false", "the readout's second term, v'Phi",
     [](TrainConfig& c, std::string_view text) { return put(c.skip, parse_boolean(text)); },
     [](const TrainConfig& c) { return Text(c.skip ? "true" : "false"); }},
    {"weights", SettingKind::text, "lattice|gaussian|FILE.npz",
     "lattice, gaussian or the name of an .npz file",
     "initial A: N(0,1) rounded to 1/32, N(0,1), or all of A, W, u, v from a file",
     [](TrainConfig& c, std::string_view text) {
       const bool known = text == "lattice" || text == "gaussian" || text.ends_with(".npz");
       return known && (c.weights = text, true);
     },
     [](const TrainConfig& c) { return Text(c.weights); }},
    {"epochs", SettingKind::integer, "E", "an integer from 0 to 2147483647",
     "epochs: steps of gradient descent, intervals of the flow, or passes over all batches",
     [](TrainConfig& c, std::string_view text) {
       return put(c.epochs, parse_integer(text, 0, most_int));
     },
     [](const TrainConfig& c) { return Text(std::to_string(c.epochs)); }},
    {"learning-rate", SettingKind::number, "ETA|auto", "a finite number above 0, or auto",
     "step eta; auto is 1/lambda_max of the first NTK Gram",
     [](TrainConfig& c, std::string_view text) {
       if (text == "auto") return c.learning_rate.reset(), true;
       const auto value = parse_number(text);
       return value && *value > 0 && (c.learning_rate = value, true);
     },
     [](const TrainConfig& c) {
       return Text(c.learning_rate ? format_number(*c.learning_rate) : "auto");
     }},
    {"optimizer", SettingKind::text, "descent|flow", "descent or flow",
     "steps of gradient descent, or the gradient flow d theta/dt = -grad loss, of which an epoch "
     "is the learning rate in time",
     [](TrainConfig& c, std::string_view text) {
       return put(c.optimizer, parse_word<Optimizer>(text, {{"descent", Optimizer::descent},
                                                            {"flow", Optimizer::flow}}));
     },
     [](const TrainConfig& c) {
       return Text(c.optimizer == Optimizer::descent ? "descent" : "flow");
     }},
    {"batch-size", SettingKind::integer, "B", "an integer from 0 to 2147483647",
     "stochastic gradient descent: an epoch takes all samples, B at a time in random order, with a "
     "step of eta n/B times a batch's gradient after each; 0: all at once",
     [](TrainConfig& c, std::string_view text) {
       return put(c.batch_size, parse_integer(text, 0, most_int));
     },
     [](const TrainConfig& c) { return Text(std::to_string(c.batch_size)); }},
    {"flow-tolerance", SettingKind::number, "T", "a number above 0 and below 1",
     "error that a step of the flow may make, relative to how far the weights have come",
     [](TrainConfig& c, std::string_view text) {
       const auto value = parse_number(text);
       return value && *value > 0 && *value < 1 && put(c.flow_tolerance, value);
     },
     [](const TrainConfig& c) { return Text(format_number(c.flow_tolerance)); }},
    {"tolerance", SettingKind::number, "T", "a number above 0 and below 1",
     "relative residual at which a sample's equilibrium and adjoint are accepted",
     [](TrainConfig& c, std::string_view text) {
       const auto value = parse_number(text);
       return value && *value > 0 && *value < 1 && put(c.tolerance, value);
     },
     [](const TrainConfig& c) { return Text(format_number(c.tolerance)); }},
    {"max-sweeps", SettingKind::integer, "K", "an integer from 1 to 2147483647",
     "give up on an equilibrium or adjoint after so many sweeps",
     [](TrainConfig& c, std::string_view text) {
       return put(c.max_sweeps, parse_integer(text, 1, most_int));
     },
     [](const TrainConfig& c) { return Text(std::to_string(c.max_sweeps)); }},
    {"precision", SettingKind::text, "auto|mixed|fp32|fp64", "auto, mixed, fp32 or fp64",
     "mixed: int8 products with an fp32-accurate result; auto: the fastest this machine has",
     [](TrainConfig& c, std::string_view text) {
       if (text == "auto") return c.precision.reset(), true;
       const auto value = parse_precision(text);
       return value && (c.precision = value, true);
     },
     [](const TrainConfig& c) { return Text(c.precision ? name_of(*c.precision) : "auto"); }},
    {"backend", SettingKind::text, "auto|cpu|cuda", "auto, cpu or cuda", "where to compute",
     [](TrainConfig& c, std::string_view text) {
       return put(c.backend, parse_word<BackendChoice>(text, {{"auto", BackendChoice::automatic},
                                                              {"cpu", BackendChoice::cpu},
                                                              {"cuda", BackendChoice::cuda}}));
     },
     [](const TrainConfig& c) {
       return Text(c.backend == BackendChoice::automatic ? "auto"
                   : c.backend == BackendChoice::cpu     ? "cpu"
                                                         : "cuda");
     }},
    {"gram-every", SettingKind::integer, "K", "an integer from 0 to 2147483647",
     "look at the NTK Gram every K epochs; 0: at most once, for --learning-rate auto",
     [](TrainConfig& c, std::string_view text) {
       return put(c.gram_every, parse_integer(text, 0, most_int));
     },
     [](const TrainConfig& c) { return Text(std::to_string(c.gram_every)); }},
    {"norm-every", SettingKind::integer, "K", "an integer from 0 to 2147483647",
     "record ||A||_2/sqrt(m) with an epoch every K epochs, not only with the Grams; 0: not",
     [](TrainConfig& c, std::string_view text) {
       return put(c.norm_every, parse_integer(text, 0, most_int));
     },
     [](const TrainConfig& c) { return Text(std::to_string(c.norm_every)); }},
    {"seed", SettingKind::integer, "S", "an integer from 0 to 9223372036854775807",
     "of the weights and of synthetic data",
     [](TrainConfig& c, std::string_view text) {
       return put(c.seed, parse_integer(text, 0, std::numeric_limits<std::int64_t>::max()));
     },
     [](const TrainConfig& c) { return Text(std::to_string(c.seed)); }},
    {"threads", SettingKind::integer, "T", "an integer from 0 to 4096",
     "0: OMP_NUM_THREADS where it is set, else all cores",
     [](TrainConfig& c, std::string_view text) {
       return put(c.threads, parse_integer(text, 0, 4096));
     },
     [](const TrainConfig& c) { return Text(std::to_string(c.threads)); }},
    {"chunk", SettingKind::integer, "N", "an integer from 0 to 2147483647",
     "samples at a time; bounds the memory; 0: chosen for you",
     [](TrainConfig& c, std::string_view text) {
       return put(c.chunk, parse_integer(text, 0, most_int));
     },
     [](const TrainConfig& c) { return Text(std::to_string(c.chunk)); }},
    {"warm-start", SettingKind::boolean, "", "true or false",
     "solves that start where the last epoch's ended, when one chunk holds all samples",
     [](TrainConfig& c, std::string_view text) { return put(c.warm_start, parse_boolean(text)); },
     [](const TrainConfig& c) { return Text(c.warm_start ? "true" : "false"); }},
    {"audit-every", SettingKind::integer, "K", "an integer from 1 to 2147483647",
     "rebuild warm-started states in full precision every K epochs or sooner, and report residuals",
     [](TrainConfig& c, std::string_view text) {
       return put(c.audit_every, parse_integer(text, 1, most_int));
     },
     [](const TrainConfig& c) { return Text(std::to_string(c.audit_every)); }},
    {"on-divergence", SettingKind::text, "stop|halve", "stop or halve",
     "when the loss, an equilibrium or ||A|| runs away: stop with the last good state saved, or "
     "halve the step from there, ten times at most",
     [](TrainConfig& c, std::string_view text) {
       return put(c.on_divergence,
                  parse_word<OnDivergence>(
                      text, {{"stop", OnDivergence::stop}, {"halve", OnDivergence::halve}}));
     },
     [](const TrainConfig& c) {
       return Text(c.on_divergence == OnDivergence::stop ? "stop" : "halve");
     }},
    {"certify-every", SettingKind::integer, "K", "an integer from 0 to 2147483647",
     "prove, every K epochs, how far equilibria and lambda_min can be from the truth; 0: never",
     [](TrainConfig& c, std::string_view text) {
       return put(c.certify_every, parse_integer(text, 0, most_int));
     },
     [](const TrainConfig& c) { return Text(std::to_string(c.certify_every)); }},
    {"checkpoint-every", SettingKind::span, "EPOCHS|SECONDSs",
     "a number of epochs, a time such as 600s, 10m or 1h, or 0 for never",
     "write a checkpoint after so many epochs or so long, and at the end; 0: only when stopped",
     [](TrainConfig& c, std::string_view text) {
       if (const auto epochs = parse_integer(text, 0, most_int)) {
         c.checkpoint_every = {static_cast<int>(*epochs), 0.0};
         return true;
       }
       const auto seconds = parse_duration(text);
       if (!seconds || *seconds <= 0.0) return false;
       c.checkpoint_every = {0, *seconds};
       return true;
     },
     [](const TrainConfig& c) {
       return Text(c.checkpoint_every.seconds > 0.0
                       ? format_number(c.checkpoint_every.seconds) + "s"
                       : std::to_string(c.checkpoint_every.epochs));
     },
     false},
    {"keep", SettingKind::integer, "N", "an integer from 1 to 2147483647",
     "checkpoints to keep, the newest ones",
     [](TrainConfig& c, std::string_view text) {
       return put(c.keep, parse_integer(text, 1, most_int));
     },
     [](const TrainConfig& c) { return Text(std::to_string(c.keep)); }, false},
    {"max-walltime", SettingKind::span, "H:MM:SS", "a time such as 1:30:00, 90m or 5400s",
     "stop with a checkpoint so early that it is written before so much time has passed",
     [](TrainConfig& c, std::string_view text) {
       const auto seconds = parse_duration(text);
       return seconds && *seconds > 0.0 && (c.max_walltime = seconds, true);
     },
     [](const TrainConfig& c) {
       return c.max_walltime ? Text(format_number(*c.max_walltime) + "s") : Text();
     },
     false},
});

}  // namespace

std::span<const Setting> settings() {
  return table;
}

const Setting& setting(std::string_view name) {
  for (const Setting& entry : table)
    if (entry.name == name) return entry;
  throw std::out_of_range("no setting is called " + std::string(name));
}

void apply_setting(TrainConfig& config, const Setting& setting, std::string_view text,
                   const std::string& shown, const std::string& where) {
  if (!setting.set(config, text))
    throw Failure(ExitCode::usage, shown + " is not allowed", where,
                  "give " + std::string(setting.allowed));
}

}  // namespace widedeq
