// The page about a run.
#include <fmt/format.h>

#include <cmath>

#include "host/study/gram_maps.hpp"
#include "host/study/notation.hpp"
#include "host/study/report.hpp"
#include "host/study/run_digest.hpp"
#include "host/study/run_figures.hpp"
#include "host/study/run_tables.hpp"

namespace widedeq {
namespace {

/// What this is, in one paragraph.
std::string introduction(const RunData& run) {
  std::string html = "A wide ReLU equilibrium network";
  if (const auto width = run.width()) html += " of " + people_count(*width) + " units";
  const auto formula = [](const std::string& notation) {
    return "<span class=\"formula\">" + notation_to_html(notation) + "</span>";
  };
  html += ", " +
          formula(run.config.injection == Injection::relu ? "z = relu(s A z + relu(W x)/sqrt(m))"
                                                          : "z = relu(s A z + W x/sqrt(m))") +
          " with " + formula("s = gamma/sqrt(m)") + " and " +
          formula("gamma = " + people_number(run.config.gamma));
  html += ", trained on ";
  const std::string data = text_of(run.record, "data");
  html += html_escaped(data.empty() ? run.config.data : data);
  if (run.learning_rate)
    html += (run.halved.empty() ? ", with step " : ", with step (at first) ") +
            formula("eta = " + people_number(*run.learning_rate));
  html += fmt::format(". Of {} epochs there {} {} here; the run is ", run.config.epochs,
                      run.epochs.size() == 1 ? "is" : "are", run.epochs.size());
  return html + "<strong>" + html_escaped(run.status) + "</strong>.";
}

std::vector<std::pair<std::string, std::string>> headline(const RunData& run,
                                                          const RunDigest& digest) {
  std::vector<std::pair<std::string, std::string>> values;
  const auto add = [&](double value, const std::string& prefix, const std::string& meaning) {
    if (std::isfinite(value))
      values.emplace_back(notation_to_html(prefix + people_number(value)),
                          notation_to_html(meaning));
  };
  if (!run.epochs.empty()) {
    const EpochRecord& last = run.epochs.back();
    add(last.loss, "", fmt::format("loss, epoch {}", last.epoch));
    add(digest.factor, "×\u2009", "the loss, each epoch");
    if (const auto error = last_of(run, &EpochRecord::test_error))
      values.emplace_back(people_percent(error->value),
                          fmt::format("test error, epoch {}", error->epoch));
  }
  if (!run.grams.empty())
    add(run.grams.back().lambda_min, "",
        fmt::format("lambda_min(H), epoch {}", run.grams.back().epoch));
  if (digest.q) add(digest.q->value, "", "largest gamma ||A||_2/sqrt(m)");
  return values;
}

/// In two halves.
std::vector<Table> key_tables(const RunData& run, const RunDigest& digest) {
  std::vector<std::vector<std::string>> rows;
  for (const KeyFigure& figure : key_figures(run, digest))
    if (figure.value) rows.push_back({notation_to_html(figure.name), value_html(figure)});
  std::vector<Table> halves(2);
  for (std::size_t k = 0; k < rows.size(); ++k)
    halves[2 * k < rows.size() ? 0 : 1].rows.push_back(rows[k]);
  for (Table& half : halves)
    half.numbers = {false, true};
  return halves;
}

std::vector<Figure> maps_of(const RunData& run) {
  if (!run.ntk_first) return {};
  const SampleOrder order = sample_order(run);
  std::vector<ShownGram> grams = {{"gram-first", "H, first Gram", &*run.ntk_first, &order}};
  const bool has_last =
      run.ntk_last && run.ntk_last->rows == run.ntk_first->rows && run.grams.size() > 1;
  if (has_last) grams.push_back({"gram-last", "H, last Gram", &*run.ntk_last, &order});
  std::vector<Figure> figures = gram_maps(grams);
  if (has_last) figures.push_back(gram_change("gram-change", *run.ntk_first, *run.ntk_last, order));
  return figures;
}

}  // namespace

Page report_of_run(const RunData& run) {
  const RunDigest digest = widedeq::digest(run);
  const ShownRun shown{"", &run, &digest};
  Page page(run_title(run), "widedeq run " + run.directory);
  page.paragraph(introduction(run));
  page.headline(headline(run, digest));

  const auto verdicts = run_verdicts(run, digest);
  if (!verdicts.empty()) page.section("What it says to the theory");
  page.verdicts(verdicts);

  if (!run.epochs.empty()) page.section("Training");
  page.figures({loss_figure({&shown, 1})});
  page.figures(training_figures({&shown, 1}));
  page.table(event_table(run));

  if (!run.grams.empty() || run.ntk_first) page.section("The kernel");
  page.figures(kernel_figures({&shown, 1}));
  page.figures(maps_of(run));

  if (!run.certificates.empty()) page.section("Certificates");
  page.table(certificate_table(run));

  page.section("Key figures");
  page.tables(key_tables(run, digest));
  page.section("Where it comes from");
  if (const std::string command = repeating_command(run); !command.empty())
    page.paragraph("Repeat it: <code>" + html_escaped(command) + "</code>");
  page.folded("Program, machine and sessions", provenance_table(run));
  page.folded("Settings", settings_table(run));
  return page;
}

}  // namespace widedeq
