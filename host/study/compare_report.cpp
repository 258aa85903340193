// The page about two runs.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "host/study/gram_maps.hpp"
#include "host/study/notation.hpp"
#include "host/study/report.hpp"
#include "host/study/run_digest.hpp"
#include "host/study/run_figures.hpp"
#include "host/study/run_tables.hpp"

namespace widedeq {
namespace {

/// Every setting of either; those that differ come first and are marked.
Table settings_of_both(const RunData& a, const RunData& b) {
  std::vector<std::string> names;
  for (const RunData* run : {&a, &b})
    for (const auto& [name, value] : run->settings)
      if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  const auto value_in = [](const RunData& run, const std::string& name) -> std::string {
    for (const auto& [key, value] : run.settings)
      if (key == name) return "<code>" + html_escaped(value) + "</code>";
    return "–";
  };
  Table table;
  table.head = {"setting", "A", "B"};
  for (const bool wants_different : {true, false})
    for (const std::string& name : names) {
      const std::string first = value_in(a, name), second = value_in(b, name);
      if ((first != second) != wants_different) continue;
      if (wants_different) table.emphasised.push_back(table.rows.size());
      table.rows.push_back({"<code>" + html_escaped(name) + "</code>", first, second});
    }
  return table;
}

Table key_figures_of_both(const RunData& a, const RunDigest& digest_a, const RunData& b,
                          const RunDigest& digest_b) {
  const auto first = key_figures(a, digest_a), second = key_figures(b, digest_b);
  Table table;
  table.head = {"", "A", "B", "B / A"};
  table.numbers = {false, true, true, true};
  for (std::size_t k = 0; k < first.size(); ++k) {
    if (!first[k].value && !second[k].value) continue;
    const double ratio = first[k].value.value_or(NAN);
    const double of = second[k].value.value_or(NAN);
    table.rows.push_back(
        {notation_to_html(first[k].name), value_html(first[k]), value_html(second[k]),
         std::isfinite(of / ratio) ? notation_to_html(people_number(of / ratio)) : ""});
  }
  return table;
}

std::vector<Figure> maps_of(const std::array<const RunData*, 2>& runs) {
  std::array<SampleOrder, 2> orders;
  std::vector<ShownGram> grams;
  for (const bool last : {false, true})
    for (std::size_t k = 0; k < 2; ++k) {
      const auto& gram = last ? runs[k]->ntk_last : runs[k]->ntk_first;
      if (!gram) continue;
      if (orders[k].indices.empty()) orders[k] = sample_order(*runs[k]);
      if (static_cast<Index>(orders[k].indices.size()) != gram->rows) continue;
      grams.push_back({fmt::format("gram-{}-{}", last ? "last" : "first", k == 0 ? "a" : "b"),
                       fmt::format("{}: H, {} Gram", k == 0 ? "A" : "B", last ? "last" : "first"),
                       &*gram, &orders[k]});
    }
  return gram_maps(grams);
}

}  // namespace

Page report_of_two(const RunData& a, const RunData& b) {
  const RunDigest digest_a = digest(a), digest_b = digest(b);
  const std::array runs = {ShownRun{"A", &a, &digest_a}, ShownRun{"B", &b, &digest_b}};
  Page page("Two runs: " + run_title(a) + " and " + run_title(b), "widedeq report compare");
  Table who;
  who.head = {"", "what", "directory", "status"};
  for (const auto& [name, run] : {std::pair("A", &a), std::pair("B", &b)})
    who.rows.push_back({std::string("<strong>") + name + "</strong>", html_escaped(run_title(*run)),
                        "<code>" + html_escaped(run->directory) + "</code>",
                        html_escaped(run->status)});
  page.table(who);

  page.section("Key figures");
  page.table(key_figures_of_both(a, digest_a, b, digest_b));
  page.section("Settings");
  page.paragraph("Those that differ are marked and come first.");
  page.table(settings_of_both(a, b));
  page.section("Training");
  page.figures({loss_figure(runs)});
  page.figures(training_figures(runs));
  page.section("The kernel");
  page.figures(kernel_figures(runs));
  page.figures(maps_of({&a, &b}));
  for (const auto& [name, run] : {std::pair("A", &a), std::pair("B", &b)})
    page.folded(std::string("Program, machine and sessions of ") + name, provenance_table(*run));
  return page;
}

}  // namespace widedeq
