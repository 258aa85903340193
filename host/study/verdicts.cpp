// The theory's statements, each held against all cells; see verdicts.hpp.
#include "host/study/verdicts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "host/run/prediction.hpp"
#include "host/study/quantities.hpp"

namespace widedeq {
namespace {

using Cells = std::vector<const CellData*>;

constexpr double resolution = 1e-5;     // of a loss
constexpr double exponent_slack = 0.1;  // how far an exponent may be from the theory's
constexpr double interval_slack = 0.2;  // how far its interval may reach

/// "12 of 12 cells"
std::string share(std::size_t some, std::size_t all) {
  if (all == 0) return "no cell that can be asked";
  return fmt::format("{} of {} cell{}", some, all, all == 1 ? "" : "s");
}

/// Holds when all do, fails when one does not; open without any.
StudyFinding finding_of(std::size_t good, std::size_t all) {
  if (all == 0) return StudyFinding::open;
  return good == all ? StudyFinding::holds : StudyFinding::fails;
}

bool is_flow(const CellData& cell) {
  return cell.run.config.optimizer == Optimizer::flow;
}

/// The largest loss that may be one of `bound`.
double most_loss(double bound, double noise) {
  const double root = std::sqrt(bound * (1.0 + resolution)) + noise;
  return root * root;
}

/// Whether even r <- (I - eta H) r with the first kernel shrinks by less than 1 - eta
/// lambda_min(H).
bool is_step_too_large(const CellData& cell, double eta) {
  const GramRecord& first = cell.run.grams.front();
  return !is_flow(cell) && eta * (first.lambda_min + first.lambda_max) > 2.0;
}

/// The cells with at least two epochs that are done, or whose training could not go on: what those
/// have shown may refute a statement about all epochs, but does not bear it out. Where the loss has
/// run away there was one epoch more than is recorded.
Cells trained(const Cells& cells) {
  Cells some;
  std::ranges::copy_if(cells, std::back_inserter(some), [](const CellData* cell) {
    const std::size_t epochs = cell->run.epochs.size() + (cell->run.has_lost_loss() ? 1 : 0);
    return (cell->is_done || cell->run.ended) && !cell->run.epochs.empty() && epochs >= 2;
  });
  return some;
}

/// Cells asked whether all their epochs do something.
struct Tally {
  std::size_t asked = 0, good = 0, at_zero = 0, too_large = 0, too_slow = 0, cut_short = 0;

