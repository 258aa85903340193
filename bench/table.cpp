// The Markdown table; see report.hpp.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "bench/report.hpp"
#include "build_info.hpp"
#include "host/run/machine.hpp"

namespace widedeq::bench {
namespace {

std::string percent(double share) {
  return format_three(100.0 * share) + " %";
}

std::string plural(std::size_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

}  // namespace

std::string format_three(double value) {
  if (!std::isfinite(value)) return "-";
  if (value == 0.0) return "0";
  const double size = std::abs(value);
  std::string scientific = fmt::format("{:.2e}", value);
  if (size < 0.001 || size >= 1e7) return scientific;
  // The exponent after rounding: 9.999 is 10.0.
  const int exponent = std::stoi(scientific.substr(scientific.find('e') + 1));
  return fmt::format("{:.{}f}", value, std::max(0, 2 - exponent));
}

std::string format_seconds(double seconds) {
  // A number that rounds up to 1000 belongs to the next unit.
  if (seconds < 999.5e-9) return format_three(1e9 * seconds) + " ns";
  if (seconds < 999.5e-6) return format_three(1e6 * seconds) + " us";
  if (seconds < 999.5e-3) return format_three(1e3 * seconds) + " ms";
  return format_three(seconds) + " s";
}

Table::Table(const BenchReport& report) : report_(report), stage_(5), m_(1), n_(1) {
  for (const Stage& stage : report.options.stages)
    stage_ = std::max(stage_, stage.name.size());
  for (const Shape shape : report.options.shapes) {
    m_ = std::max(m_, std::to_string(shape.m).size());
    n_ = std::max(n_, std::to_string(shape.n).size());
  }
}

std::string Table::head() const {
  const TrainConfig& config = report_.options.config;
  const Roofline& roofline = report_.roofline;
  std::string text = fmt::format(
      "widedeq {} ({}), {}, {}\n{}\nd = {}, gamma {}, tolerance {}, seed {}\n\n",
      build_info::version, build_info::git_commit, report_.started, processor_model(),
      report_.backend, report_.options.inputs, config.gamma, config.tolerance, config.seed);
  text += fmt::format("Roofline: {} GB/s", format_three(roofline.memory.bytes_per_second / 1e9));
  for (const Precision precision : all_precisions)
    if (const auto& peak = roofline.peak[precision]; peak.flops_per_second > 0.0)
      text += fmt::format(", {} {} Gflop/s", widedeq::name_of(precision),
                          format_three(peak.flops_per_second / 1e9));
  const StoppingOptions& stopping = report_.options.stopping;
  text += fmt::format(
      "\nSeconds: the median; of epochs, which differ, the mean. Noise: half the median's 95 % "
      "interval. !: not below {:g} %, or fewer than {} samples or {:g} s, within {:g} s\n",
      100.0 * stopping.most_noise, stopping.least_samples, stopping.least_seconds,
      stopping.max_seconds);
  if (report_.options.cold) text += "Cold: 512 MiB are written before every call\n";
  if (report_.options.epochs > 0)
    text += fmt::format("Of each case the same {}\n", plural(report_.options.epochs, "epoch"));
  text += fmt::format(
      "\n| {:<{}} | precision | {:>{}} | {:>{}} | seconds |     noise | Gflop/s |   GB/s | product "
      "| "
      "roofline |   error |\n",
      "stage", stage_, "m", m_, "n", n_);
  const auto rule = [](std::size_t width, bool right) {
    return std::string(width + 1, '-') + (right ? ":|" : "-|");
  };
  text += "|" + rule(stage_, false) + rule(9, false) + rule(m_, true) + rule(n_, true);
  for (const std::size_t width : {7U, 9U, 7U, 6U, 7U, 8U, 7U})
    text += rule(width, true);
  return text + "\n";
}

std::string Table::line(const Row& row) const {
  const std::string text =
      fmt::format("| {:<{}} | {:<9} | {:>{}} | {:>{}} ", row.stage, stage_,
                  widedeq::name_of(row.precision), row.shape.m, m_, row.shape.n, n_);
  const auto cells = [&](const std::string& seconds, const std::string& noise,
                         const std::string& flops, const std::string& bytes,
                         const std::string& product, const std::string& roofline,
                         const std::string& error) {
    return text + fmt::format("| {:>7} | {:>9} | {:>7} | {:>6} | {:>7} | {:>8} | {:>7} |\n",
                              seconds, noise, flops, bytes, product, roofline, error);
  };
  if (!row.ok()) return cells("FAILED", "", "", "", "", "", row.failure);
  const auto rate = [](double value) { return value > 0.0 ? format_three(value / 1e9) : "-"; };
  const std::string noise =
      std::isfinite(row.timing.noise) ? fmt::format("{:.2f} %", 100.0 * row.timing.noise) : "?";
  return cells(format_seconds(row.seconds()), row.warning.empty() ? noise : noise + " !",
               rate(row.flops_per_second()), rate(row.bytes_per_second()),
               row.product_seconds > 0.0 ? percent(row.share_of_product()) : "-",
               percent(row.share_of_roofline()),
               row.error == 0.0 ? "0" : fmt::format("{:.1e}", row.error));
}

std::string reservations(const BenchReport& report) {
  std::string text;
  const auto say = [&](const std::string& sentence) {
    text += (text.empty() ? "" : "; ") + sentence;
  };
  if (const std::size_t count = report.warnings(); count > 0)
    say(fmt::format("{} of {} marked !: not measured well within {:g} s", count,
                    plural(report.rows.size(), "row"), report.options.stopping.max_seconds));
  if (report.stopped) say("stopped early");
  return text;
}

}  // namespace widedeq::bench
