// One function a figure, for one run or several; see run_figures.hpp.
#include "host/study/run_figures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

#include "host/run/prediction.hpp"
#include "host/study/notation.hpp"

namespace widedeq {
namespace {

// As many as a curve of ours has pixels, and some.
constexpr std::size_t most_points = 1200;

Axis epochs(std::span<const ShownRun> runs) {
  int last = 0;
  for (const ShownRun& shown : runs) {
    if (!shown.run->epochs.empty()) last = std::max(last, shown.run->epochs.back().epoch);
    if (!shown.run->grams.empty()) last = std::max(last, shown.run->grams.back().epoch);
  }
  Axis axis;
  axis.label = "epoch";
  axis.integers = true;
  axis.low = 0.0;
  axis.high = std::max(last, 1);
  return axis;
}

Axis values(const std::string& label, bool log) {
  Axis axis;
  axis.label = label;
  axis.log = log;
  return axis;
}

Axis percents(const std::string& label) {
  Axis axis = values(label, false);
  axis.low = 0.0;
  axis.unit = " %";
  return axis;
}

/// What tells the k-th curve of the run-th run from the others.
Pen pen_of(std::span<const ShownRun> runs, std::size_t run, int k) {
  if (runs.size() == 1) return pen(k);
  Pen chosen = pen(static_cast<int>(run));
  chosen.dash = k;
  chosen.point = static_cast<int>(run);
  if (run > 0) chosen.width = 1.4;  // where two curves agree, the one below is still seen
  return chosen;
}

std::string titled(const ShownRun& shown, const std::string& title) {
  if (shown.name.empty()) return title;
  return title.empty() ? shown.name : shown.name + " " + title;
}

using EpochValue = std::function<std::optional<double>(const EpochRecord&)>;
using GramValue = std::function<std::optional<double>(const GramRecord&)>;

/// One number of every record. Few of them get points, or nobody would know where they are.
template <class Record, class Value>
Series series_of(const std::vector<Record>& records, const Value& value, std::string title,
                 Pen pen) {
  Series series;
  series.title = std::move(title);
  series.pen = std::move(pen);
  // What few records have is not to be thinned away with the rest.
  std::vector<const Record*> with_value;
  for (const Record& record : records)
    if (value(record)) with_value.push_back(&record);
  for (const std::size_t k : thinned(with_value.size(), most_points)) {
    series.x.push_back(with_value[k]->epoch);
    series.y.push_back(*value(*with_value[k]));
  }
  if (series.x.size() <= 40) series.mark = Mark::line_points;
  return series;
}

std::optional<double> as_number(double value) {
  return value;
}

template <class Value>
std::optional<double> as_number(const std::optional<Value>& value) {
  return value ? std::optional(static_cast<double>(*value)) : std::nullopt;
}

template <class Member>
auto member_of(Member member) {
  return [member](const auto& record) { return as_number(record.*member); };
}

template <class Member>
auto percent_of(Member member) {
  return [value = member_of(member)](const auto& record) -> std::optional<double> {
    const auto share = value(record);
    return share ? std::optional(100.0 * *share) : std::nullopt;
  };
}

/// A curve of epochs for each run and quantity.
struct EpochQuantity {
  std::string title;
  EpochValue value;
};

Figure epoch_figure(std::string name, std::string title, std::span<const ShownRun> runs, Axis y,
                    const std::vector<EpochQuantity>& quantities, Mark mark = Mark::line) {
  Figure figure;
  figure.name = std::move(name);
  figure.title = std::move(title);
  figure.x = epochs(runs);
  figure.y = std::move(y);
  for (std::size_t r = 0; r < runs.size(); ++r)
    for (std::size_t k = 0; k < quantities.size(); ++k) {
      Series series =
          series_of(runs[r].run->epochs, quantities[k].value, titled(runs[r], quantities[k].title),
                    pen_of(runs, r, static_cast<int>(k)));
      if (mark == Mark::steps || series.x.size() > 40) series.mark = mark;
      figure.series.push_back(std::move(series));
    }
  return figure;
}

Figure gram_figure(std::string name, std::string title, std::span<const ShownRun> runs, Axis y,
                   const GramValue& value) {
  Figure figure;
  figure.name = std::move(name);
  figure.title = std::move(title);
  figure.x = epochs(runs);
  figure.y = std::move(y);
  for (std::size_t r = 0; r < runs.size(); ++r)
    figure.series.push_back(
        series_of(runs[r].run->grams, value, titled(runs[r], ""), pen_of(runs, r, 0)));
  return figure;
}

/// Between two quantiles of the eigenvalues, over epochs.
Series band_of(const RunData& run, double low, double high, const std::string& title,
               const char* colour) {
  Series band;
  band.title = title;
  band.mark = Mark::band;
  band.pen.colour = colour;
  for (const Spectrum& spectrum : run.spectra) {
    band.x.push_back(spectrum.epoch);
    band.y.push_back(quantile(spectrum.eigenvalues, low));
    band.high.push_back(quantile(spectrum.eigenvalues, high));
  }
  return band;
}

}  // namespace

Figure loss_figure(std::span<const ShownRun> runs) {
  Figure figure = epoch_figure("loss", "loss 1/2 sum r^2", runs, values("loss", true), {});
  figure.is_wide = true;
  bool is_predicted = false, is_tested = false, is_open = false;
  for (std::size_t r = 0; r < runs.size(); ++r) {
    const ShownRun& shown = runs[r];
    const std::vector<EpochRecord>& records = shown.run->epochs;
    const std::vector<double>& predicted = shown.digest->predicted;
    figure.series.push_back(series_of(records, member_of(&EpochRecord::loss),
                                      titled(shown, "training"), pen_of(runs, r, 0)));
    if (!predicted.empty()) {
      is_predicted = true;
      figure.series.push_back(series_of(
          records,
          [&](const EpochRecord& record) {
            return std::optional(predicted[static_cast<std::size_t>(record.epoch)]);
          },
          titled(shown, "predicted"), pen_of(runs, r, 1)));
    }
    figure.series.push_back(series_of(records, member_of(&EpochRecord::test_loss),
                                      titled(shown, "test"), pen_of(runs, r, 2)));
    is_tested = is_tested || !figure.series.back().x.empty();
    const std::vector<double>& losses = shown.digest->losses;
    is_open = is_open || above_noise(losses, shown.run->config.tolerance).size() < losses.size();
  }
  figure.caption = "The loss before each epoch's update.";
  if (is_predicted)
    figure.caption +=
        " Predicted: r <- (I - eta H(0)) r, of the flow r(t) = exp(-H(0) t) r, what training would "
        "do if the kernel stayed as it was.";
  if (is_open)
    figure.caption +=
        " The lowest losses are known to no better than a tenth, for solves end at the tolerance.";
  if (is_tested) figure.caption += " Test: the same over held-out samples.";
  return figure;
}

Figure error_figure(std::span<const ShownRun> runs) {
  Figure figure = epoch_figure("error", "misclassified samples", runs, percents("share"),
                               {{"training", percent_of(&EpochRecord::error)},
                                {"test", percent_of(&EpochRecord::test_error)}});
  figure.caption = "Share of the samples on the wrong side, training and held-out.";
  return figure;
}

Figure residual_figure(std::span<const ShownRun> runs) {
  Figure figure =
      epoch_figure("residuals", "largest residual, relative", runs, values("residual", true),
                   {{"forward", member_of(&EpochRecord::residual_forward)},
                    {"adjoint", member_of(&EpochRecord::residual_adjoint)}});
  for (Series& series : figure.series)
    series.pen.width = 1.2;
  const double tolerance = runs.front().run->config.tolerance;
  const bool is_common = std::ranges::all_of(
      runs, [&](const ShownRun& shown) { return shown.run->config.tolerance == tolerance; });
  if (is_common) figure.references.push_back({tolerance, "tolerance"});
  figure.caption =
      "||f(z) - z|| / ||z|| of the worst sample when its solve ended, each epoch, forward and "
      "adjoint.";
  return figure;
}

Figure sweeps_figure(std::span<const ShownRun> runs) {
  Axis y = values("sweeps", false);
  y.integers = true;
  y.low = 0.0;
  Figure figure = epoch_figure("sweeps", "sweeps a solve", runs, y,
                               {{"forward", member_of(&EpochRecord::sweeps_forward)},
                                {"adjoint", member_of(&EpochRecord::sweeps_adjoint)}},
                               Mark::steps);
  for (Series& series : figure.series)
    series.pen.width = 1.5;
  figure.caption = "How often the network was gone through until every sample met the tolerance.";
  return figure;
}

Figure eigenvalue_figure(std::span<const ShownRun> runs) {
  Figure figure;
  figure.name = "eigenvalues";
  figure.title = "eigenvalues of the kernel H";
  figure.x = epochs(runs);
  figure.y = values("eigenvalue", true);
  figure.is_wide = true;
  figure.caption = "The smallest and the largest eigenvalue of the empirical NTK over training";
  const bool alone = runs.size() == 1;
  bool has_zeros = false;
  if (alone && runs[0].run->spectra.size() > 1) {
    figure.series.push_back(band_of(*runs[0].run, 0.05, 0.95, "5 to 95 %", "#dce4ee"));
    figure.series.push_back(band_of(*runs[0].run, 0.25, 0.75, "middle half", "#b4c5d9"));
    figure.caption += ", and between which values most of them lie";
  }
  for (std::size_t r = 0; r < runs.size(); ++r) {
    const RunData& run = *runs[r].run;
    const auto add = [&](const std::string& title, const GramValue& value, int k) {
      const auto unless_zero = [&](const GramRecord& gram) {
        const std::optional<double> entry = value(gram);
        const bool is_zero = entry && *entry <= run.zero_to_rounding();
        has_zeros = has_zeros || is_zero;
        return is_zero ? std::nullopt : entry;
      };
      figure.series.push_back(
          series_of(run.grams, unless_zero, titled(runs[r], title), pen_of(runs, r, k)));
    };
    add("lambda_max", member_of(&GramRecord::lambda_max), 0);
    add("lambda_min", member_of(&GramRecord::lambda_min), 1);
    if (alone) add("lambda_min(G)", member_of(&GramRecord::feature_lambda_min), 2);
  }
  figure.caption += alone ? ". G = Phi'Phi is the Gram of the features." : ".";
  if (has_zeros) figure.caption += " What is zero to rounding is left out.";
  return figure;
}

Figure spectrum_figure(std::span<const ShownRun> runs) {
  Figure figure;
  figure.name = "spectrum";
  figure.title = "spectrum of H";
  figure.x = values("number, the largest first", true);
  figure.y = values("eigenvalue", true);
  for (std::size_t r = 0; r < runs.size(); ++r) {
    const std::vector<Spectrum>& spectra = runs[r].run->spectra;
    const auto add = [&](const Spectrum& spectrum, int k) {
      Series series;
      series.title = titled(runs[r], fmt::format("epoch {}", spectrum.epoch));
      series.pen = pen_of(runs, r, k);
      const std::size_t n = spectrum.eigenvalues.size();
      for (std::size_t i = 0; i < n; ++i) {
        series.x.push_back(static_cast<double>(i + 1));
        series.y.push_back(spectrum.eigenvalues[n - 1 - i]);
      }
      figure.series.push_back(std::move(series));
    };
    if (!spectra.empty()) add(spectra.front(), 0);
    if (spectra.size() > 1) add(spectra.back(), 1);
  }
  figure.caption = "Every eigenvalue of the first and of the last Gram.";
  return figure;
}

Figure drift_figure(std::span<const ShownRun> runs) {
  Axis y = percents("drift");
  Figure figure = gram_figure("drift", "drift of the kernel ||H(k) - H(0)||_F / ||H(0)||_F", runs,
                              y, percent_of(&GramRecord::drift));
  figure.caption = "How far the kernel has moved from where it began, relative.";
  return figure;
}

Figure distance_figure(std::span<const ShownRun> runs) {
  Axis y = values("distance", false);
  y.low = 0.0;
  Figure figure = gram_figure("distance", "distance of the weights ||A(k) - A(0)||_F", runs, y,
                              member_of(&GramRecord::distance_A));
  figure.caption = "How far the recurrent weights have moved; ||A(0)||_F is about m.";
  return figure;
}

Figure contraction_figure(std::span<const ShownRun> runs) {
  Figure figure;
  figure.name = "contraction";
  figure.title = "contraction gamma ||A||_2/sqrt(m)";
  figure.x = epochs(runs);
  figure.y = values("contraction", false);
  for (std::size_t r = 0; r < runs.size(); ++r) {
    figure.series.push_back(series_of(
        contraction_curve(*runs[r].run),
        [](const AtEpoch& look) { return std::optional(look.value); }, titled(runs[r], "estimated"),
        pen_of(runs, r, 0)));
    Series certified = series_of(
        runs[r].run->certificates,
        [](const CertificateRecord& record) {
          return record.contraction.verdict == Verdict::certified
                     ? std::optional(record.contraction.value)
                     : std::nullopt;
        },
        titled(runs[r], "certified"), pen_of(runs, r, 1));
    certified.mark = Mark::points;
    figure.series.push_back(std::move(certified));
  }
  figure.references.push_back({1.0, "bound"});
  figure.caption =
      "Below 1 the equilibrium is unique and the iteration contracts. Estimates are from below, "
      "certificates from above.";
  return figure;
}

Figure flipped_figure(std::span<const ShownRun> runs) {
  Figure figure = gram_figure("flipped", "flipped activations", runs, percents("share"),
                              percent_of(&GramRecord::flipped));
  figure.caption = "Share of the activation pattern 1[P > 0] unlike that of the first Gram.";
  return figure;
}

std::vector<Figure> training_figures(std::span<const ShownRun> runs) {
  return {error_figure(runs), contraction_figure(runs), residual_figure(runs), sweeps_figure(runs)};
}

std::vector<Figure> kernel_figures(std::span<const ShownRun> runs) {
  return {eigenvalue_figure(runs), spectrum_figure(runs), drift_figure(runs), distance_figure(runs),
          flipped_figure(runs)};
}

double quantile(const std::vector<double>& ascending, double q) {
  const double at = q * static_cast<double>(ascending.size() - 1);
  const auto k = static_cast<std::size_t>(at);
  if (k + 1 >= ascending.size()) return ascending.back();
  const double part = at - static_cast<double>(k);
  return ascending[k] + part * (ascending[k + 1] - ascending[k]);
}

std::vector<std::size_t> thinned(std::size_t count, std::size_t most) {
  const std::size_t every = count <= most ? 1 : (count + most - 1) / most;
  std::vector<std::size_t> kept;
  for (std::size_t k = 0; k < count; k += every)
    kept.push_back(k);
  if (count > 0 && kept.back() + 1 != count) kept.push_back(count - 1);
  return kept;
}

}  // namespace widedeq
