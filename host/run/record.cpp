// Building the records of metrics.jsonl.
#include "host/run/record.hpp"

#include "build_info.hpp"
#include "host/failure.hpp"

namespace widedeq {

Json run_record(const TrainConfig& config, const RunFacts& facts) {
  Json record;
  record["kind"] = "run";
  record["schema"] = metrics_schema;
  record["version"] = build_info::version;
  record["commit"] = build_info::git_commit;
  record["data"] = facts.data;
  record["samples"] = facts.samples;
  record["inputs"] = facts.inputs;
  record["width"] = facts.width;
  record["precision"] = name_of(facts.precision);
  record["backend"] = facts.backend;
  record["threads"] = config.threads;
  record["chunk"] = facts.chunk;
  record["learning_rate"] = facts.learning_rate ? Json(*facts.learning_rate) : Json();
  record["config"] = config_json(config);
  return record;
}

Json epoch_record(int epoch, const Evaluation& evaluation, const EpochScores& scores,
                  double gradient_norm, double seconds) {
  Json record;
  record["kind"] = "epoch";
  record["epoch"] = epoch;
  record["loss"] = evaluation.loss;
  const auto add = [&](const char* name, const std::optional<double>& value) {
    if (value) record[name] = *value;
  };
  add("error", scores.error);
  add("test_loss", scores.test_loss);
  add("test_error", scores.test_error);
  add("operator_norm", scores.operator_norm);
  record["residual_forward"] = evaluation.forward.worst_residual;
  record["residual_adjoint"] = evaluation.adjoint.worst_residual;
  record["sweeps_forward"] = evaluation.forward.sweeps;
  record["sweeps_adjoint"] = evaluation.adjoint.sweeps;
  add("audit_forward", evaluation.forward.audit);
  add("audit_adjoint", evaluation.adjoint.audit);
  record["gradient_norm"] = gradient_norm;
  record["seconds"] = seconds;
  return record;
}

Json gram_record(const GramStatistics& gram) {
  Json record;
  record["kind"] = "gram";
  record["epoch"] = gram.epoch;
  record["lambda_min"] = gram.lambda_min;
  record["lambda_max"] = gram.lambda_max;
  record["trace"] = gram.trace;
  record["drift"] = gram.drift;
  record["feature_lambda_min"] = gram.feature_lambda_min;
  record["operator_norm"] = gram.weights.operator_norm;
  if (gram.weights.distance) record["distance_A"] = *gram.weights.distance;
  record["flipped"] = gram.flipped;
  return record;
}

Json certificate_record(int epoch, const Certificates& certificates) {
  const auto entry = [](const Certificate& certificate) {
    Json object;
    object["verdict"] = describe(certificate.verdict);
    object["value"] = certificate.value;
    object["probability"] = certificate.probability;
    object["reason"] = certificate.reason;
    return object;
  };
  Json record;
  record["kind"] = "certificate";
  record["epoch"] = epoch;
  record["contraction"] = entry(certificates.contraction);
  record["distance"] = entry(certificates.distance);
  record["lambda_min"] = entry(certificates.lambda_min);
  return record;
}

Json halved_record(int epoch, double learning_rate, int replaces, const std::string& reason) {
  Json record;
  record["kind"] = "halved";
  record["epoch"] = epoch;
  record["learning_rate"] = learning_rate;
  record["replaces"] = replaces;
  record["reason"] = reason;
  return record;
}

bool changes_steps(const std::vector<Change>& changes) {
  return std::ranges::any_of(changes, [](const Change& change) {
    return change.name == "learning-rate" || change.name == "optimizer" ||
           change.name == "batch-size" || change.name == "data";
  });
}

Json ended_record(int epoch, std::string_view cause, const std::string& reason,
                  std::optional<double> operator_norm) {
  Json record;
  record["kind"] = "ended";
  record["epoch"] = epoch;
  record["cause"] = cause;
  record["reason"] = reason;
  if (operator_norm) record["operator_norm"] = *operator_norm;
  return record;
}

Json resumed_record(int epoch, const std::vector<Change>& changes) {
  Json record;
  record["kind"] = "resumed";
  record["epoch"] = epoch;
  Json& changed = record["changed"] = Json::object();
  for (const Change& change : changes)
    changed[change.name] = {change.before, change.now};
  return record;
}

Json config_json(const TrainConfig& config) {
  Json object = Json::object();
  for (const Setting& entry : settings()) {
    const auto text = entry.get(config);
    if (!text || !entry.computes) continue;
    Json& value = object[std::string(entry.name)];
    // JSON and the settings write numbers, booleans and comma-separated integers alike.
    const bool literal = entry.kind != SettingKind::text && *text != "auto";
    if (entry.kind == SettingKind::integers) {
      value = Json::parse("[" + *text + "]");
    } else if (literal) {
      value = Json::parse(*text);
    } else {
      value = *text;
    }
  }
  return object;
}

TrainConfig config_from(const Json& object) {
  TrainConfig config;
  for (const Setting& entry : settings()) {
    const std::string name(entry.name);
    if (!object.contains(name)) continue;
    const Json& value = object[name];
    std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    if (value.is_array()) text = text.substr(1, text.size() - 2);
    if (!entry.set(config, text))
      throw Failure(ExitCode::bad_data, name + " = " + text + " is not allowed", "saved settings",
                    "resume with the program that saved them");
  }
  return config;
}

}  // namespace widedeq
