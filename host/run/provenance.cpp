// The first session's record, and a record more for each later one; see provenance.hpp.
#include "host/run/provenance.hpp"

#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "build_info.hpp"
#include "host/data/byte_source.hpp"
#include "host/run/identity.hpp"
#include "host/run/machine.hpp"

namespace widedeq {
namespace {

Json session_record(const RunFacts& facts, const Session& session) {
  Json record;
  record["started"] = timestamp();
  record["host"] = host_name();
  record["process"] = ::getpid();
  record["command_line"] = session.command_line;
  record["from_epoch"] = session.from_epoch;
  record["identity"] = identity(facts);
  Json& changed = record["changed"] = Json::object();
  for (const Change& change : session.changes)
    changed[change.name] = {change.before, change.now};
  return record;
}

/// Every setting spelt out, so that it needs no file and no default.
std::string repeating_command(const TrainConfig& config) {
  std::string command = "widedeq train";
  for (const Setting& entry : settings()) {
    const auto value = entry.get(config);
    if (!value || !entry.computes) continue;
    const std::string name(entry.name);
    if (entry.kind == SettingKind::boolean) {
      command += (*value == "true" ? " --" : " --no-") + name;
    } else {
      command += " --" + name + " " + shell_quoted(*value);
    }
  }
  return command + " --out ANOTHER_DIRECTORY";
}

std::string pretty(const Json& record) {
  return record.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

Json provenance(const TrainConfig& config, const RunFacts& facts, const Session& session) {
  Json record;
  record["version"] = build_info::version;
  record["commit"] = build_info::git_commit;
  record["build"] = {{"type", build_info::build_type},
                     {"compiler", build_info::compiler},
                     {"flags", build_info::flags}};
  Json& libraries = record["libraries"] = Json::object();
  for (const auto& [name, version] : build_info::dependencies)
    libraries[std::string(name)] = version;
  record["host"] = host_name();
  record["processor"] = processor_model();
  record["processor_features"] = processor_features();
  record["backend"] = facts.backend;
  record["threads"] = config.threads;
  record["seed"] = config.seed;
  record["data"] = facts.data;
  record["data_checksum"] = facts.data_checksum;
  if (!facts.weights_checksum.empty()) record["weights_checksum"] = facts.weights_checksum;
  record["started"] = timestamp();
  record["command_line"] = session.command_line;
  record["repeat"] = repeating_command(config);
  record["sessions"] = Json::array({session_record(facts, session)});
  return record;
}

void write_provenance(const RunDirectory& directory, const TrainConfig& config,
                      const RunFacts& facts, const Session& session) {
  const std::string path = directory.file("provenance.json");
  std::error_code error;
  Json record;
  if (std::filesystem::exists(path, error)) record = Json::parse(read_text(path), nullptr, false);
  Json sessions = Json::array();  // before this one
  if (record.is_object() && record.contains("sessions") && record["sessions"].is_array())
    sessions = record["sessions"];
  else if (!record.is_null())
    std::filesystem::rename(path, path + ".damaged", error);
  // Nothing of what was before the first epoch is in the results.
  if (sessions.empty() || session.from_epoch == 0) record = provenance(config, facts, session);
  sessions.push_back(session_record(facts, session));
  record["sessions"] = std::move(sessions);
  directory.write_text("provenance.json", pretty(record));
}

std::string shell_quoted(const std::string& word) {
  const bool plain = !word.empty() && word.find_first_of(" \t\n'\"\\$`*?&;|<>()#~") == word.npos;
  if (plain) return word;
  std::string quoted = "'";
  for (const char c : word)
    quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

}  // namespace widedeq
