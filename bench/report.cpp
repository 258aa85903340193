// JSON and CSV; the table is in table.cpp.
#include "bench/report.hpp"

#include <cmath>

#include "build_info.hpp"
#include "host/run/machine.hpp"

namespace widedeq::bench {
namespace {

Json shape_json(Shape shape) {
  return {{"m", shape.m}, {"n", shape.n}};
}

Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

void add_statistics(Json& record, const Statistics& timing) {
  record["samples"] = timing.samples;
  record["batch"] = timing.batch;
  record["warm_up_calls"] = timing.warm_up_calls;
  record["seconds_timed"] = timing.timed;
  record["seconds_median"] = timing.median;
  record["seconds_low"] = timing.low;
  record["seconds_high"] = timing.high;
  record["noise"] = number(timing.noise);
  record["seconds_least"] = timing.least;
  record["seconds_most"] = timing.most;
  record["seconds_mean"] = timing.mean;
}

Json roofline_json(const Roofline& roofline) {
  Json record;
  Json& memory = record["memory"];
  memory["bytes_per_second"] = roofline.memory.bytes_per_second;
  memory["bytes"] = roofline.memory.bytes;
  add_statistics(memory, roofline.memory.timing);
  for (const Precision precision : all_precisions) {
    const auto& peak = roofline.peak[precision];
    Json& entry = record[widedeq::name_of(precision)];
    if (!(peak.flops_per_second > 0.0)) continue;  // null
    entry["flops_per_second"] = peak.flops_per_second;
    entry.update(shape_json(peak.shape));
    add_statistics(entry, peak.timing);
  }
  return record;
}

std::string csv_field(const Json& value) {
  if (value.is_null()) return "";
  if (!value.is_string()) return value.dump();
  auto text = value.get<std::string>();
  if (text.find_first_of(",\"\r\n") == text.npos) return text;
  std::string quoted = "\"";
  for (const char c : text)
    quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

}  // namespace

Json row_json(const Row& row) {
  Json record;
  record["stage"] = row.stage;
  record["precision"] = widedeq::name_of(row.precision);
  record["m"] = row.shape.m;
  record["n"] = row.shape.n;
  record["ok"] = row.ok();
  record["failure"] = row.failure.empty() ? Json() : Json(row.failure);
  record["warning"] = row.warning.empty() ? Json() : Json(row.warning);
  record["check_m"] = row.check_shape.m;
  record["check_n"] = row.check_shape.n;
  record["error"] = number(row.error);
  record["tolerance"] = row.tolerance;
  add_statistics(record, row.timing);
  record["work_varies"] = row.work_varies;
  record["seconds"] = row.seconds();
  record["flops"] = row.work.useful_flops();
  record["flops_made"] = row.work.total_flops();
  for (const Precision precision : all_precisions) {  // mixed: int8
    const char* name = precision == Precision::mixed ? "int8" : name_of(precision);
    record[std::string("products_") + name] = row.work.products[precision];
  }
  record["bytes"] = row.work.bytes;
  record["products"] = row.work.total_products();
  record["flops_per_second"] = number(row.flops_per_second());
  record["bytes_per_second"] = number(row.bytes_per_second());
  record["product_seconds"] = row.product_seconds > 0.0 ? Json(row.product_seconds) : Json();
  record["product_noise"] = row.product_seconds > 0.0 ? number(row.product_noise) : Json();
  record["share_of_product"] = row.product_seconds > 0.0 ? number(row.share_of_product()) : Json();
  record["roofline_seconds"] = row.roofline_seconds;
  record["share_of_roofline"] = number(row.share_of_roofline());
  if (row.ok()) return record;
  // Not timed: everything after the check is unknown.
  bool after_check = false;
  for (auto& [name, value] : record.items()) {
    if (after_check) value = Json();
    after_check = after_check || name == "tolerance";
  }
  return record;
}

Json to_json(const BenchReport& report) {
  const BenchOptions& options = report.options;
  Json record;
  record["schema"] = bench_schema;
  record["version"] = build_info::version;
  record["commit"] = build_info::git_commit;
  record["started"] = report.started;
  record["machine"] = {
      {"host", host_name()}, {"processor", processor_model()}, {"features", processor_features()}};
  record["backend"] = report.backend;
  record["threads"] = options.config.threads;
  record["options"] = {{"inputs", options.inputs},
                       {"gamma", options.config.gamma},
                       {"tolerance", options.config.tolerance},
                       {"seed", options.config.seed},
                       {"cold", options.cold},
                       {"least_samples", options.stopping.least_samples},
                       {"least_seconds", options.stopping.least_seconds},
                       {"most_noise", options.stopping.most_noise},
                       {"max_seconds", options.stopping.max_seconds},
                       {"epochs", options.epochs}};
  record["roofline"] = roofline_json(report.roofline);
  record["stopped"] = report.stopped;
  Json& rows = record["rows"] = Json::array();
  for (const Row& row : report.rows)
    rows.push_back(row_json(row));
  return record;
}

std::string to_csv(const BenchReport& report) {
  std::string text;
  // The same in every line, for tables that are put together from several files.
  const Json run = {{"started", report.started},
                    {"commit", build_info::git_commit},
                    {"processor", processor_model()},
                    {"backend", report.backend},
                    {"threads", report.options.config.threads},
                    {"cold", report.options.cold}};
  const auto add_line = [&](const Row& row, const auto& field) {
    Json record = row_json(row);
    record.update(run);
    std::string line;
    for (const auto& [name, value] : record.items())
      line += (line.empty() ? "" : ",") + field(name, value);
    text += line + "\n";
  };
  add_line(Row(), [](const std::string& name, const Json&) { return name; });
  for (const Row& row : report.rows)
    add_line(row, [](const std::string&, const Json& value) { return csv_field(value); });
  return text;
}

}  // namespace widedeq::bench
