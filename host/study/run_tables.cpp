// Provenance, settings, certificate and events as tables; see run_tables.hpp.
#include "host/study/run_tables.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "host/study/notation.hpp"

namespace widedeq {
namespace {

std::string code(const std::string& text) {
  return "<code>" + html_escaped(text) + "</code>";
}

std::string certificate_html(const Certificate& certificate) {
  std::string html = std::string(describe(certificate.verdict));
  if (certificate.verdict != Verdict::refused)
    html += " " + notation_to_html(people_number(certificate.value));
  return html;
}

}  // namespace

std::string run_title(const RunData& run) {
  std::string data = run.config.data.substr(0, run.config.data.find(':'));
  if (data == "mnist") data = "MNIST";
  if (data == "npy") data = "your data";
  std::string title = data;
  if (run.config.classes) {
    title += run.config.classes->size() == 1 ? ", class" : ", classes";
    for (std::size_t k = 0; k < run.config.classes->size(); ++k)
      title += (k > 0 ? ", " : " ") + std::to_string((*run.config.classes)[k]);
  }
  title[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(title[0])));
  if (const auto width = run.width()) title += fmt::format("; width {}", people_count(*width));
  return title;
}

Table provenance_table(const RunData& run) {
  Table table;
  if (!run.provenance.is_object()) return table;
  const auto add = [&](const char* what, const std::string& html) {
    if (!html.empty()) table.rows.push_back({what, html});
  };
  const auto text = [&](const char* name) { return html_escaped(text_of(run.provenance, name)); };
  add("program",
      "widedeq " + text("version") + ", commit " + code(text_of(run.provenance, "commit")));
  if (const auto build = run.provenance.find("build");
      build != run.provenance.end() && build->is_object())
    add("build", html_escaped(text_of(*build, "type") + ", " + text_of(*build, "compiler") + ", ") +
                     code(text_of(*build, "flags")));
  add("machine", text("host") + ", " + text("processor"));
  add("backend", text("backend"));
  add("threads", text("threads"));
  add("seed", text("seed"));
  add("data", text("data") + (text("data_checksum").empty()
                                  ? ""
                                  : ", XXH3 " + code(text_of(run.provenance, "data_checksum"))));
  const auto sessions = run.provenance.find("sessions");
  if (sessions == run.provenance.end() || !sessions->is_array()) return table;
  for (const Json& session : *sessions) {
    if (!session.is_object()) continue;
    add("session",
        html_escaped(fmt::format("{} on {}, from epoch {}: ", text_of(session, "started"),
                                 text_of(session, "host"), text_of(session, "from_epoch"))) +
            code(text_of(session, "command_line")));
  }
  return table;
}

Table settings_table(const RunData& run) {
  Table table;
  for (const auto& [name, value] : run.settings)
    table.rows.push_back({code(name), code(value)});
  return table;
}

Table certificate_table(const RunData& run) {
  Table table;
  if (run.certificates.empty()) return table;
  table.head = {"epoch", notation_to_html("q = gamma ||A||_2/sqrt(m) from above"),
                "distance from the equilibrium", notation_to_html("lambda_min(H) from below"),
                "how, or why not"};
  table.numbers = {true};
  for (const CertificateRecord& record : run.certificates) {
    std::vector<std::string> reasons;
    for (const Certificate* entry : {&record.contraction, &record.distance, &record.lambda_min})
      if (!entry->reason.empty() && std::ranges::find(reasons, entry->reason) == reasons.end())
        reasons.push_back(entry->reason);
    std::string why;
    for (const std::string& reason : reasons)
      why += (why.empty() ? "" : "; ") + notation_to_html(reason);
    table.rows.push_back({std::to_string(record.epoch), certificate_html(record.contraction),
                          certificate_html(record.distance), certificate_html(record.lambda_min),
                          why});
  }
  return table;
}

Table event_table(const RunData& run) {
  Table table;
  for (const HalvedRecord& record : run.halved)
    table.rows.push_back({fmt::format("epoch {}", record.epoch),
                          "step halved to " +
                              notation_to_html(people_number(record.learning_rate)) + ": " +
                              html_escaped(record.reason)});
  for (const ResumedRecord& record : run.resumed) {
    std::string changes;
    for (const Change& change : record.changes)
      changes += (changes.empty() ? "" : ", ") + change.name + " " + to_line(change.before) +
                 " → " + to_line(change.now);
    table.rows.push_back(
        {fmt::format("epoch {}", record.epoch), "resumed with changes: " + html_escaped(changes)});
  }
  if (run.ended)
    table.rows.push_back({fmt::format("epoch {}", run.ended->epoch),
                          "ended the run: " + html_escaped(run.ended->reason)});
  return table;
}

std::string repeating_command(const RunData& run) {
  return run.provenance.is_object() ? text_of(run.provenance, "repeat") : "";
}

}  // namespace widedeq
