// The table of quantities, and how each is read off a run; see quantities.hpp.
#include "host/study/quantities.hpp"

#include <algorithm>
#include <cmath>

#include "host/run/prediction.hpp"

namespace widedeq {
namespace {

using Value = std::optional<double>;

/// The largest of a field over the Grams of a run that is done, the first left out: it is where
/// differences are counted from.
Value largest_later(const CellData& data, std::optional<double> GramRecord::*field) {
  Value largest;
  if (!data.is_done) return largest;
  for (std::size_t i = 1; i < data.run.grams.size(); ++i)
    if (const Value& value = data.run.grams[i].*field)
      largest = std::max(largest.value_or(*value), *value);
  return largest;
}

Value at_first_gram(const CellData& data, std::optional<double> GramRecord::*field) {
  return data.run.grams.empty() ? Value() : data.run.grams.front().*field;
}

Value at_last_epoch(const CellData& data, std::optional<double> EpochRecord::*field) {
  if (!data.is_done || data.run.epochs.empty()) return std::nullopt;
  return data.run.epochs.back().*field;
}

Value mean_sweeps(const CellData& data, std::optional<int> EpochRecord::*field) {
  double sum = 0.0, count = 0.0;
  for (const EpochRecord& epoch : data.run.epochs)
    if (const auto& sweeps = epoch.*field) {
      sum += *sweeps;
      count += 1.0;
    }
  return data.is_done && count > 0.0 ? Value(sum / count) : std::nullopt;
}

Value median_seconds(const CellData& data) {
  std::vector<double> seconds;
  for (const EpochRecord& epoch : data.run.epochs)
    if (epoch.seconds) seconds.push_back(*epoch.seconds);
  if (!data.is_done || seconds.empty()) return std::nullopt;
  const auto middle = seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  return *middle;
}

Value largest_norm(const CellData& data) {
  Value largest;
  const auto look = [&](const Value& norm) {
    if (norm) largest = std::max(largest.value_or(*norm), *norm);
  };
  for (const GramRecord& gram : data.run.grams)
    look(gram.operator_norm);
  for (const EpochRecord& epoch : data.run.epochs)
    look(epoch.operator_norm);
  return data.is_done ? largest : std::nullopt;
}

/// -log of the factor that the loss is multiplied by in an epoch, fitted to the second half.
Value measured_rate(const CellData& data) {
  if (!data.is_done) return std::nullopt;
  std::vector<double> losses;
  for (const EpochRecord& epoch : data.run.epochs)
    losses.push_back(epoch.loss);
  const double rate = -std::log(loss_factor(above_noise(losses, data.run.config.tolerance)));
  return std::isfinite(rate) ? Value(rate) : std::nullopt;
}

Value rate_over_guaranteed(const CellData& data) {
  const Value rate = measured_rate(data), eta = constant_rate(data.run);
  if (!rate || !eta || data.run.grams.empty()) return std::nullopt;
  const double guaranteed = guaranteed_rate(data.run, *eta, data.run.grams.front().lambda_min);
  return guaranteed > 0.0 && std::isfinite(guaranteed) ? Value(*rate / guaranteed) : std::nullopt;
}

/// Whether the weights were drawn, which is what limits are of.
bool is_drawn(const CellData& data) {
  return !data.cell->config.weights_from_file();
}

Value in_limit(const CellData& data, double CellLimit::*member) {
  return data.limit ? Value((*data.limit).*member) : std::nullopt;
}

constexpr ExpectedExponent minus_half{-0.5}, at_most_minus_half{-0.5, true}, constant{0.0};

const QuantityKind kinds[] = {
    {"error_state", "relative error of Z'Z", "||Z'Z - K||_F / ||K||_F", minus_half,
     [](const CellData& data) { return data.errors.state; }, nullptr},
    {"error_adjoint", "relative error of L'L/m", "||L'L/m - Q||_F / ||Q||_F", minus_half,
     [](const CellData& data) { return data.errors.adjoint; }, nullptr},
    {"error_ntk", "relative error of the NTK", "||H(0) - H||_F / ||H||_F, H of infinite width",
     minus_half, [](const CellData& data) { return data.errors.ntk; }, nullptr},
    {"lambda_min_ntk", "smallest eigenvalue of the NTK", "lambda_min(H(0))", std::nullopt,
     [](const CellData& data) {
       return data.run.grams.empty() ? Value() : Value(data.run.grams.front().lambda_min);
     },
     [](const CellData& data) { return in_limit(data, &CellLimit::ntk_lambda_min); }},
    {"lambda_min_features", "smallest eigenvalue of the features' Gram", "lambda_min(Phi'Phi)",
     std::nullopt,
     [](const CellData& data) { return at_first_gram(data, &GramRecord::feature_lambda_min); },
     [](const CellData& data) { return in_limit(data, &CellLimit::feature_lambda_min); }},
    {"kernel_drift", "drift of the kernel", "max over training of ||H(k) - H(0)||_F / ||H(0)||_F",
     at_most_minus_half,
     [](const CellData& data) { return largest_later(data, &GramRecord::drift); }, nullptr},
    {"distance_A", "drift of the weights", "max over training of ||A(k) - A(0)||_F", constant,
     [](const CellData& data) { return largest_later(data, &GramRecord::distance_A); }, nullptr},
    {"flipped", "share of activations that flip",
     "max over training of #{1[P(k)>0] != 1[P(0)>0]}/(m n)", at_most_minus_half,
     [](const CellData& data) { return largest_later(data, &GramRecord::flipped); }, nullptr},
    {"operator_norm", "norm of A", "max over training of ||A||_2/sqrt(m), from below", std::nullopt,
     largest_norm, [](const CellData& data) { return is_drawn(data) ? Value(2.0) : Value(); }},
    {"rate", "rate of the loss",
     "-log(factor of the loss an epoch), second half of the epochs whose losses solves can tell",
     std::nullopt, measured_rate, nullptr},
    {"rate_ratio", "rate over the guaranteed one",
     "rate / (-2 log(1 - eta lambda_min(H(0)))), of the flow rate / (2 eta lambda_min(H(0)))",
     std::nullopt, rate_over_guaranteed, nullptr},
    {"sweeps_forward", "sweeps of a forward solve", "mean over training", std::nullopt,
     [](const CellData& data) { return mean_sweeps(data, &EpochRecord::sweeps_forward); }, nullptr},
    {"sweeps_adjoint", "sweeps of an adjoint solve", "mean over training", std::nullopt,
     [](const CellData& data) { return mean_sweeps(data, &EpochRecord::sweeps_adjoint); }, nullptr},
    {"loss", "last loss", "1/2 sum r^2 in the last epoch", std::nullopt,
     [](const CellData& data) {
       const bool has_loss = data.is_done && !data.run.epochs.empty();
       return has_loss ? Value(data.run.epochs.back().loss) : Value();
     },
     nullptr},
    {"test_loss", "last held-out loss", "1/2 sum r^2 over held-out samples", std::nullopt,
     [](const CellData& data) { return at_last_epoch(data, &EpochRecord::test_loss); }, nullptr},
    {"test_error", "last held-out error", "share of misclassified held-out samples", std::nullopt,
     [](const CellData& data) { return at_last_epoch(data, &EpochRecord::test_error); }, nullptr},
    {"seconds", "seconds an epoch", "median over training", std::nullopt, median_seconds, nullptr},
};

}  // namespace

std::span<const QuantityKind> quantity_kinds() {
  return kinds;
}

std::optional<double> constant_rate(const RunData& run) {
  const bool has_changed = std::ranges::any_of(
      run.resumed, [](const ResumedRecord& record) { return changes_steps(record.changes); });
  return run.config.batch_size > 0 || has_changed || !run.halved.empty() ? std::nullopt
                                                                         : run.learning_rate;
}

double guaranteed_rate(const RunData& run, double eta, double lambda) {
  if (run.config.optimizer == Optimizer::flow) return 2.0 * eta * lambda;
  return -2.0 * std::log1p(-eta * lambda);
}

}  // namespace widedeq
