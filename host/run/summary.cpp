// The table at a run's end, row by row; see summary.hpp.
#include "host/run/summary.hpp"

#include <fmt/format.h>

#include <cmath>

#include "host/run/prediction.hpp"

namespace widedeq {
namespace {

std::string number(double value) {
  return std::isfinite(value) ? fmt::format("{:.5g}", value) : "-";
}

std::string row(const std::string& name, const std::string& first, const std::string& second,
                const std::string& remark = "") {
  std::string line = fmt::format("  {:<18}{:>14}{:>14}", name, first, second);
  if (!remark.empty()) line += "   " + remark;
  return line + "\n";
}

/// Grams may begin later, in a session that was resumed inexactly.
bool has_first_kernel(const RunSummary& summary) {
  return summary.first_gram && summary.first_gram->epoch == 0;
}

std::vector<double> predicted_losses(const RunSummary& summary) {
  if (summary.in_batches || summary.first_residual.empty() || summary.halvings > 0 ||
      !has_first_kernel(summary) || !summary.learning_rate)
    return {};
  return affordable_losses(summary.first_gram->ntk, summary.first_residual, *summary.learning_rate,
                           static_cast<int>(summary.losses.size()), summary.is_flow);
}

}  // namespace

std::string summary_table(const RunSummary& summary) {
  if (summary.was_done)
    return fmt::format(
        "done before: {}{}\n", summary.directory,
        summary.passed_over.empty()
            ? ""
            : "; nothing is left to do with what has changed: " + summary.passed_over);
  std::string table = fmt::format("{} {} epochs: {}\n", summary.stopped ? "stopped after" : "done,",
                                  summary.losses.size(), summary.directory);
  if (summary.losses.empty()) return table;
  const std::size_t last = summary.losses.size() - 1;
  table += "\n" + row("", "epoch 0", fmt::format("epoch {}", last));
  table += row("loss", number(summary.losses.front()), number(summary.losses.back()));
  const auto add_score = [&](const char* name, const std::optional<double> EpochScores::*score) {
    const auto &first = summary.first_scores.*score, &final = summary.last_scores.*score;
    if (first && final) table += row(name, number(*first), number(*final));
  };
  add_score("misclassified", &EpochScores::error);
  add_score("test loss", &EpochScores::test_loss);
  add_score("test misclassified", &EpochScores::test_error);

  if (summary.first_gram) {
    const GramStatistics& first = *summary.first_gram;
    const GramStatistics& final = *summary.last_gram;
    table += "\n" +
             row("NTK", fmt::format("epoch {}", first.epoch), fmt::format("epoch {}", final.epoch));
    table += row("lambda_min", number(first.lambda_min), number(final.lambda_min));
    table += row("lambda_max", number(first.lambda_max), number(final.lambda_max));
  }

  const std::vector<double> predicted = predicted_losses(summary);
  const bool compared = !predicted.empty();
  table += "\n" + row("", "measured", compared ? "predicted" : "");
  table += row("last loss", number(summary.losses.back()), compared ? number(predicted.back()) : "",
               !compared         ? ""
               : summary.is_flow ? "by r(t) = exp(-H(0) t) r"
                                 : "by r <- (I - eta H(0)) r");
  const LossFactors factors = loss_factors(summary.losses, predicted, summary.tolerance);
  table += row(
      "loss per epoch", "x " + number(factors.measured),
      compared ? "x " + number(factors.predicted) : "",
      factors.epochs == summary.losses.size()
          ? "fit of log loss over the second half"
          : fmt::format("the same over {} epochs, whose losses solves can tell", factors.epochs));
  if (summary.halvings > 0)
    table += row("step halved", fmt::format("{} x", summary.halvings), "",
                 fmt::format("from {}", number(*summary.learning_rate)));
  if (has_first_kernel(summary) && !summary.in_batches && !summary.first_residual.empty()) {
    const double decay = *summary.learning_rate * summary.first_gram->lambda_min;
    const double fastest = *summary.learning_rate * summary.first_gram->lambda_max;
    // Beyond 2 / (lambda_min + lambda_max) it is the fastest mode that overshoots by most.
    const bool overshoots = !summary.is_flow && fastest - 1.0 > 1.0 - decay;
    const double factor = summary.is_flow ? std::exp(-2.0 * decay)
                                          : std::pow(1.0 - (overshoots ? fastest : decay), 2);
    table += row("slowest mode", "", "x " + number(factor),
                 fmt::format("{}, eta = {}",
                             summary.is_flow ? "exp(-2 eta lambda_min)"
                             : overshoots    ? "(1 - eta lambda_max)^2"
                                             : "(1 - eta lambda_min)^2",
                             number(*summary.learning_rate)));
  }
  return table;
}

}  // namespace widedeq