  /// Whether the cell counts; one that ended early counts where it refutes.
  bool add(const CellData& cell, bool holds) { return add(cell.is_done, holds); }
  bool add(bool is_whole, bool holds) {
    const bool counts = is_whole || !holds;
    asked += counts ? 1 : 0;
    cut_short += counts ? 0 : 1;
    good += counts && holds ? 1 : 0;
    return counts;
  }
  std::string cut_short_text() const {
    return cut_short == 0 ? ""
                          : fmt::format("; {} more have not come to their last epoch", cut_short);
  }
};

std::string range_text(const EpochRange& range) {
  return range.length() <= 0 ? "no epoch" : fmt::format("epochs {} to {}", range.first, range.last);
}

/// "; m = 512, seed 3: q = ... went from 0.99 to 1.01"
std::string end_text(const CellData& cell) {
  return fmt::format("; {}: {}", cell.describe(), cell.run.ended->reason);
}

/// Residuals measured by solves and by audits; and no solve has ended a run.
StudyVerdict all_converged(const Cells& cells) {
  std::size_t ended = 0, good = 0, unknown = 0;
  double worst = 0.0;
  std::string failure;
  for (const CellData* cell : cells) {
    unknown += cell->run.has_unknown_end() ? 1 : 0;
    const bool has_solved = cell->is_done && !cell->run.epochs.empty();
    if (!has_solved && !cell->run.ended) continue;
    ++ended;
    const bool failed = cell->run.ended_by("solve");
    if (failed && failure.empty()) failure = end_text(*cell);
    good += !failed && cell->run.meets_tolerance() ? 1 : 0;
    for (const EpochRecord& epoch : cell->run.epochs)
      worst = std::max(worst, epoch.largest_residual());
  }
  std::string evidence = share(good, ended);
  if (worst > 0.0) evidence += fmt::format("; largest residual {:.2g}", worst);
  if (unknown > 0) evidence += fmt::format("; {} more failed, and no record says of what", unknown);
  return {finding_of(good, ended), "every solve of every epoch meets the tolerance",
          evidence + failure};
}

/// q = gamma ||A||_2/sqrt(m) as estimated, which is from below: above 1 is so, below 1 is likely.
StudyVerdict well_posed(const Cells& cells) {
  Tally tally;
  double worst = 0.0;
  std::size_t looks = 0;
  std::string place, failure;
  for (const CellData* cell : cells) {
    const auto contractions = cell->run.contractions();
    const bool failed = cell->run.ended_by("contraction");
    if (contractions.empty() && !failed) continue;
    looks += contractions.size();
    bool holds = !failed;
    for (const auto& [epoch, q] : contractions) {
      holds = holds && q < 1.0;
      if (q <= worst) continue;
      worst = q;
      place = fmt::format("{}, epoch {}", cell->describe(), epoch);
    }
    tally.add(cell->is_done || cell->run.has_looked_to_the_end(), holds);
    if (failed && failure.empty()) failure = end_text(*cell);
  }
  std::string evidence = looks == 0 && failure.empty() ? "no cell has looked at the norm"
                                                       : share(tally.good, tally.asked);
  if (looks > 0)
    evidence += fmt::format("; largest {:.4f} ({}), estimated from below; looked at {} time{}",
                            worst, place, looks, looks == 1 ? "" : "s");
  evidence += tally.cut_short_text() + failure;
  return {finding_of(tally.good, tally.asked), "well-posed throughout: gamma ||A||_2/sqrt(m) < 1",
          evidence};
}

/// Of cells whose lambda is zero: any loss that does not rise falls at that rate. And of those that
/// held as far as they came.
std::string rest_text(const Tally& tally, const char* lambda) {
  std::string text;
  if (tally.at_zero > 0)
    text += fmt::format("; {} more with {} = 0, which gives no rate", tally.at_zero, lambda);
  if (tally.too_large > 0)
    text += fmt::format(
        "; {} more with steps above 2/(lambda_min + lambda_max), of which the theory says nothing",
        tally.too_large);
  if (tally.too_slow > 0)
    text += fmt::format("; {} more where the guaranteed fall is less than losses resolve",
                        tally.too_slow);
  return text + tally.cut_short_text();
}

/// loss(k) <= (1 - eta lambda_0/2)^k loss(0), lambda_0 = lambda_min(Phi'Phi) at the start.
StudyVerdict paper_rate(const Cells& cells) {
  Tally tally;
  std::optional<int> earliest;
  std::string place, failure;
  for (const CellData* cell : cells) {
    const auto eta = constant_rate(cell->run);
    if (!eta || cell->run.grams.empty() || !cell->run.grams.front().feature_lambda_min) continue;
    if (!cell->run.config.skip) continue;
    const double lambda = *cell->run.grams.front().feature_lambda_min;
    if (lambda <= cell->run.zero_to_rounding()) {
      ++tally.at_zero;
      continue;
    }
    if (is_step_too_large(*cell, *eta)) {
      ++tally.too_large;
      continue;
    }
    const bool is_lost = cell->run.has_lost_loss();
    const double factor = is_flow(*cell) ? std::exp(-*eta * lambda) : 1.0 - *eta * lambda / 2.0;
    const double tolerance = cell->run.config.tolerance;
    const auto above = first_above(cell->run.epochs, factor, tolerance);
    if (!is_lost && !above && !stride_that_tells(cell->run.epochs, factor, tolerance)) {
      ++tally.too_slow;
      continue;
    }
    tally.add(*cell, !above && !is_lost);
    if (is_lost && failure.empty()) failure = end_text(*cell);
    if (above && (!earliest || *above < *earliest)) {
      earliest = above;
      place = cell->describe();
    }
  }
  std::string evidence = share(tally.good, tally.asked);
  if (earliest) evidence += fmt::format("; first passed at epoch {} ({})", *earliest, place);
  evidence += rest_text(tally, "lambda_0") + failure;
  return {finding_of(tally.good, tally.asked),
          fmt::format("linear rate of the theorem: loss(k) <= {}^k loss(0), "
                      "lambda_0 = lambda_min(Phi'Phi)",
                      is_flow(*cells.front()) ? "exp(-eta lambda_0)" : "(1 - eta lambda_0/2)"),
          evidence};
}

/// Every epoch's factor is at most that of the slowest mode of the kernels there were.
StudyVerdict kernel_rate(const Cells& cells) {
  Tally tally;
  EpochRange least;
  double least_share = 2.0;
  std::string place, failure;
  for (const CellData* cell : cells) {
    const auto eta = constant_rate(cell->run);
    if (!eta || cell->run.grams.empty()) continue;
    double lambda = cell->run.grams.front().lambda_min;
    for (const GramRecord& gram : cell->run.grams)
      lambda = std::min(lambda, gram.lambda_min);
    if (lambda <= cell->run.zero_to_rounding()) {
      ++tally.at_zero;
      continue;
    }
    const double guaranteed = guaranteed_rate(cell->run, *eta, lambda);
    if (is_step_too_large(*cell, *eta) || !std::isfinite(guaranteed)) {
      ++tally.too_large;
      continue;
    }
    const bool is_lost = cell->run.has_lost_loss();
    const double factor = std::exp(-guaranteed);
    const double tolerance = cell->run.config.tolerance;
    // Neighbours already refute what goes beyond all that one cannot tell of them.
    const EpochRange neighbours = linear_range(cell->run.epochs, factor, tolerance);
    const bool never_rises = neighbours.length() + 1 >= static_cast<int>(cell->run.epochs.size());
    const auto stride = stride_that_tells(cell->run.epochs, factor, tolerance);
    if (!is_lost && never_rises && !stride) {
      ++tally.too_slow;
      continue;
    }
    const int apart = never_rises ? stride.value_or(1) : 1;
    const EpochRange range =
        apart == 1 ? neighbours : linear_range(cell->run.epochs, factor, tolerance, apart);
    const double steps = std::max(1.0, static_cast<double>(cell->run.epochs.size()) - apart);
    if (is_lost && failure.empty()) failure = end_text(*cell);
    const bool holds = never_rises && range.length() >= steps && !is_lost;
    if (tally.add(*cell, holds) && range.length() / steps < least_share) {
      least_share = range.length() / steps;
      least = range;
      place = fmt::format("{}, {} epochs", cell->describe(), cell->run.epochs.size());
      if (apart > 1) place += fmt::format(", over stretches of {}", apart);
    }
  }
  std::string evidence = share(tally.good, tally.asked);
  if (tally.asked > 0)
    evidence += fmt::format(" throughout; least: {} ({})", range_text(least), place);
  evidence += rest_text(tally, "lambda_min(H)") + failure;
  return {finding_of(tally.good, tally.asked),
          fmt::format(
              "linear rate of the kernel: every epoch multiplies the loss by at most {}",
              is_flow(*cells.front()) ? "exp(-2 eta lambda_min(H))" : "(1 - eta lambda_min(H))^2"),
          evidence};
}

/// The smallest over the Grams of lambda / its start, against a bound. A start at zero, as of
/// Phi'Phi with more samples than units, is no start, and refutes nothing but that it is positive.
StudyVerdict stays_above(const Cells& cells, const char* statement, double bound,
                         std::optional<double> (*lambda)(const GramRecord&)) {
  Tally tally;
  double least = INFINITY;
  std::string place;
  for (const CellData* cell : cells) {
    const auto& grams = cell->run.grams;
    if (grams.size() < 2 || !lambda(grams.front())) continue;
    const double start = *lambda(grams.front());
    if (start <= cell->run.zero_to_rounding()) {
      if (bound == 0.0) tally.add(*cell, false);
      ++tally.at_zero;
      continue;
    }
    double smallest = INFINITY;
    for (const GramRecord& gram : grams)
      smallest = std::min(smallest, lambda(gram).value_or(INFINITY) / start);
    const bool is_positive = smallest * start > cell->run.zero_to_rounding();
    if (tally.add(*cell, smallest > bound && is_positive) && smallest < least) {
      least = smallest;
      place = cell->describe();
    }
  }
  std::string evidence = tally.asked + tally.cut_short + tally.at_zero == 0
                             ? "no cell has two Grams"
                             : share(tally.good, tally.asked);
  if (!place.empty())
    evidence += fmt::format("; at least {:.4g} times its start ({})", least, place);
  if (tally.at_zero > 0)
    evidence +=
        fmt::format("; {} {} start at 0{}", tally.at_zero, bound == 0.0 ? "of them" : "more",
                    bound == 0.0 ? "" : ", of which there is no half");
  evidence += tally.cut_short_text();
  return {finding_of(tally.good, tally.asked), statement, evidence};
}

StudyFinding exponent_finding(const PowerFit& fit, const ExpectedExponent& expected) {
  if (!fit.interval) return StudyFinding::open;
  const auto [low, high] = *fit.interval;
  const double least = expected.value - exponent_slack, most = expected.value + exponent_slack;
  if (expected.at_most) {
    if (high <= most) return StudyFinding::holds;
    return low > most ? StudyFinding::fails : StudyFinding::open;
  }
  if (high < least || low > most) return StudyFinding::fails;
  const bool is_near = fit.exponent >= least && fit.exponent <= most;
  const bool is_known =
      low >= expected.value - interval_slack && high <= expected.value + interval_slack;
  return is_near && is_known ? StudyFinding::holds : StudyFinding::open;
}

std::string law_of(const Quantity& quantity, const ExpectedExponent& expected) {
  const std::string law =
      expected.value == 0.0
          ? "does not depend on the width"
          : fmt::format("falls {}as m^{:g}", expected.at_most ? "at least " : "", expected.value);
  return fmt::format("{} {}", quantity.label, law);
}

StudyVerdict exponent_verdict(const Quantity& quantity, const ExpectedExponent& expected) {
  const PowerFit& fit = *quantity.fit;
  const std::string interval =
      fit.interval ? fmt::format("95 %: {:.3f} to {:.3f}", fit.interval->low, fit.interval->high)
                   : std::string("no interval without two seeds of several widths");
  const std::string demand =
      expected.at_most ? fmt::format("the interval below {:g}", expected.value + exponent_slack)
                       : fmt::format("within {:g} of {:g}, the interval within {:g}",
                                     exponent_slack, expected.value, interval_slack);
  return {exponent_finding(fit, expected), law_of(quantity, expected),
          fmt::format("m^{:.3f}, {}; {} widths, {} seed{} (holds: {})", fit.exponent, interval,
                      fit.widths, fit.seeds, fit.seeds == 1 ? "" : "s", demand)};
}

}  // namespace

EpochRange linear_range(const std::vector<EpochRecord>& epochs, double factor, double tolerance,
                        int stride) {
  EpochRange longest, current;
  const double noise = epochs.empty() ? 0.0 : loss_noise(epochs.front().loss, tolerance);
  const auto apart = static_cast<std::size_t>(stride);
  for (std::size_t k = 0; k + apart < epochs.size(); ++k) {
    const int epoch = epochs[k].epoch;
    const double bound = std::pow(factor, stride) * epochs[k].loss;
    const bool falls = epochs[k + apart].loss <= most_loss(bound, noise);
    if (!falls) {
      current = EpochRange{epoch + 1, epoch};
      continue;
    }
    if (current.length() == 0) current.first = epoch;
    current.last = epoch;
    if (current.length() > longest.length()) longest = current;
  }
  return longest;
}

std::optional<int> stride_that_tells(const std::vector<EpochRecord>& epochs, double factor,
                                     double tolerance) {
  if (epochs.size() < 2 || !(factor < 1.0)) return std::nullopt;
  const double noise = loss_noise(epochs.front().loss, tolerance);
  std::vector<double> losses;
  for (const EpochRecord& epoch : epochs)
    losses.push_back(epoch.loss);
  const auto middle = losses.begin() + static_cast<std::ptrdiff_t>(losses.size() / 2);
  std::ranges::nth_element(losses, middle);
  const double told = std::max(*middle, std::pow(10.0 * noise, 2));
  const double unknown = resolution + (noise > 0.0 ? 2.0 * noise / std::sqrt(told) : 0.0);
  const double stride = std::ceil(2.0 * unknown / -std::log(factor));
  const bool is_long_enough = stride < static_cast<double>(epochs.size());
  return is_long_enough ? std::optional(std::max(1, static_cast<int>(stride))) : std::nullopt;
}

std::optional<int> first_above(const std::vector<EpochRecord>& epochs, double factor,
                               double tolerance) {
  const double noise = epochs.empty() ? 0.0 : loss_noise(epochs.front().loss, tolerance);
  for (std::size_t k = 1; k < epochs.size(); ++k) {
    const double bound = std::pow(factor, static_cast<double>(k)) * epochs.front().loss;
    if (!(epochs[k].loss <= most_loss(bound, noise))) return epochs[k].epoch;
  }
  return std::nullopt;
}

std::vector<StudyVerdict> study_verdicts(const Cells& cells,
                                         const std::vector<Quantity>& quantities) {
  std::vector<StudyVerdict> verdicts{all_converged(cells), well_posed(cells)};
  if (const Cells some = trained(cells); !some.empty()) {
    verdicts.push_back(paper_rate(some));
    verdicts.push_back(kernel_rate(some));
    verdicts.push_back(stays_above(some, "lambda_min(Phi'Phi) stays above half of its start", 0.5,
                                   [](const GramRecord& gram) { return gram.feature_lambda_min; }));
    verdicts.push_back(
        stays_above(some, "lambda_min(H) stays positive", 0.0,
                    [](const GramRecord& gram) { return std::optional(gram.lambda_min); }));
  }
  for (const QuantityKind& kind : quantity_kinds()) {
    const auto quantity = std::ranges::find(quantities, kind.name, &Quantity::name);
    if (!kind.expected || quantity == quantities.end()) continue;
    if (quantity->fit) {
      verdicts.push_back(exponent_verdict(*quantity, *kind.expected));
    } else if (const auto none = std::ranges::find_if(
                   quantity->values, [](const CellValue& value) { return !(value.value > 0.0); });
               none != quantity->values.end()) {
      verdicts.push_back({StudyFinding::open, law_of(*quantity, *kind.expected),
                          fmt::format("no power of the width: {:.3g} at m = {}, seed {}",
                                      none->value, none->width, none->seed)});
    }
  }
  return verdicts;
}

}  // namespace widedeq
